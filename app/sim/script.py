"""A rehearsal script: a call as a TOML file that a person can read and edit.

Who says what, which tools are called, and what must come of it.

Every string of a turn is a Jinja2 template over the script's [vars] and the answers that earlier tools gave (`save`), with
the filters `weekday` (2026-12-01 -> Tuesday), `time` (09:15 -> nine fifteen) and `spell` (BAKER -> B, A, K, E, R).
A value of [vars] like "next tuesday", "tomorrow", "today" or "in 3 days" becomes an ISO date; anything else is kept as text.
"""

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from app.core.rows import TransferResult
from app.errors import SetupError
from app.sim.budgets import Budgets
from app.sim.model_faults import Faults
from app.sim.script_words import check_names, resolve_day
from app.sim.truth import Claim

SCRIPTS = Path(__file__).parent / "scripts"
T = TypeVar("T")
Milliseconds = Annotated[int, msgspec.Meta(ge=0)]
Keys = Annotated[str, msgspec.Meta(pattern="^[0-9*#]*$")]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file: what it does not know, it refuses."""


class Caller(_Table, frozen=True, kw_only=True):
    """Who calls: an E.164 number, and the voice that says the caller's lines."""

    number: Annotated[str, msgspec.Meta(pattern=r"^\+[1-9][0-9]{4,14}$")]
    voice: str = "anna"
    known_as: str = ""
    """A name that the business's own tables know this number by, from an earlier message."""


class Carrier(_Table, frozen=True, kw_only=True):
    """What the telephone network does: what becomes of each <Dial>, in order.

    dial: completed (somebody answers), busy, no-answer, failed; and of somebody who answers and hears a whisper: accepts,
    declines (another key), hangs-up, silent, voicemail (neither ever presses a key).
    keys: what the caller presses in each <Gather>, in order; "" for nothing.
    """

    dial: list[
        Literal["completed", "accepts", "declines", "hangs-up", "silent", "voicemail", "busy", "no-answer", "failed"]
    ] = []
    keys: list[Keys] = []


class ToolUse(_Table, frozen=True, kw_only=True):
    """A tool that the agent calls. `save`: the name that its JSON answer gets in later templates."""

    name: str
    arguments: dict[str, Any] = {}
    save: str = ""
    agent_if_error: str = ""


class Turn(_Table, frozen=True, kw_only=True):
    """One exchange: the caller speaks (`caller`) or presses (`keys`), the agent answers. With neither it opens a stream.

    cuts_in_after_ms: the caller starts once that much of what the agent is saying was heard.
    preamble: said in the same response as the tool calls; `agent`: said once their answers are in, or at once.
    waits_ms: the caller's extra pause before speaking.
    """

    caller: str = ""
    keys: Keys = ""
    cuts_in_after_ms: Milliseconds | None = None
    hangs_up_after_ms: Milliseconds | None = None
    waits_ms: Milliseconds = 0
    preamble: str = ""
    tools: list[ToolUse] = []
    agent: str = ""

    @property
    def opening(self) -> bool:
        """True if the agent speaks first here: the n-th session of a call takes the n-th opening."""
        return not (self.caller or self.keys or self.hangs_up_after_ms is not None)


class Outcome(_Table, frozen=True, kw_only=True):
    """The outcome that must be on record; of its fields, those named here."""

    kind: str
    valid: bool = True
    fields: dict[str, Any] = {}


class Pace(_Table, frozen=True, kw_only=True):
    """Another median length of the agent's turns than people like to listen to, and why this talk has it."""

    from_ms: Milliseconds
    to_ms: Milliseconds
    reason: Annotated[str, msgspec.Meta(min_length=1)]


USUAL_PACE = Pace(from_ms=2000, to_ms=5000, reason="shorter sounds curt, longer makes callers cut in")


class Outbound(_Table, frozen=True, kw_only=True):
    """The server calls, and `caller` picks up and speaks first. Its strings are templates over [vars].

    fields: what the call is asked for with; booked: the appointment in them is on record. result: busy, no-answer, failed: nobody
    picks up. answered_by, verdict_ms: what the carrier finds out, and when; of a machine: its greeting is the first turn.
    """

    fields: dict[str, str] = {}
    booked: bool = False
    result: Literal["answered", "busy", "no-answer", "failed"] = "answered"
    answered_by: Literal[
        "human", "machine_end_beep", "machine_end_silence", "machine_end_other", "machine_start", "fax", "unknown"
    ] = "human"
    verdict_ms: Milliseconds = 1500


