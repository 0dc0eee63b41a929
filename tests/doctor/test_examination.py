"""The examination as a whole: its order, its pages, its limits, what it never shows, and the command before it."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.adapters import processes
from app.adapters.data_folder import Running, write_private
from app.adapters.tunnel_client import Client, client_file
from app.cli import main
from app.commands import doctor
from app.commands.doctor import Printer, as_running, fix, tokens_of
from app.commands.own_server import free_port
from app.doctor.examination import Check, checks, examine, unreadable
from app.doctor.patient import Patient, Skip
from app.doctor.rows import Finding, Level, Row, exit_code, fault, fine, skipped
from app.errors import SetupError
from app.registry import Registry
from app.rules.fallback_engines import FallbackEngine
from app.settings import ROOT
from app.sim.carrier import Carrier
from app.sim.carrier_numbers import PhoneNumber
from tests.doctor.stage import ACCOUNT, OURS, PUBLIC, TOKEN, host, patient
from tests.house.samples import make_settings

BEFORE = [
    "python", "lock", "settings", "modes", "data", "port", "database", "migrations", "clock", "public_url", "certificate",
    "websocket", "twilio_account", "number", "fallback", "status_callback", "signed_request", "twilio_region", "proxy",
    "model_key", "model_name",
]  # fmt: skip
AFTER = ["twilio_status", "openai_status", "model_latency", "twilio_latency", "call"]
"""Between the two are the sessions: one for each mode, and for each fallback engine."""
FIELDS = {"check", "ok", "level", "what", "remedy", "text", "docs"}


def registry_of(it: Patient) -> Registry:
    return Registry(it.modes, it.settings)


def anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


async def test_the_checks_come_in_the_order_in_which_a_call_meets_them_and_each_leads_to_a_heading_that_exists() -> (
    None
):
    other = FallbackEngine(name="other", url="wss://other.example/v1/realtime", model="m")
    async with patient(fallback_engines=(other,)) as it:
        made = checks(it, registry_of(it))
        modes = [f"session_{name}" for name in sorted(it.modes)]
    assert [check.name for check in made] == [*BEFORE, *modes, "fallback_engine_other", *AFTER]
    for docs in [check.docs for check in made] + [row.docs for row in unreadable("modes", "x")]:
        file, _, anchor = docs.partition("#")
        assert anchor in anchors(ROOT / file), docs


async def test_every_check_is_named_on_its_page() -> None:
    page = (ROOT / "docs/setup.md").read_text(encoding="utf-8")
    async with patient() as it:
        names = [check.name for check in checks(it, registry_of(it)) if not check.name.startswith("session_")]
    assert [name for name in names if f"`{name}`" not in page] == []


def check(name: str, found: Finding | Exception, seconds: float = 5.0, gate: asyncio.Event | None = None) -> Check:
    async def make(it: Patient) -> Finding:
        if gate is not None:
            await gate.wait()
        if isinstance(found, Exception):
            raise found
        return found

    return Check(name=name, docs="docs/setup.md", make=make, seconds=seconds)


async def test_checks_are_made_side_by_side_and_one_that_is_late_broken_or_skipped_is_a_line_like_any_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    never, opens = asyncio.Event(), asyncio.Event()
    told: list[int] = []

    def take(place: int, row: Row) -> None:
        told.append(place)
        opens.set()

    async with patient() as it:
        made = [
            check("late", fine("x"), seconds=0.05, gate=never),
            check("waits", fine("for the next"), gate=opens),
            check("quick", fine("x")),
            check("broken", RuntimeError("a fault")),
            check("skipped", Skip(skipped("no key"))),
        ]
        rows = await examine(it, made, take)
    assert [row.check for row in rows] == ["late", "waits", "quick", "broken", "skipped"]
    assert [row.level for row in rows] == ["fault", "fine", "fine", "fault", "skipped"]
    assert sorted(told) == [0, 1, 2, 3, 4]
    assert told.index(2) < told.index(1)


async def test_no_line_shows_a_secret_even_if_somebody_else_s_words_hold_one() -> None:
    secrets = ["the-token-of-ours", "sk-a-key-of-ours", "pa55word!", "a-key-of-another"]
    other = FallbackEngine(name="other", url="wss://other.example/v1", model="m", key=secrets[3])
    async with patient(
        tokens=(secrets[0],),
        openai_api_key=secrets[1],
        database_url=f"postgresql://ann:{secrets[2]}@db/x",
        fallback_engines=(other,),
    ) as it:
        leaks = [check("it", fault(f"it says {secret}", f"see {secret}", text=secret)) for secret in secrets]
        rows = await examine(it, leaks, lambda place, row: None)
    for secret in secrets:
        assert secret not in str(rows)
    assert rows[0].what == "it says [secret]"


def row(level: Level) -> Row:
    return Row(check="it", level=level, what="x", remedy="y", text="", docs="d")


def test_the_exit_code_is_that_of_the_worst_line() -> None:
    assert exit_code([row("fine"), row("skipped"), row("warning")]) == 0
    assert exit_code([row("fine"), row("fault"), row("warning")]) == 1
    assert [row(level).ok for level in ("fine", "skipped", "warning", "fault")] == [True, True, True, False]


def test_lines_are_printed_in_order_as_soon_as_those_before_them_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(as_json=False)
    printer.take(1, row("warning"))
    assert capsys.readouterr().out == ""
    printer.take(0, row("fine"))
    out = capsys.readouterr().out.splitlines()
    assert (out[0].split()[0], out[1].split()[0], "-> y (d)" in out[2]) == ("ok", "WARN", True)


# --- the command ----------------------------------------------------------------------------------------------------


def command(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    keyless = dict.fromkeys(
        ("OPENAI_API_KEY", "REALTIME_URL", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "DATABASE_URL", "PUBLIC_URL"), ""
    )
    variables = {**os.environ, **keyless, "OFFHOOK_DATA": str(folder / "data"), "PYTHONPATH": str(ROOT), **environment}
    words = (sys.executable, "-m", "app.cli", "doctor", *words)
    return subprocess.run(words, env=variables, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_without_keys_and_without_a_server_it_says_what_it_skips_and_leaves_nothing_behind(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    done = command(tmp_path, "--json", PORT=str(unused_tcp_port))
    rows = json.loads(done.stdout)
    assert all(set(row) == FIELDS for row in rows), rows
    by_name = {row["check"]: row for row in rows}
    names = [row["check"] for row in rows]
    assert [name for name in names if not name.startswith("session_")] == [*BEFORE, *AFTER]
    assert "session_receptionist" in names
    assert [row for row in rows if not row["ok"]] == []
    assert done.returncode == 0
    assert "needs a running server" in by_name["database"]["what"]
    assert "needs a running server" in by_name["public_url"]["what"]
    assert "no model key" in by_name["model_key"]["what"]
    assert "TWILIO_ACCOUNT_SID" in by_name["number"]["what"]
    assert "--call" in by_name["call"]["remedy"]
    assert list(tmp_path.iterdir()) == []


def test_settings_that_cannot_be_read_are_a_fault_and_nothing_else_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "no port")
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "FAULT settings" in out
    assert "PORT: expected a whole number" in out
    assert main(["doctor", "--fix"]) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "words", [["--yes"], ["--fallback", "https://x.example"], ["--fix", "--fallback", "http://x.example"]]
)
def test_options_that_do_not_fit_together_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *words]) == 1
    assert "offhook doctor: expected" in capsys.readouterr().err


@pytest.fixture
def unused_tcp_port() -> int:
    return free_port()


def test_the_token_is_looked_for_and_none_is_made(tmp_path: Path) -> None:
    settings = make_settings(data=tmp_path)
    assert tokens_of(settings) == ()
    (tmp_path / "twilio_auth_token").write_text("kept\n")
    assert tokens_of(settings) == ("kept",)
    assert tokens_of(make_settings(data=tmp_path, twilio_auth_tokens=("a", "b"))) == ("a", "b")


# --- --fix ----------------------------------------------------------------------------------------------------------

BIN = "https://handler.twilio.com/twiml/EH1"


@pytest.fixture
async def carrier() -> AsyncIterator[Carrier]:
    it = Carrier(auth_token=TOKEN, public_url=PUBLIC, numbers=[PhoneNumber(OURS), PhoneNumber("+14155550142")])
    yield it
    await it.close()


async def fixed(carrier: Carrier, base: str, **options: object) -> PhoneNumber:
    async with patient(
        twilio_account_sid=ACCOUNT,
        twilio_auth_tokens=(TOKEN,),
        twilio_phone_number=OURS,
        twilio_api_base=base,
        public_url=PUBLIC,
    ) as it:
        await fix(it, **options)  # type: ignore[arg-type]
    return carrier.account.numbers[OURS]


async def test_fix_wires_the_number_shows_old_and_new_and_touches_nothing_else(
    carrier: Carrier, capsys: pytest.CaptureFixture[str]
) -> None:
    number, other = carrier.account.numbers[OURS], carrier.account.numbers["+14155550142"]
    number.voice_url, number.voice_method = "https://demo.twilio.com/welcome/voice/", "GET"
    number.voice_application_sid, number.trunk_sid, number.sms_url = "AP1", "TK1", "https://sms.example/in"
    before = dict(vars(other))
    base = await carrier.start_rest()
    await fixed(carrier, base, asks=False)
    assert number.settings() == {
        "voice_url": f"{PUBLIC}/twilio/incoming",
        "voice_method": "POST",
        "voice_fallback_url": f"{PUBLIC}/twilio/fallback",
        "voice_fallback_method": "POST",
        "status_callback": f"{PUBLIC}/twilio/status",
        "status_callback_method": "POST",
        "voice_application_sid": "",
        "trunk_sid": "",
        "sms_url": "https://sms.example/in",
        "sms_method": "POST",
    }
    assert vars(other) == before
    assert set(carrier.account.numbers) == {OURS, "+14155550142"}
    out = capsys.readouterr().out
    assert f"VoiceUrl: https://demo.twilio.com/welcome/voice/ -> {PUBLIC}/twilio/incoming" in out
    assert "TrunkSid: TK1 -> (nothing)" in out
    await fixed(carrier, base, asks=False)
    assert "as it should be" in capsys.readouterr().out


async def test_fix_keeps_a_url_of_ours_with_its_mode_and_a_fallback_unless_another_is_named(carrier: Carrier) -> None:
    number = carrier.account.numbers[OURS]
    number.voice_url = f"{PUBLIC}/twilio/incoming?mode=ivr#rc=2"
    number.voice_fallback_url = "https://elsewhere.example/fallback"
    base = await carrier.start_rest()
    await fixed(carrier, base, asks=False)
    assert number.voice_url == f"{PUBLIC}/twilio/incoming?mode=ivr#rc=2"
    assert number.voice_fallback_url == "https://elsewhere.example/fallback"
    await fixed(carrier, base, asks=False, fallback_url=BIN)
    assert number.voice_fallback_url == BIN


async def test_fix_changes_nothing_unless_somebody_agrees(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base = await carrier.start_rest()
    monkeypatch.setattr(doctor, "_agreed", lambda: False)
    assert (await fixed(carrier, base)).voice_url == ""
    assert "nothing was changed" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "_agreed", lambda: True)
    assert (await fixed(carrier, base)).voice_url == f"{PUBLIC}/twilio/incoming"


async def test_fix_says_why_it_cannot(carrier: Carrier) -> None:
    base = await carrier.start_rest()
    with pytest.raises(SetupError, match="TWILIO_ACCOUNT_SID is not set"):
        async with patient(public_url=PUBLIC) as it:
            await fix(it, asks=False)
    with pytest.raises(SetupError, match="expected a PUBLIC_URL that Twilio can reach"):
        async with patient(twilio_account_sid=ACCOUNT, twilio_auth_tokens=(TOKEN,)) as it:
            await fix(it, asks=False)
    carrier.throttle(1)
    with pytest.raises(SetupError, match="429"):
        await fixed(carrier, base, asks=False)
    assert carrier.account.numbers[OURS].voice_url == ""


async def test_an_answer_that_is_none_after_a_change_is_told_and_the_number_is_to_be_looked_at() -> None:
    number = {"sid": "PN1", "phone_number": OURS}
    path = f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers"
    answers = {f"{path}.json": (200, json.dumps({"incoming_phone_numbers": [number]}))}
    for broken in ("<html>", "[]", '{"sid": 1}', ""):
        async with host({**answers, f"{path}/PN1.json": (200, broken)}) as it:
            account: dict[str, Any] = {
                "twilio_account_sid": ACCOUNT,
                "twilio_auth_tokens": (TOKEN,),
                "twilio_api_base": it.url,
            }
            async with patient(**account, twilio_phone_number=OURS, public_url=PUBLIC) as who:
                with pytest.raises(SetupError, match=r"expected a phone number .* look at the number"):
                    await fix(who, asks=False)


def test_a_server_on_this_machine_is_looked_for_where_it_runs() -> None:
    here = Running(1, "http://127.0.0.1:9000", "http://127.0.0.1:9000", "", "")
    found = as_running(make_settings(), here)
    assert (found.public_url, found.port) == ("http://127.0.0.1:9000", 9000)
    away = make_settings(public_url=PUBLIC)
    assert as_running(away, here) is away
    assert as_running(away, None) is away


def test_a_server_behind_a_tunnel_of_its_own_is_looked_for_there(tmp_path: Path) -> None:
    tunnel, wired = "https://four-words.trycloudflare.com", make_settings(public_url=PUBLIC, data=tmp_path)
    running = Running(1, "http://127.0.0.1:9000", tunnel, "", "")
    assert as_running(wired, running) is wired, "it was started before PUBLIC_URL was changed"
    note = Client("cloudflared", os.getpid(), processes.began(os.getpid()), tunnel)
    write_private(client_file(tmp_path), msgspec.json.encode(note).decode())
    for settings in (wired, make_settings(data=tmp_path)):
        found = as_running(settings, running)
        assert (found.public_url, found.port) == (tunnel, 9000)
