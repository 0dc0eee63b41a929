"""Retell: a call from the books becomes a rehearsal script that `./offhook call` runs.

The voices of the rehearsals are recordings, so most of what real people say cannot be said again. Such a line is told by the
recorded phrase that is nearest to it, and the script says so beside it, with the words as they were. Days are kept relative to
the call's day. What the business answered then it may not answer now: the script expects the tools, not their words.
"""

import json
import re
import tomllib
from collections.abc import Sequence
from datetime import date
from difflib import get_close_matches

import msgspec

from app.adapters.store import Call
from app.core.rows import Outcome, Span, ToolCall, TransferAttempt, Turn
from app.rules.office import E164
from app.sim.script import Script, parse
from app.sim.voices import can_say, recorded

VOICE = "anna"
NOBODY = "+14155550100"
"""Calls from a withheld number are retold from this one: 555-01xx numbers belong to nobody."""
FALLBACK = {VOICE: "Yes please.", "agent": "One moment please."}
DIALS = {
    "accepted": "completed", "busy": "busy", "no_answer": "no-answer", "declined": "declines", "voicemail": "voicemail",
    "failed": "failed",
}  # fmt: skip
DAY = re.compile(r"(?<!\d)(\d{4}-\d\d-\d\d)(?!\d)")


class Exchange(msgspec.Struct):
    """One turn of the script as it grows."""

    caller: str = ""
    keys: str = ""
    cuts_in_after_ms: int | None = None
    hangs_up_after_ms: int | None = None
    before: list[str] = []
    """What the agent said before its tools, and after."""
    after: list[str] = []
    tools: list[ToolCall] = []


class Told(msgspec.Struct, frozen=True):
    """A script as text, and the lines that are not told in their own words: (who, as it was, as it is told)."""

    toml: str
    replaced: list[tuple[str, str, str]]
    script: Script


def retell(
    call: Call,
    day: date,
    *,
    turns: Sequence[Turn],
    tools: Sequence[ToolCall],
    spans: Sequence[Span],
    transfers: Sequence[TransferAttempt],
    outcome: Outcome | None,
) -> Told:
    """A script of a call that has ended. day: on which it was, at the business. Raises SetupError if nothing was said in it."""
    teller = _Teller(day)
    for exchange in exchanges(call, turns, tools, spans):
        teller.tell(exchange)
    number = call.to_number if call.direction == "outbound" else call.from_number
    head = [
        f"title = {_text(f'As the call of {day.isoformat()} went')}",
        f"mode = {_text(call.mode)}",
        "",
        "[caller]",
        f"number = {_text(number if E164.fullmatch(number) else NOBODY)}",
        f"voice = {_text(VOICE)}",
    ]
    dials = [_dial(attempt) for attempt in transfers if attempt.result in DIALS]
    if dials:
        head += ["", "[carrier]", f"dial = {_value(dials)}"]
    if teller.days:
        head += ["", "[vars]", *(f"{name} = {_text(text)}" for name, text in teller.days.values())]
    expect = [
        "",
        "[expect]",
        'agent_turns = { from_ms = 0, to_ms = 600000, reason = "a call that was made has the pace it had" }',
    ]
    if tools:
        expect.append(f"tools = {_value([f'{tool.name}:{tool.status}' for tool in tools if tool.status != 'working'])}")
    if outcome is not None:
        expect.append(f"outcome = {{ kind = {_text(outcome.kind)}, valid = {_value(outcome.valid)} }}")
    toml = "\n".join([*_preface(call, day, teller.replaced), *head, *teller.lines, *expect]) + "\n"
    return Told(toml, teller.replaced, parse(tomllib.loads(toml), "the retold call"))


def exchanges(call: Call, turns: Sequence[Turn], tools: Sequence[ToolCall], spans: Sequence[Span]) -> list[Exchange]:
    """The call in exchanges: each stream's opening, then what the caller said or pressed with what the agent did about it."""
    happened: list[tuple[int, int, Turn | ToolCall | Span]] = [(turn.start_ms, 2, turn) for turn in turns]
    happened += [(tool.start_ms, 3, tool) for tool in tools if tool.start_ms is not None]
    happened += [
        (span.start_ms, 0 if span.kind == "stream" else 1, span) for span in spans if span.kind in ("stream", "key")
    ]
    happened.sort(key=lambda entry: entry[:2])
    made: list[Exchange] = []
    heard: Turn | None = None
    for _, _, thing in happened:
        match thing:
            case Span(kind="stream"):
                made.append(Exchange())
            case Span(name=key):
                if made and made[-1].keys and not (made[-1].before or made[-1].tools):
                    made[-1].keys += key
                else:
                    made.append(Exchange(keys=key))
            case Turn(who="caller", generated_text=text) if text:
                made.append(Exchange(caller=text, cuts_in_after_ms=_cut_after(heard, thing)))
            case Turn(who="agent", generated_text=text) if text:
                heard = thing
                if not made:
                    made.append(Exchange())
                (made[-1].after if made[-1].tools else made[-1].before).append(text)
            case ToolCall():
                if not made:
                    made.append(Exchange())
                made[-1].tools.append(thing)
    if call.outcome == "caller_left":
        made.append(Exchange(hangs_up_after_ms=1000))
    return [
        one for one in made if one.caller or one.keys or one.before or one.tools or one.hangs_up_after_ms is not None
    ]