class Expect(_Table, frozen=True, kw_only=True):
    """What must hold after the call; what is left out is not looked at.

    tools: "name:status" of every tool call, in order. cut_short: which of the agent's turns (from 0) the caller cut into.
    dials: how many times a person was dialled. transfers: the result of each attempt to put the caller through, in order.
    texts: how many texts the carrier took for the caller. Of a call that the server places, result: of the attempt; carrier_says:
    a pattern in what the carrier's own voice says (a message left); agent_silent: no word of the agent's is heard.
    agent_turns: their median length as heard; without it 2000-5000 ms. claims: more deeds that need a tool (app/sim/truth.py).
    """

    ended_by: str | None = None
    outcome: Outcome | None = None
    tools: list[str] | None = None
    cut_short: list[int] | None = None
    dials: int | None = None
    transfers: list[TransferResult] | None = None
    texts: int | None = None
    result: str | None = None
    carrier_says: str | None = None
    agent_silent: bool = False
    agent_turns: Pace = USUAL_PACE
    claims: list[Claim] = []


class Script(_Table, frozen=True, kw_only=True):
    """A whole rehearsal."""

    title: str
    mode: str
    caller: Caller
    carrier: Carrier = Carrier()
    outbound: Outbound | None = None
    """The server places the call; None: `caller` calls."""
    model: Faults | None = None
    """What is wrong with the model stand-in in this call; another model knows nothing of it."""
    vars: dict[str, str] = {}
    turn: list[Turn] = []
    expect: Expect = Expect()
    budgets: Budgets = Budgets()
    """Other limits than the usual ones."""

    def variables(self, today: date) -> dict[str, Any]:
        """[vars] on a day, as the business's zone has it."""
        return {name: resolve_day(value, today) for name, value in self.vars.items()}

    @property
    def openings(self) -> list[int]:
        """Indices of the turns that open a stream, in order."""
        return [n for n, turn in enumerate(self.turn) if turn.opening]


def load(path: Path) -> Script:
    """Read a script. Raises SetupError that names the file, the turn and the key."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SetupError(f"{path}: expected a rehearsal script in TOML, got: {error}") from error
    return parse(data, str(path))


def parse(data: object, source: str) -> Script:
    """Check a script that was read already. `source` names it in errors. Raises SetupError."""
    turns = data.get("turn") if isinstance(data, dict) else None
    for n, turn in enumerate(turns if isinstance(turns, list) else [], 1):
        _convert(turn, Turn, f"{source}: turn {n}")
    script = _convert(data, Script, source)
    if not script.turn and (script.outbound is None or script.outbound.result == "answered"):
        raise SetupError(f"{source}: expected at least one [[turn]], got none")
    pace = script.expect.agent_turns
    if pace.from_ms >= pace.to_ms or not pace.reason.strip():
        raise SetupError(
            f"{source}: expected `agent_turns` with `from_ms` below `to_ms` and a reason, "
            f"got {pace.from_ms}, {pace.to_ms} and {pace.reason!r}"
        )
    for claim in script.expect.claims:
        for words in (claim.says, claim.tool):
            try:
                re.compile(words)
            except re.error as wrong:
                raise SetupError(
                    f"{source}: expect.claims: expected a regular expression, got {words!r}: {wrong}"
                ) from wrong
    known = set(script.vars)
    for n, turn in enumerate(script.turn, 1):
        _check(turn, known, f"{source}: turn {n}")
    return script


def shipped() -> dict[str, Path]:
    """The scripts that come with the product, by name."""
    return {path.stem: path for path in sorted(SCRIPTS.glob("*.toml"))}


def _convert(data: object, kind: type[T], source: str) -> T:
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise SetupError(f"{source}: {error}") from error


def _check(turn: Turn, known: set[str], source: str) -> None:
    """Refuse what would only show in the middle of a call: bad templates, names that nobody sets, words nobody says."""
    if turn.preamble and not turn.tools:
        raise SetupError(f"{source}: `preamble` goes with `tools`, and there are none; use `agent`")
    if turn.opening and not (turn.agent or turn.tools):
        raise SetupError(f"{source}: expected one of `caller`, `keys`, `agent`, `tools`, got none of them")
    if turn.opening and turn.cuts_in_after_ms is not None:
        raise SetupError(f"{source}: `cuts_in_after_ms` needs what the caller says (`caller`) or presses (`keys`)")
    check_names([turn.caller, turn.preamble, *(use.arguments for use in turn.tools)], known, source)
    known |= {use.save for use in turn.tools if use.save}
    check_names([turn.agent, *(use.agent_if_error for use in turn.tools)], known, source)
