"""Settings: the environment, `.env` and `offhook.toml`, read once into one frozen struct. All faults in one report."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import unquote, urlsplit

import dotenv
import msgspec

from app.errors import SetupError
from app.log import FORMS as LOG_FORMS
from app.log import Form as LogForm
from app.rules.consent import Rules
from app.rules.engines import CODECS, ENGINES, Auth, Codec, DialectName, EngineName
from app.rules.fallback_engines import FallbackEngine
from app.rules.office import Office
from app.rules.office_file import read_office
from app.rules.outbound import OutboundRules, read_quiet
from app.rules.prices import OURS, Prices
from app.rules.recording import RecordingRules
from app.rules.retention import RetentionDays
from app.rules.values import (
    LOOPBACK,
    address,
    between,
    folder,
    named,
    number,
    one_of,
    pairs,
    person,
    public_url,
    sid,
    switch,
    tokens,
    url,
)
from app.rules.webhooks import Webhook

ROOT = Path(__file__).parent.parent
FICTIONAL_PERSON = "+14155550170"
"""Whom rehearsals put callers through to; 555-01xx numbers belong to nobody."""
TWILIO_API = "https://api.twilio.com"
PLACE = re.compile(r"[a-z][a-z0-9-]*")
"""An edge or a region of Twilio's."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an operator can set; names and defaults are docs/settings.md."""

    openai_api_key: str = ""
    realtime_url: str = "wss://api.openai.com/v1/realtime"
    realtime_engine: Literal["auto"] | EngineName = "auto"
    realtime_auth: Literal["auto"] | Auth = "auto"
    realtime_model: str = "gpt-realtime-1.5"
    realtime_dialect: Literal["auto"] | DialectName = "auto"
    realtime_audio: Literal["auto"] | Codec = "auto"
    transcription_model: str = "gpt-live-transcribe"
    elevenlabs_api_key: str = ""
    elevenlabs_url: str = ""
    """Empty: ElevenLabs' own."""
    spare_links: int = 2
    prime_model: bool = False
    stand_in: bool = False
    """No key and no REALTIME_URL: the built-in model stand-in answers."""
    twilio_account_sid: str = ""
    twilio_auth_tokens: tuple[str, ...] = ()
    twilio_phone_number: str = ""
    twilio_api_base: str = TWILIO_API
    public_url: str = "http://127.0.0.1:8000"
    database_url: str = ""
    business_api_base: str = ""
    human_transfer_number: str = ""
    operator_password: str = ""
    data: Path = ROOT / ".offhook"
    max_calls: int = 200
    max_call_seconds: float = 1800
    dormant_seconds: float = 60
    max_call_cost_usd: float = 5
    max_caller_day_cost_usd: float = 0
    max_number_day_cost_usd: float = 0
    max_day_cost_usd: float = 0
    """0: no such cap; so with the next two."""
    max_caller_hour_calls: int = 0
    max_loop_lag_ms: float = 250
    model_stall_seconds: float = 4
    fallback_engines: tuple[FallbackEngine, ...] = ()
    """Servers that stand in for the model's own, in the order of trial."""
    first_audio_seconds: float = 5
    host: str = "127.0.0.1"
    port: int = 8000
    metrics_token: str = ""
    drain_seconds: float = 280
    fly_machine: str = ""
    """Which of Fly's machines this is; empty where it is none."""
    instance: str = ""
    """What tickets call this process, so that a proxy can lead their streams here; empty: a random name. On Fly, its machine."""
    database_connections: int = 10
    """At most so many of this process's calls to Postgres at once."""
    metrics_port: int = 0
    """A port for /metrics alone, without a token; 0: none."""
    spool_mb: int = 512
    """Megabytes on disk for rows that Postgres has not taken yet."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: LogForm = "auto"
    otlp_endpoint: str = ""
    """Where traces of calls go; empty: nowhere."""
    otlp_headers: str = ""
    service_name: str = "offhook"
    """... by which name."""
    office: Office
    default_mode: str = "receptionist"
    numbers: Mapping[str, str] = {}
    """Dialled number -> mode."""
    consent: Rules = msgspec.field(default_factory=Rules)
    """What is announced, to whom, in which words."""
    prices: Prices = OURS
    """What models and telephones cost."""
    webhooks: tuple[Webhook, ...] = ()
    """Who is told of finished calls."""
    outbound: OutboundRules = msgspec.field(default_factory=OutboundRules)
    """Whom the business may call, when and how often."""
    retention: RetentionDays = msgspec.field(default_factory=RetentionDays)
    """How long the books are kept."""
    recording: RecordingRules = msgspec.field(default_factory=RecordingRules)
    """Which calls are recorded, and for how long."""

    def __repr__(self) -> str:
        """Without values: half of them are secrets."""
        return f"Settings(of {self.office.name!r} in {self.data})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log may show."""
        password = unquote(urlsplit(self.database_url).password or "")
        headers = [pair.partition("=")[2].strip() for pair in self.otlp_headers.split(",")]
        return (
            *headers,
            *(unquote(value) for value in headers),
            *(unquote(urlsplit(base).password or "") for base in (self.otlp_endpoint, self.business_api_base)),
            *self.twilio_auth_tokens,
            self.openai_api_key,
            self.elevenlabs_api_key,
            self.operator_password,
            self.metrics_token,
            password,
            *(engine.key for engine in self.fallback_engines),
            *(secret for endpoint in self.webhooks for secret in endpoint.secrets),
        )

    @property
    def public_is_loopback(self) -> bool:
        """Whether the outside world cannot reach us by our public URL."""
        return urlsplit(self.public_url).hostname in LOOPBACK

    @property
    def own_url(self) -> str:
        """Where this machine itself reaches us."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def socket_url(self) -> str:
        """The public origin for WebSockets: wss, or ws for a loopback host."""
        return re.sub(r"^http", "ws", self.public_url)


def load(environ: Mapping[str, str] | None = None, *, root: Path = ROOT) -> Settings:
    """Read all settings. Raises SetupError listing everything that is wrong, each with what was expected and what came."""
    if environ is None:
        environ = environment(root)
    reader = _Reader(environ)
    values: dict[str, Any] = {}
    for name, read in ENVIRONMENT.items():
        if environ.get(name, "") != "" or (name == "TRANSCRIPTION_MODEL" and name in environ):
            reader.take(values, name, read)
    if "data" in values:
        values["data"] = (root / values["data"]).absolute()
    else:
        values["data"] = root / ".offhook"
    host, port = values.get("host", "127.0.0.1"), values.get("port", 8000)
    here = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104
    values.setdefault("public_url", f"http://{here}:{port}")
    values["stand_in"] = not values.get("openai_api_key") and "realtime_url" not in values
    if values["stand_in"]:
        values.setdefault("human_transfer_number", FICTIONAL_PERSON)
    values["fly_machine"] = environ.get("FLY_MACHINE_ID", "") if environ.get("FLY_APP_NAME") else ""
    values["instance"] = values["fly_machine"] or values.get("instance", "")
    if values.get("metrics_port") == port:
        reader.faults.append(f"METRICS_PORT: expected another port than PORT, got {port} for both")
    _twilio_base(environ, values, reader.faults)
    values.update(read_office(root / "offhook.toml", values.get("human_transfer_number", ""), reader.faults, environ))
    if (quiet := values.pop("quiet_hours", None)) is not None:
        values["outbound"] = msgspec.structs.replace(values["outbound"], quiet=quiet)
    if reader.faults:
        raise SetupError("the settings cannot be used:\n" + "\n".join(f"  - {fault}" for fault in reader.faults))
    return Settings(**values)


def environment(root: Path = ROOT) -> dict[str, str]:
    """The environment, over what `.env` has."""
    return {name: value or "" for name, value in dotenv.dotenv_values(root / ".env", interpolate=False).items()} | dict(
        os.environ
    )


class _Reader:
    """Reads values one by one and keeps the faults."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.faults: list[str] = []

    def take(self, values: dict[str, Any], name: str, read: Callable[[str], Any]) -> None:
        try:
            values[FIELD.get(name, name.lower())] = read(self.environ[name].strip())
        except ValueError as wrong:
            shown = "a value that is kept secret" if name in SECRET else repr(self.environ[name])
            self.faults.append(f"{name}: expected {wrong}, got {shown}")


