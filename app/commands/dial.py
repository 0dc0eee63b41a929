"""`./offhook dial`: has the running server call somebody, and shows what becomes of it; keeps the do-not-call list."""

import argparse
import asyncio
import secrets
import sys
from datetime import UTC, datetime

from app import registry
from app import settings as all_settings
from app.adapters.database import DATABASE_ERRORS, make_engine, reason_of
from app.adapters.outbound_book import OutboundBook
from app.commands.own_server import find_running
from app.commands.token import with_database
from app.errors import CallRefused, SetupError
from app.outbound import Placed, Wish, check
from app.rules.office import E164
from app.settings import Settings

LOOK_SECONDS = 0.5
OPERATOR = "operator"


def run(chosen: argparse.Namespace) -> int:
    """Do what was chosen. Raises SetupError, CallRefused."""
    if chosen.never_called:
        for number, why, since in with_database(lambda engine: OutboundBook(engine).never_called()):
            print(f"{number:<17} {since:%Y-%m-%d}  {why}")
        return 0
    if chosen.never:
        number = _number(chosen.never)
        with_database(lambda engine: OutboundBook(engine).never_call(number, "put there by the operator"))
        print(f"{number} is not called again")
        return 0
    if chosen.again:
        number = _number(chosen.again)
        if not with_database(lambda engine: OutboundBook(engine).call_again(number)):
            raise SetupError(f"expected a number of the do-not-call list, got {number}; --never-called prints it")
        print(f"{number} may be called again")
        return 0
    settings = all_settings.load()
    wish = Wish(
        to=chosen.number,
        mode=chosen.mode,
        fields=dict(_field(text) for text in chosen.field),
        not_before=_moment(chosen.not_before, "--not-before"),
        not_after=_moment(chosen.not_after, "--not-after"),
        max_attempts=chosen.attempts,
    )
    return asyncio.run(_dial(settings, wish, waits=not chosen.no_wait))


async def _dial(settings: Settings, wish: Wish, *, waits: bool) -> int:
    modes = registry.find(settings).modes
    now = datetime.now(UTC)
    checked = check(wish, rules=settings.outbound, modes=modes, office=settings.office, now=now)
    if not settings.twilio_account_sid or not settings.twilio_phone_number:
        raise CallRefused(
            "no_carrier", "expected TWILIO_ACCOUNT_SID and TWILIO_PHONE_NUMBER, found none in the settings"
        )
    running = find_running(settings.data)
    if running is None:
        raise SetupError("expected a running server, which places the call; start one with ./offhook serve")
    engine = make_engine(running.database_url)
    try:
        book = OutboundBook(engine)
        placed, _ = await book.keep(
            checked, asked_by=OPERATOR, key=secrets.token_hex(8), rules=settings.outbound, now=now
        )
        when = f", {checked.why_later}: at {checked.due_at.isoformat()}" if checked.why_later else ""
        print(f"{placed.reference}: {placed.to} is called{when}", flush=True)
        if not waits or checked.why_later:
            return 0
        return await _follow(book, placed)
    except DATABASE_ERRORS as wrong:
        raise SetupError(f"the database does not answer: {reason_of(wrong)}") from wrong
    finally:
        await engine.dispose()


async def _follow(book: OutboundBook, placed: Placed) -> int:
    """Print each attempt as it begins and ends, until the call is done or waits for its next attempt."""
    shown = ""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = await book.placed(placed.reference)
        if now is None:
            raise SetupError(f"{placed.reference} is not in the books any more")
        attempt = now.attempts[-1] if now.attempts else None
        line = (
            f"attempt {len(now.attempts)}: {attempt.result or 'rings or talks'} {attempt.call_sid}" if attempt else ""
        )
        if line and line != shown:
            print(line, flush=True)
            shown = line
        if now.status == "done":
            print(f"result: {now.result}" + (f", outcome: {now.outcome}" if now.outcome else ""))
            return 0 if now.result in ("answered", "message_left") else 1
        if now.status == "waiting" and now.result:
            print(f"it is tried again at {now.due_at.isoformat()}; the server does that", file=sys.stderr)
            return 1


def _number(text: str) -> str:
    if not E164.fullmatch(text):
        raise SetupError(f"expected a number as +14155550100, got {text!r}")
    return text


def _field(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise SetupError(f"expected --field NAME=VALUE, got {text!r}")
    return name, value


def _moment(text: str | None, option: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        raise SetupError(f"expected {option} as 2026-12-01T09:00:00-06:00, got {text!r}") from None
