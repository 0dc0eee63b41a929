"""The patient: all that is examined, and what several checks ask of it, asked once."""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from twilio.request_validator import RequestValidator

from app.adapters.data_folder import Running
from app.adapters.endpoint import Endpoint, tls
from app.adapters.servers import endpoint_of
from app.doctor.knock import KNOCK_ERRORS, Knock, knock
from app.doctor.rows import Finding, fault, skipped
from app.registry import Registry
from app.settings import ROOT, Settings
from app.sim.carrier import ACCOUNT_SID

ANSWER_SECONDS = 6.0
STATUS_PAGES = {
    "twilio": "https://status.twilio.com/api/v2/summary.json",
    "openai": "https://status.openai.com/api/v2/summary.json",
}
"""Both in Statuspage's form: `status.indicator` is none, minor, major or critical."""
T = TypeVar("T")


class Skip(Exception):
    """A check cannot be made; `finding` says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.what)
        self.finding = finding


class Patient:
    """One server's settings and surroundings. Made and used on one event loop; `close` it."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        *,
        running: Running | None,
        tokens: tuple[str, ...],
        calls: bool = False,
        environ: Mapping[str, str] | None = None,
        root: Path = ROOT,
        trust: ssl.SSLContext | None = None,
        now: Callable[[], float] = time.time,
        status_pages: Mapping[str, str] | None = None,
    ) -> None:
        """running: the server of this data folder, if one runs. tokens: what webhooks are signed with; the first one signs.

        calls: a rehearsed call may be made. trust: whose certificates are good; None: the system's. now: Unix time.
        status_pages: other addresses of those.
        """
        self.settings = settings
        self.modes = registry.modes
        self.running = running
        self.tokens = tokens
        self.calls = calls
        self.environ = environ or {}
        self.root = root
        self.trust = trust or tls()
        self.now = now
        self.asked_pages = frozenset(status_pages or {})
        """Those that were named: they are read whoever the provider is."""
        self.status_pages = {**STATUS_PAGES, **(status_pages or {})}
        self.sessions = asyncio.Semaphore(4)
        """So many sessions with the model are looked at side by side."""
        self.http = httpx.AsyncClient(trust_env=False, verify=self.trust, timeout=ANSWER_SECONDS)
        self._asked: dict[str, asyncio.Task[Any]] = {}

    async def close(self) -> None:
        """Let go of all connections."""
        for asked in self._asked.values():
            asked.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)
        await self.http.aclose()

    async def once(self, name: str, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` answers, or raises; asked by the first who wants to know. Whose time is up does not spoil it for others."""
        if name not in self._asked:

            async def asking() -> T:
                return await ask()

            self._asked[name] = asyncio.create_task(asking(), name=f"doctor asks {name}")
        found: T = await asyncio.shield(self._asked[name])
        return found

    def forget(self, name: str) -> None:
        """What was asked is so no more: the next one asks again."""
        self._asked.pop(name, None)

    # --- the public URL ---------------------------------------------------------------------------------------------

    async def reached(self) -> Knock | str:
        """A knock at the public URL; as text, why there is none."""

        async def ask() -> Knock | str:
            try:
                return await knock(self.settings.public_url, self.trust)
            except KNOCK_ERRORS as wrong:
                return reason_of(wrong)

        return await self.once("public url", ask)

    async def alive(self) -> str:
        """Why the public URL does not lead to a server of ours; empty if it does."""

        async def ask() -> str:
            knocked = await self.reached()
            if isinstance(knocked, str):
                return knocked
            try:
                answer = await self.http.get(self.settings.public_url + "/healthz")
            except httpx.HTTPError as wrong:
                return reason_of(wrong)
            if answer.status_code == 200 and answer.text.strip() == "ok":
                return ""
            return f"/healthz answers {answer.status_code} instead of 200 and ok"

        return await self.once("alive", ask)

    async def need_server(self) -> None:
        """Raises Skip unless a server answers at the public URL."""
        if why := await self.alive():
            raise Skip(skipped(f"needs a running server, and none answers there: {why}", "see the line of public_url"))

    @property
    def token(self) -> str:
        """What requests to ourselves are signed with. Raises Skip."""
        if not self.tokens:
            raise Skip(
                skipped(
                    "there is no token to sign with yet: the server makes one when it first starts", "./offhook serve"
                )
            )
        return self.tokens[0]

    @property
    def account_sid(self) -> str:
        """Whose calls come in; the stand-in's where none is configured."""
        return self.settings.twilio_account_sid or ACCOUNT_SID

    def signed(self, url: str, form: Mapping[str, str]) -> dict[str, str]:
        """The header that Twilio would send with this. Raises Skip."""
        validator = RequestValidator(self.token)
        return {"X-Twilio-Signature": str(validator.compute_signature(url, dict(form)))}

    # --- Twilio -----------------------------------------------------------------------------------------------------

    @property
    def at_twilio(self) -> bool:
        """Whether the REST API is Twilio's own, and no stand-in."""
        return (urlsplit(self.settings.twilio_api_base).hostname or "").endswith(".twilio.com")

    def need_account(self) -> None:
        """Raises Skip where there is no account, or no token for it."""
        if not self.settings.twilio_account_sid:
            raise Skip(skipped("TWILIO_ACCOUNT_SID is not set", "set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"))
        if not self.settings.twilio_auth_tokens:
            raise Skip(
                fault(
                    "TWILIO_ACCOUNT_SID is set, TWILIO_AUTH_TOKEN is not",
                    "set TWILIO_AUTH_TOKEN to the account's primary token (Twilio's console, Account, API keys & tokens)",
                )
            )

    async def twilio(self) -> httpx.Response:
        """The account, as its REST API tells of it. Raises httpx.HTTPError."""
        settings = self.settings
        url = f"{settings.twilio_api_base}/2010-04-01/Accounts/{settings.twilio_account_sid}.json"
        return await self.http.get(url, auth=(settings.twilio_account_sid, settings.twilio_auth_tokens[0]))

    # --- the model --------------------------------------------------------------------------------------------------

    @property
    def endpoint(self) -> Endpoint:
        """Where the model is: the built-in stand-in too, while it runs. Raises Skip."""
        if not self.settings.stand_in:
            return endpoint_of(self.settings)
        if self.running is None or not self.running.model:
            raise Skip(skipped("no model key, and the built-in stand-in runs only while the server does", MODEL_KEY))
        return endpoint_of(self.settings, stand_in=self.running.model)

    def need_model(self) -> None:
        """Raises Skip where only the built-in stand-in answers."""
        if self.settings.stand_in:
            raise Skip(skipped("no model key: the built-in stand-in answers", MODEL_KEY))

    @property
    def models(self) -> list[str]:
        """Every model that a call may be answered by, each once."""
        return sorted({mode.model or self.settings.realtime_model for mode in self.modes.values()})


MODEL_KEY = "set OPENAI_API_KEY, or REALTIME_URL for another server of the protocol"


def reason_of(wrong: BaseException) -> str:
    """What went wrong, for people."""
    if isinstance(wrong, TimeoutError | httpx.TimeoutException):
        return "no answer in time"
    if isinstance(wrong, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(wrong, socket.gaierror):
        return "there is no host of that name"
    if isinstance(wrong, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {wrong.verify_message}"
    return str(wrong) or type(wrong).__name__