ENVIRONMENT: dict[str, Callable[[str], Any]] = {
    "OPENAI_API_KEY": str,
    "REALTIME_URL": url("wss", "ws"),
    "REALTIME_ENGINE": one_of("auto", *ENGINES),
    "REALTIME_AUTH": one_of("auto", *get_args(Auth)),
    "REALTIME_MODEL": str,
    "REALTIME_DIALECT": one_of("auto", *get_args(DialectName)),
    "REALTIME_AUDIO": one_of("auto", *CODECS),
    "TRANSCRIPTION_MODEL": str,
    "ELEVENLABS_API_KEY": str,
    "ELEVENLABS_URL": url("wss", "ws", "https", "http"),
    "SPARE_LINKS": between(0, 100, int),
    "PRIME_MODEL": switch,
    "TWILIO_ACCOUNT_SID": sid,
    "TWILIO_AUTH_TOKEN": tokens,
    "TWILIO_PHONE_NUMBER": number,
    "TWILIO_API_BASE": url("https", "http"),
    "PUBLIC_URL": public_url,
    "DATABASE_URL": address,
    "BUSINESS_API_BASE": url("https", "http"),
    "HUMAN_TRANSFER_NUMBER": person,
    "OPERATOR_PASSWORD": str,
    "OFFHOOK_DATA": folder,
    "QUIET_HOURS": read_quiet,
    "MAX_CALLS": between(1, 100_000, int),
    "MAX_CALL_SECONDS": between(10, 86_400),
    "DORMANT_SECONDS": between(5, 3600),
    "MAX_CALL_COST_USD": between(0.01, 1000),
    "MAX_CALLER_DAY_COST_USD": between(0, 100_000),
    "MAX_NUMBER_DAY_COST_USD": between(0, 1_000_000),
    "MAX_DAY_COST_USD": between(0, 1_000_000),
    "MAX_CALLER_HOUR_CALLS": between(0, 10_000, int),
    "MAX_LOOP_LAG_MS": between(0, 10_000),
    "MODEL_STALL_SECONDS": between(2, 60),
    "FIRST_AUDIO_SECONDS": between(2.5, 60),
    "HOST": str,
    "PORT": between(1, 65_535, int),
    "METRICS_TOKEN": str,
    "METRICS_PORT": between(1, 65_535, int),
    "INSTANCE": named,
    "DATABASE_CONNECTIONS": between(2, 1000, int),
    "DRAIN_SECONDS": between(0, 86_400),
    "SPOOL_MB": between(1, 1_000_000, int),
    "LOG_LEVEL": one_of("debug", "info", "warning", "error"),
    "LOG_FORMAT": one_of(*LOG_FORMS),
    "OTEL_EXPORTER_OTLP_ENDPOINT": url("https", "http"),
    "OTEL_EXPORTER_OTLP_HEADERS": pairs,
    "OTEL_SERVICE_NAME": str,
}
FIELD = {
    "TWILIO_AUTH_TOKEN": "twilio_auth_tokens",
    "OFFHOOK_DATA": "data",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "otlp_endpoint",
    "OTEL_EXPORTER_OTLP_HEADERS": "otlp_headers",
    "OTEL_SERVICE_NAME": "service_name",
}
SECRET = (
    "OPENAI_API_KEY",
    "ELEVENLABS_API_KEY",
    "TWILIO_AUTH_TOKEN",
    "OPERATOR_PASSWORD",
    "METRICS_TOKEN",
    "DATABASE_URL",
    "OTEL_EXPORTER_OTLP_HEADERS",
)


def _twilio_base(environ: Mapping[str, str], values: dict[str, Any], faults: list[str]) -> None:
    """Edge and region make a host name; a region alone makes one that is dead since April 2026."""
    edge, region = environ.get("TWILIO_EDGE", "").strip(), environ.get("TWILIO_REGION", "").strip()
    for name, value, like in (("TWILIO_EDGE", edge, "dublin"), ("TWILIO_REGION", region, "ie1")):
        if value and not PLACE.fullmatch(value):
            faults.append(f"{name}: expected one word of a host's name, as {like}, got {value!r}")
    if region and not edge:
        faults.append(
            f"TWILIO_EDGE: expected the edge of TWILIO_REGION {region!r} (dublin for ie1, sydney for au1, tokyo for jp1), got none"
        )
    elif edge and "twilio_api_base" in values:
        faults.append("TWILIO_API_BASE: expected it alone, or TWILIO_EDGE and TWILIO_REGION; got both")
    elif edge:
        values["twilio_api_base"] = f"https://api.{edge}.{region or 'us1'}.twilio.com"
