"""`./offhook doctor`: everything between a caller and this server, one line a check; --fix wires the number at Twilio."""

import argparse
import asyncio
import contextlib
import sys
import textwrap
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from app import log as logging
from app import registry
from app import settings as all_settings
from app.adapters.data_folder import Running
from app.adapters.tunnel_client import read_client
from app.commands.own_server import find_running
from app.doctor import number
from app.doctor.examination import checks, examine, unreadable
from app.doctor.patient import Patient, Skip
from app.doctor.rows import Level, Row, exit_code
from app.errors import SetupError
from app.rules.values import LOOPBACK
from app.settings import Settings

SIGNS: dict[Level, str] = {"fine": "ok", "skipped": "--", "warning": "WARN", "fault": "FAULT"}
WIDTH = 22


def run(chosen: argparse.Namespace) -> int:
    """Make the checks. Raises SetupError for options that do not fit together."""
    if (chosen.yes or chosen.fallback) and not chosen.fix:
        raise SetupError("expected --yes and --fallback together with --fix, got them without it")
    if chosen.fallback and not chosen.fallback.startswith("https://"):
        raise SetupError(f"expected a URL that starts with https:// as --fallback, got {chosen.fallback!r}")
    printer = Printer(as_json=chosen.json)
    what: Literal["settings", "modes"] = "settings"
    try:
        settings = all_settings.load()
        what = "modes"
        logging.configure("error", settings.secrets)
        found = registry.find(settings)
    except SetupError as wrong:
        if chosen.fix:
            raise
        rows = unreadable(what, str(wrong))
        for place, row in enumerate(rows):
            printer.take(place, row)
    else:
        with contextlib.redirect_stdout(sys.stderr) if chosen.json else contextlib.nullcontext():
            rows = asyncio.run(_run(chosen, settings, found, printer))
    printer.finish(rows)
    return exit_code(rows)


async def _run(
    chosen: argparse.Namespace, settings: Settings, found: registry.Registry, printer: "Printer"
) -> list[Row]:
    running = await asyncio.to_thread(find_running, settings.data)
    patient = Patient(
        as_running(settings, running),
        found,
        running=running,
        tokens=tokens_of(settings),
        calls=chosen.call,
        environ=all_settings.environment(),
    )
    try:
        if chosen.fix:
            if tunnelled(settings, running):
                raise SetupError(
                    f"expected a PUBLIC_URL that lasts, but the server that runs has a tunnel's, {patient.settings.public_url}. "
                    "Nothing was changed: `./offhook serve --tunnel` points the number there itself, and back at its end"
                )
            await fix(patient, fallback_url=chosen.fallback, asks=not chosen.yes)
        return await examine(patient, checks(patient, found), printer.take)
    finally:
        await patient.close()


def as_running(settings: Settings, running: Running | None) -> Settings:
    """The settings as the options of `serve` changed them for the server that runs: --tunnel the public URL, --port the port.

    A public URL that the settings name is what is looked at all the same, unless there is a tunnel instead of it.
    """
    if running is None:
        return settings
    here = settings.public_is_loopback and urlsplit(running.public_url).hostname in LOOPBACK
    if not here and not tunnelled(settings, running):
        return settings
    port = urlsplit(running.url).port or settings.port
    return msgspec.structs.replace(settings, public_url=running.public_url, port=port)


def tunnelled(settings: Settings, running: Running | None) -> bool:
    """Whether the server that runs is reached by a tunnel of its own, for this run."""
    client = read_client(settings.data)
    return running is not None and client is not None and client.url == running.public_url


def tokens_of(settings: Settings) -> tuple[str, ...]:
    """What Twilio signs with, as far as it is there: to look makes no secret."""
    if settings.twilio_auth_tokens:
        return settings.twilio_auth_tokens
    try:
        return ((settings.data / "twilio_auth_token").read_text().strip(),)
    except OSError:
        return ()


async def fix(patient: Patient, *, fallback_url: str = "", asks: bool = True) -> None:
    """Wire the number at Twilio, if somebody agrees. Nothing else is changed, and nothing made. Raises SetupError."""
    if patient.settings.public_is_loopback and patient.at_twilio:
        raise SetupError(
            f"expected a PUBLIC_URL that Twilio can reach, got {patient.settings.public_url}. Nothing was changed; set it to https://HOST."
        )
    try:
        found = await number.fetch(patient)
    except Skip as skip:
        raise SetupError(f"the number cannot be wired: {skip.finding.what}. {skip.finding.remedy}") from None
    wanted = number.changes(found, patient, fallback_url)
    if not wanted:
        print(f"{found.phone_number} is wired as it should be")
        return
    print(f"{found.phone_number} at {patient.settings.twilio_api_base}:")
    for change in wanted:
        print(f"  {change.name}: {change.old or '(nothing)'} -> {change.new or '(nothing)'}")
    if asks and not await asyncio.to_thread(_agreed):
        print("nothing was changed")
        return
    if why := await number.apply(found, wanted, patient):
        raise SetupError(f"the number could not be wired: {why}")
    patient.forget("number")
    print(f"{found.phone_number} is wired")


def _agreed() -> bool:
    print("Change this at Twilio? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


class Printer:
    """Prints lines in their order, each as soon as those before it are there; or all of them as JSON at the end."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._waiting: dict[int, Row] = {}
        self._next = 0

    def take(self, place: int, row: Row) -> None:
        """A row has come."""
        self._waiting[place] = row
        while not self.as_json and self._next in self._waiting:
            print(line_of(self._waiting.pop(self._next)), flush=True)
            self._next += 1

    def finish(self, rows: list[Row]) -> None:
        """All have come."""
        if self.as_json:
            sys.stdout.write(
                msgspec.json.format(msgspec.json.encode([row.as_json() for row in rows]), indent=2).decode() + "\n"
            )
            return
        counts = {level: sum(row.level == level for row in rows) for level in SIGNS}
        print(
            f"\nfaults: {counts['fault']}, warnings: {counts['warning']}, fine: {counts['fine']}, skipped: {counts['skipped']}"
        )


def line_of(row: Row) -> str:
    """One line; what to do and where it is explained below it, if anything is to be done."""
    line = f"{SIGNS[row.level]:<6}{row.check:<{WIDTH}} {row.what}"
    if row.level in ("warning", "fault"):
        line += f"\n{'':<6}{'':<{WIDTH}} -> {row.remedy} ({row.docs})"
    elif row.remedy:
        line += f" -> {row.remedy}"
    return line + (f"\n{textwrap.indent(row.text, ' ' * (7 + WIDTH))}" if row.text else "")
