"""A patient on a stage: settings of a test's own, hosts that answer as they are told, and certificates made on the spot."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import pytest
from twilio.request_validator import RequestValidator

from app.adapters.data_folder import Running
from app.doctor.examination import Check, found_by, row_of, secrets_of
from app.doctor.patient import Patient
from app.doctor.rows import Finding, Row
from app.mode import Mode
from app.registry import Registry, find
from tests.house.samples import make_settings

ACCOUNT = "AC" + "0" * 31 + "1"
TOKEN = "the token of the account"
OURS = "+14155550199"
PUBLIC = "https://agent.example.com"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="a certificate takes the openssl command")


@cache
def _modes() -> dict[str, Mode]:
    return find(make_settings()).modes


@asynccontextmanager
async def patient(
    *, running: Running | None = None, tokens: tuple[str, ...] = (TOKEN,), **changes: Any
) -> AsyncIterator[Patient]:
    """Settings with these changes; what is no setting is the patient's: trust, now, environ, calls, status_pages."""
    own = {
        name: changes.pop(name)
        for name in ("trust", "now", "environ", "calls", "status_pages", "root")
        if name in changes
    }
    settings = make_settings(**changes)
    it = Patient(settings, Registry(_modes(), settings), running=running, tokens=tokens, **own)
    try:
        yield it
    finally:
        await it.close()


async def row(it: Patient, make: Callable[[Patient], Any], seconds: float = 15.0) -> Row:
    """The line that a check gives of a patient."""
    check = Check(name="it", docs="docs/setup.md", make=make, seconds=seconds)
    found: Finding = await found_by(it, check)
    return row_of(check, found, secrets_of(it))


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


Answer = tuple[int, str]


class Host:
    """A host whose answers a test writes: a status and a body by path; anything else is 404."""

    def __init__(self, answers: Mapping[str, Answer | Callable[[Asked], Answer]], date: Callable[[], str]) -> None:
        self.answers, self.date = dict(answers), date
        self.asked: list[Asked] = []
        self.url = ""
        self.talks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        talk = asyncio.current_task()
        assert talk is not None
        self.talks.add(talk)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
            }
            body = (await reader.readexactly(int(headers.get("content-length", 0)))).decode()
            method, target, _ = first.split()
            asked = Asked(method, target, headers, body)
            self.asked.append(asked)
            answer = self.answers.get(target.partition("?")[0], (404, "nothing here"))
            status, text = answer(asked) if callable(answer) else answer
            sent = text.encode()
            lines = [
                f"HTTP/1.1 {status} As It Is",
                f"Date: {self.date()}",
                f"Content-Length: {len(sent)}",
                "Connection: close",
            ]
            writer.write("\r\n".join([*lines, "", ""]).encode() + sent)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):  # a knock that says nothing
            return
        finally:
            self.talks.discard(talk)
            writer.close()


@asynccontextmanager
async def host(
    answers: Mapping[str, Answer | Callable[[Asked], Answer]] | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    name: str = "127.0.0.1",
    ahead: float = 0.0,
    now: float | None = None,
) -> AsyncIterator[Host]:
    """A host on a free port. ahead: of its clock over ours, in seconds."""
    it = Host(answers or {}, lambda: formatdate((now or time.time()) + ahead, usegmt=True))
    server = await asyncio.start_server(it.serve, "127.0.0.1", 0, ssl=tls)
    it.url = f"{'https' if tls else 'http'}://{name}:{server.sockets[0].getsockname()[1]}"
    try:
        yield it
    finally:
        server.close()
        for talk in list(it.talks):
            talk.cancel()
        await asyncio.gather(*it.talks, return_exceptions=True)


def free_url(scheme: str = "http") -> str:
    """Where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"{scheme}://127.0.0.1:{probe.getsockname()[1]}"


def guarded(url: Callable[[], str], taken: Answer = (200, "<Response/>")) -> Callable[[Asked], Answer]:
    """A door that checks the signature of a form as ours does. url: the public origin."""

    def answer(asked: Asked) -> Answer:
        signature = asked.headers.get("x-twilio-signature", "")
        form = dict(parse_qsl(asked.body, keep_blank_values=True))
        good = bool(signature) and RequestValidator(TOKEN).validate(url() + asked.path, form, signature)
        return taken if good else (403, "no")

    return answer


class Certificate(NamedTuple):
    """A server's end, and a client's that trusts it."""

    server: ssl.SSLContext
    client: ssl.SSLContext


CA = """
[ca]
default_ca = it
[it]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = {names}
"""


def certificate(folder: Path, *, names: str = "DNS:localhost", days: int = 90) -> Certificate:
    """A certificate for these names that signs itself, good for so many days more; below 0, it was good until then."""
    folder.mkdir(exist_ok=True)
    (folder / "it.cnf").write_text(CA.format(names=names))
    (folder / "index.txt").touch()
    (folder / "serial").write_text("01\n")
    now = datetime.now(UTC)
    dates = [f"{moment:%Y%m%d%H%M%SZ}" for moment in (now - timedelta(days=1000), now + timedelta(days=days, hours=1))]
    asks = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=it -keyout it.key -out it.csr"
    signs = "ca -batch -selfsign -config it.cnf -keyfile it.key -in it.csr -out it.pem -notext"
    for words in (asks.split(), [*signs.split(), "-startdate", dates[0], "-enddate", dates[1]]):
        subprocess.run(["openssl", *words], cwd=folder, capture_output=True, check=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "it.pem", folder / "it.key")
    return Certificate(server, ssl.create_default_context(cafile=folder / "it.pem"))