def _cut_after(heard: Turn | None, turn: Turn) -> int | None:
    """After how much of what the agent said the caller cut in, if they did."""
    if heard is None or heard.heard_text == heard.generated_text or turn.start_ms > heard.end_ms + 1000:
        return None
    return max(0, heard.end_ms - heard.start_ms)


class _Teller:
    """Writes the turns, and keeps what cannot be said again."""

    def __init__(self, day: date) -> None:
        self.day = day
        self.days: dict[str, tuple[str, str]] = {}
        """By ISO date: the variable, and the day as the script has it."""
        self.replaced: list[tuple[str, str, str]] = []
        self.lines: list[str] = []

    def tell(self, exchange: Exchange) -> None:
        """One [[turn]]."""
        self.lines += ["", "[[turn]]"]
        opening = not (exchange.caller or exchange.keys or exchange.hangs_up_after_ms is not None)
        if exchange.cuts_in_after_ms is not None and not opening:
            self.lines.append(f"cuts_in_after_ms = {exchange.cuts_in_after_ms}")
        if exchange.hangs_up_after_ms is not None:
            self.lines.append(f"hangs_up_after_ms = {exchange.hangs_up_after_ms}")
        if exchange.caller:
            self._says("caller", exchange.caller, VOICE)
        elif exchange.keys:
            self.lines.append(f"keys = {_text(''.join(key for key in exchange.keys if key in '0123456789*#'))}")
        if exchange.before:
            self._says("preamble" if exchange.tools else "agent", " ".join(exchange.before), "agent")
        if exchange.tools:
            self.lines.append(f"tools = [{', '.join(self._tool(tool) for tool in exchange.tools)}]")
        if exchange.after:
            self._says("agent", " ".join(exchange.after), "agent")

    def _says(self, key: str, words: str, voice: str) -> None:
        plain = " ".join(words.replace("{", "(").replace("}", ")").split())
        if not can_say(plain, voice):
            near = get_close_matches(plain.lower(), recorded(voice), 1, 0.3)
            told = near[0] if near else FALLBACK[voice]
            self.replaced.append(("caller" if voice == VOICE else "agent", plain, told))
            self.lines.append(f"# not recorded, told by what is near: {_comment(plain)}")
            plain = told
        self.lines.append(f"{key} = {_text(plain)}")

    def _tool(self, tool: ToolCall) -> str:
        try:
            arguments = json.loads(tool.arguments or "{}")
        except ValueError:
            arguments = {}
        given = f"name = {_text(tool.name)}"
        if isinstance(arguments, dict) and arguments:
            given += f", arguments = {_value(self._relative(arguments))}"
        return "{ " + given + " }"

    def _relative(self, value: object) -> object:
        """The same with its days as variables of the script, and no other template in it."""
        match value:
            case str():
                return DAY.sub(self._variable, value.replace("{", "(").replace("}", ")"))
            case dict():
                return {str(key): self._relative(part) for key, part in value.items() if part is not None}
            case list():
                return [self._relative(part) for part in value if part is not None]
        return value

    def _variable(self, found: re.Match[str]) -> str:
        try:
            ahead = (date.fromisoformat(found[1]) - self.day).days
        except ValueError:
            return found[1]
        if ahead < 0:
            return found[1]
        text = "today" if ahead == 0 else f"in {ahead} days"
        name, _ = self.days.setdefault(found[1], (f"day{len(self.days) + 1}", text))
        return "{{ " + name + " }}"


def _preface(call: Call, day: date, replaced: Sequence[tuple[str, str, str]]) -> list[str]:
    lines = [f"# The call {_comment(call.call_sid)} of {day.isoformat()}, retold. Run it: ./offhook call THIS-FILE"]
    if replaced:
        callers = sum(who == "caller" for who, _, _ in replaced)
        lines += [
            f"# {len(replaced)} lines ({callers} of the caller's) have words that nobody recorded: each is told by the",
            "# nearest phrase, and stands as it was in the comment above it. Change them, or record them (tools/render_clips.py).",
        ]
    lines += [
        "# Said by the stand-in's voices, without the pauses, noises and accents of the call. What the business answers may have",
        "# changed since (a time that was free then is taken now), so tools and outcome may come out differently.",
        "",
    ]
    return lines


def _dial(attempt: TransferAttempt) -> str:
    return "accepts" if attempt.result == "accepted" and attempt.whisper else DIALS[attempt.result]


def _comment(text: str) -> str:
    """On one line, without control characters."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _text(text: str) -> str:
    """A TOML string. JSON's escapes are TOML's, but for DEL and halves of surrogate pairs."""
    clean = text.encode("utf-8", "replace").decode().replace("\x7f", "")
    return json.dumps(clean, ensure_ascii=False)


def _value(value: object) -> str:
    """A TOML value on one line. Keys are quoted; null, which TOML lacks, is left out before."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case dict():
            return "{ " + ", ".join(f"{_text(str(key))} = {_value(part)}" for key, part in value.items()) + " }"
        case list():
            return "[" + ", ".join(_value(part) for part in value) + "]"
    return str(value)
