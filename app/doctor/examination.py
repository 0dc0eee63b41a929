"""The examination: every check in the order in which a call meets them, each with where it is explained; made side by side.

A check that needs something of another asks the patient, which asks once. A check has a time limit, and a fault of its own is a
line like any other: the rest is still told.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Literal

import msgspec
import structlog

from app.adapters.endpoint import Endpoint
from app.adapters.servers import Server, servers_of
from app.doctor import account, books, clock, machine, models, number, port, providers, public, rehearsed, sessions
from app.doctor.patient import Patient, Skip
from app.doctor.rows import Finding, Row, fault, fine, skipped, warning
from app.log import SHORTEST
from app.registry import Registry
from app.settings import ROOT

log = structlog.get_logger()

SECONDS = 15.0
SETUP = "docs/setup.md"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check. `seconds`: how long it may take. `timed`: it measures times, so it is made once the others are done."""

    name: str
    docs: str
    make: Callable[[Patient], Awaitable[Finding]]
    seconds: float = SECONDS
    timed: bool = False


def checks(patient: Patient, registry: Registry) -> list[Check]:
    """All of them, in order."""
    settings = patient.settings

    async def local(finding: Callable[[], Finding], _: Patient) -> Finding:
        return finding()

    made = [
        Check(name="python", docs="python-and-lock", make=partial(local, partial(machine.python, root=patient.root))),
        Check(
            name="lock",
            docs="python-and-lock",
            make=lambda patient: asyncio.to_thread(machine.lock, patient.root),
        ),
        Check(
            name="settings",
            docs="settings-and-modes",
            make=partial(local, lambda: fine(f"read, of {settings.office.name}")),
        ),
        Check(name="modes", docs="settings-and-modes", make=partial(local, partial(_modes, registry))),
        Check(
            name="data",
            docs="data-folder",
            make=lambda patient: asyncio.to_thread(machine.data_in, patient.settings.data),
        ),
        Check(
            name="port",
            docs="port",
            make=lambda patient: port.port(patient.settings.host, patient.settings.port, patient.running),
        ),
        Check(name="database", docs="database", make=books.database),
        Check(name="migrations", docs="database", make=books.migrations),
        Check(name="clock", docs="clock", make=clock.clock),
        Check(name="public_url", docs="public-url", make=public.public_url),
        Check(name="certificate", docs="public-url", make=public.certificate),
        Check(name="websocket", docs="public-url", make=public.websocket),
        Check(name="twilio_account", docs="twilio-account", make=account.twilio_account),
        Check(name="number", docs="the-number", make=number.number),
        Check(name="fallback", docs="the-number", make=number.fallback),
        Check(name="status_callback", docs="the-number", make=number.status_callback),
        Check(name="signed_request", docs="signed-request", make=public.signed_request),
        Check(name="twilio_region", docs="edge-and-region", make=account.twilio_region),
        Check(name="proxy", docs="the-model", make=providers.proxy),
        Check(name="model_key", docs="the-model", make=models.model_key),
        Check(name="model_name", docs="the-model", make=models.model_name),
        *(
            Check(
                name=f"session_{name}",
                docs="sessions",
                make=partial(_session, name),
                seconds=30.0,
            )
            for name in sorted(patient.modes)
        ),
        *(
            Check(
                name=f"fallback_engine_{server.name}", docs="sessions", make=partial(_standing_in, server), seconds=30.0
            )
            for server in servers_of(settings, Endpoint(url=""))[1:]
        ),
        Check(name="twilio_status", docs="status-pages", make=providers.twilio_status),
        Check(name="openai_status", docs="status-pages", make=providers.openai_status),
        Check(name="model_latency", docs="latency", make=providers.model_latency, seconds=20.0, timed=True),
        Check(name="twilio_latency", docs="latency", make=providers.twilio_latency, seconds=20.0, timed=True),
        Check(name="call", docs="rehearsed-call", make=rehearsed.call, seconds=60.0, timed=True),
    ]
    return [msgspec.structs.replace(check, docs=f"{SETUP}#{check.docs}") for check in made]


async def _session(name: str, patient: Patient) -> Finding:
    return await sessions.session(patient, patient.modes[name])


async def _standing_in(server: Server, patient: Patient) -> Finding:
    return await sessions.session(patient, patient.modes[patient.settings.default_mode], server)


def _modes(registry: Registry) -> Finding:
    named = ", ".join(sorted(registry.modes))
    if registry.warnings:
        return warning(f"{named}; {'; '.join(registry.warnings)}", "./offhook modes --check")
    return fine(f"{named}; {registry.settings.default_mode} answers what nothing else claims")


async def examine(patient: Patient, made: Sequence[Check], told: Callable[[int, Row], None]) -> list[Row]:
    """Make all checks side by side, but for the timed ones, which come after them one by one.

    `told` is given each row with its place, as it comes. Answers the rows in order.
    """
    rows: dict[int, Row] = {}

    async def one(place: int, check: Check) -> None:
        rows[place] = row_of(check, await found_by(patient, check), secrets_of(patient))
        told(place, rows[place])

    async with asyncio.TaskGroup() as group:
        for place, check in enumerate(made):
            if not check.timed:
                group.create_task(one(place, check), name=f"doctor {check.name}")
    for place, check in enumerate(made):
        if check.timed:
            await one(place, check)
    return [rows[place] for place in range(len(made))]


async def found_by(patient: Patient, check: Check) -> Finding:
    """What a check finds, whatever becomes of it."""
    try:
        async with asyncio.timeout(check.seconds):
            return await check.make(patient)
    except Skip as skip:
        return skip.finding
    except TimeoutError:
        return fault(
            f"not done after {check.seconds:g} s", "try again; if it stays so, what is asked there does not answer"
        )
    except Exception as wrong:  # the other lines are still worth reading
        log.exception("a fault of ours in a check", check=check.name)
        return fault(f"a fault of ours: {type(wrong).__name__}", "the log above tells where; please report it")


def secrets_of(patient: Patient) -> tuple[str, ...]:
    """What no line may show."""
    own = (patient.running.key,) if patient.running is not None else ()
    return (*patient.settings.secrets, *patient.tokens, *own)


def row_of(check: Check, finding: Finding, secrets: Sequence[str] = ()) -> Row:
    """The line of a finding, without secrets."""
    what, remedy, text = (_masked(part, secrets) for part in (finding.what, finding.remedy, finding.text))
    return Row(check=check.name, level=finding.level, what=what, remedy=remedy, text=text, docs=check.docs)


def _masked(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        if len(secret) >= SHORTEST:
            text = text.replace(secret, "[secret]")
    return text


def unreadable(what: Literal["settings", "modes"], why: str) -> list[Row]:
    """The rows where the settings or the modes cannot be read: what can be looked at without them, and that."""
    head = f"{SETUP}#python-and-lock"
    found = [
        Row(check=name, docs=head, **msgspec.structs.asdict(finding))
        for name, finding in (("python", machine.python(root=ROOT)), ("lock", machine.lock(ROOT)))
    ]
    wrong = fault(
        why, f"correct what is listed; {'docs/settings.md' if what == 'settings' else 'docs/04-modes.md'} tells how"
    )
    rest = skipped("all other checks need settings and modes that can be read")
    docs = f"{SETUP}#settings-and-modes"
    return [
        *found,
        Row(check=what, docs=docs, **msgspec.structs.asdict(wrong)),
        Row(check="everything_else", docs=docs, **msgspec.structs.asdict(rest)),
    ]
