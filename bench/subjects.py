"""Who is measured: ours by each door, the floor, peers; each a name, how it starts, how it gets ready, how it is dialled."""

import contextlib
import http.client
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from app import settings
from app.commands.own_server import free_port
from app.errors import SetupError
from bench import packages
from bench.building import build
from bench.children import Child
from bench.machine import ROOT
from bench.surroundings import PYTHON, Site
from bench.usage import Usage

READY_SECONDS = 60.0
POLL_SECONDS = 0.01
ACCOUNT = "AC" + "0" * 31 + "b"
MODE = "receptionist"

Kind = Literal["ours", "relay"]


class Subject(msgspec.Struct, frozen=True):
    """ours: the whole product, by signed webhooks. relay: its stream is dialled at once, unsigned."""

    name: str
    about: str
    kind: Kind
    prepare: Callable[[Site], list[str]]
    """What starts it, less port and model; builds and installs what it takes. Raises SetupError."""
    converses: bool = True
    """Greets, yields to a caller that cuts in; a floor only carries."""
    probe: Literal["stamp", "tone"] = "stamp"
    """tone: it decodes audio, so that stamps would not survive."""
    peer: bool = False
    model_option: str = "--model-url"
    """What it calls the model's address."""


class Running(msgspec.Struct, frozen=True):
    """A subject that answers."""

    subject: Subject
    child: Child
    origin: str
    token: str
    started_ms: float
    """From its start until it was ready."""

    def keys(self, *, stream: bool = False) -> dict[str, str]:
        """How the load dials it. stream: without a webhook."""
        sockets = self.origin.replace("http", "ws", 1)
        if self.subject.kind == "relay":
            return {"stream": f"{sockets}/media-stream", "signed": "0", "probe": self.subject.probe}
        dial = {"stream": f"{sockets}/voice/ws/{MODE}"} if stream else {"webhook": f"{self.origin}/twilio/incoming"}
        return {**dial, "signed": "1", "token": self.token, "account": ACCOUNT, "public": self.origin}

    def usage(self) -> Usage:
        """What its processes used; Postgres is none of them."""
        return self.child.usage()

    def metric(self, name: str) -> float:
        """One figure of our /metrics. Raises SetupError if it cannot be had."""
        try:
            _, text = _get(self.origin, "/metrics", {"Authorization": f"Bearer {self.token}"})
        except (OSError, http.client.HTTPException) as wrong:
            raise SetupError(f"expected the metrics of {self.subject.name}, but: {wrong}") from wrong
        for line in text.splitlines():
            if line.startswith(name + " "):
                return float(line.rpartition(" ")[2])
        raise SetupError(f"expected {name} in the metrics of {self.subject.name}, got {text[:100]!r}")


def _serve(site: Site) -> list[str]:
    return [*PYTHON, "app.cli", "serve"]


def _asgi(server: str, *names: str) -> Callable[[Site], list[str]]:
    def prepare(site: Site) -> list[str]:
        path = ":".join([str(ROOT), *(str(packages.site_packages(name)) for name in names)])
        return ["env", f"PYTHONPATH={path}", *PYTHON, "bench.asgi_server", server]

    return prepare


def _floor(site: Site) -> list[str]:
    return [str(build("floor"))]


def _echo(site: Site) -> list[str]:
    return [*PYTHON, "bench.echo"]


def _peer(name: str) -> Callable[[Site], list[str]]:
    return lambda site: packages.peer(name)


SUBJECTS: dict[str, Subject] = {
    subject.name: subject
    for subject in (
        Subject("fast", "ours, as ./offhook serve", "ours", _serve),
        Subject("asgi-hypercorn", "ours, every stream by ASGI under hypercorn", "ours", _asgi("hypercorn")),
        Subject("asgi-uvicorn", "ours, by ASGI under uvicorn", "ours", _asgi("uvicorn", "servers")),
        Subject("asgi-granian", "ours, by ASGI under granian", "ours", _asgi("granian", "servers")),
        Subject(
            "floor",
            "a minimal relay in C++, with the same JSON rewriting",
            "relay",
            _floor,
            converses=False,
            model_option="--model",
        ),
        Subject("echo", "a bare relay on our own links, without a mind", "relay", _echo, converses=False),
        Subject("sample", "a twin of the common FastAPI phone sample", "relay", _peer("sample"), peer=True),
        Subject("pipecat", "Pipecat, Twilio serializer", "relay", _peer("pipecat"), probe="tone", peer=True),
        Subject("agents", "openai-agents, realtime by Twilio", "relay", _peer("agents"), peer=True),
    )
}


@contextlib.contextmanager
def running(
    subject: Subject, command: list[str], site: Site, variant: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """The subject, alone on the relay's core, ended afterwards. variant: settings that differ. Raises SetupError."""
    port = free_port()
    token = secrets.token_hex(16)
    origin = f"http://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        if subject.kind == "relay":
            more = ["--port", str(port), subject.model_option, site.model_url]
            child = site.start(subject.name, [*command, *more], cores=site.cores.relay, stack=stack)
            child.wait_for("ready", READY_SECONDS)
        else:
            data = site.folder / f"{subject.name}-data"
            environment = _environment(site, port, token, data) | dict(variant or {})
            began = time.monotonic()  # the database's own start is not its own
            child = site.start(
                subject.name, command, environment=environment, cores=site.cores.relay, stack=stack, how=signal.SIGINT
            )
            _until_ready(child, origin)
        yield Running(subject, child, origin, token, (time.monotonic() - began) * 1000)


def _environment(site: Site, port: int, token: str, data: Path) -> dict[str, str]:
    """Every setting by hand: none of the operator's, from the shell or .env, may reach a bench."""
    nothing = dict.fromkeys(settings.ENVIRONMENT, "")
    return nothing | {
        "REALTIME_URL": site.model_url,
        "REALTIME_DIALECT": "ga",
        "TRANSCRIPTION_MODEL": "gpt-live-transcribe",
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": token,
        "TWILIO_API_BASE": "http://127.0.0.1:9",  # nobody: the load plays no REST API
        "DATABASE_URL": site.database_url(),
        "OPERATOR_PASSWORD": token,
        "METRICS_TOKEN": token,
        "OFFHOOK_DATA": str(data),
        "MAX_CALLS": "100000",
        "MAX_CALL_SECONDS": "86400",
        "MAX_CALL_COST_USD": "1000",
        "DORMANT_SECONDS": "3600",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "LOG_LEVEL": "warning",
    }


def _until_ready(child: Child, origin: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and child.alive:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if _get(origin, "/readyz")[0] == 200:
                return
        time.sleep(POLL_SECONDS)
    raise SetupError(child.gone(f"expected {child.name} to be ready within {READY_SECONDS:g} s"))


def _get(origin: str, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Status and body of one GET. Raises OSError, HTTPException."""
    with contextlib.closing(http.client.HTTPConnection(origin.removeprefix("http://"), timeout=5)) as door:
        door.request("GET", path, headers=dict(headers or {}))
        answer = door.getresponse()
        return answer.status, answer.read().decode(errors="replace")
