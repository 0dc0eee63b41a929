# Offhook as a container: the run lock in a venv, the code, a user without rights. Postgres is elsewhere (DATABASE_URL).
FROM python:3.13-slim AS packages
WORKDIR /offhook
COPY requirements.lock requirements-uv.lock ./
# Every file is checked against the locks' hashes; wheels only, so no compiler is needed here either.
RUN python -m venv .venv \
 && .venv/bin/python -m pip install --no-cache-dir --require-hashes --target /uv -r requirements-uv.lock \
 && /uv/bin/uv pip install --python .venv/bin/python --no-cache --only-binary :all: --require-hashes \
      --compile-bytecode -r requirements.lock \
 && .venv/bin/python -m pip uninstall --yes pip

FROM python:3.13-slim
RUN useradd --uid 1000 --create-home --shell /usr/sbin/nologin offhook
WORKDIR /offhook
COPY --from=packages /offhook/.venv .venv
COPY . .
# Written once here, as root: the app may not write its own code, so it could not keep them.
RUN .venv/bin/python -m compileall -q app modes migrations \
 && install -d -m 0700 -o offhook -g offhook /data
USER offhook
# PATH makes `python` the venv's in CMD and in a platform's release command.
ENV PATH=/offhook/.venv/bin:$PATH PYTHONPATH=/offhook PYTHONUNBUFFERED=1 HOST=0.0.0.0 PORT=8000 OFFHOOK_DATA=/data
EXPOSE 8000
# Kept for people with plain Docker; Fly reads fly.toml instead. /healthz is "alive": it stays true while calls drain.
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=2)"]
STOPSIGNAL SIGTERM
# Exec form: SIGTERM reaches Offhook itself, which then drains its calls.
CMD ["python", "-m", "app.cli", "serve"]
