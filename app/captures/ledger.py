"""What a caller has given in one call, and whether they agreed to it.

The model's word is not taken for it. A tool that demands a confirmed value does not run when the value comes for the first time:
the model is told how to read it back. If the next call brings the same value, and the caller has spoken or pressed a key since,
it is confirmed. Another value by then is a correction and counts as a failure, as words do that cannot be read; after two
failures the caller is asked to type it, where it can be typed. All of it lives as long as the call, over all its streams.

    no value --readable--> read back --same value, the caller answered--> confirmed --another value--> a new capture
                           read back --another value--> read back again (a failure)
    two failures --------> typed on the keypad, and read back once more
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from app.captures.arguments import Wanted
from app.captures.captured import Reading, Scene
from app.captures.heard import LONGEST
from app.core.rows import Capture
from app.errors import AskFirst, ToolError

FAILURES = 2
"""After so many a value is typed; after twice as many the agent gives up."""


class Slot(msgspec.Struct):
    """One capture as it goes: of one kind, for arguments of one name."""

    seq: int
    value: str = ""
    """As it was read; empty while nothing could be, or it is to be typed."""
    told_at: int = -1
    """The caller's turns when the model was last told what to ask."""
    failures: int = 0
    confirmed: bool = False
    keys: bool = False
    """It is to be typed: no value is taken before the caller has had a turn."""


class CaptureLedger:
    """The captures of one call. `keep` takes a row whenever one has changed; rows are counted from `first_seq`."""

    def __init__(self, call_sid: str, keep: Callable[[Capture], object], first_seq: int = 0) -> None:
        self.call_sid = call_sid
        self.keep = keep
        self._next_seq = first_seq
        self._slots: dict[tuple[str, str], Slot] = {}

    def recall(self, rows: Sequence[Capture]) -> None:
        """Go on with what another process took down, in order: what was confirmed there is; the rest is read back anew."""
        for row in rows:
            slot = Slot(row.seq, value=row.value, failures=row.failures, confirmed=row.confirmed)
            self._slots[row.kind, row.argument] = slot
            self._next_seq = max(self._next_seq, row.seq + 1)

    def settle(self, tool: str, wanted: Mapping[str, Wanted], values: dict[str, Any], scene: Scene) -> dict[str, Any]:
        """Arguments as the model sent them to those that the tool takes.

        Raises ToolError, with all that is to be read back or asked for again, if one is unreadable, or demanded and not confirmed.
        """
        settled = dict(values)
        asks: list[ToolError] = []
        for argument, want in wanted.items():
            heard = values[argument]
            if want.optional and (heard is None or not heard.strip()):
                settled[argument] = None
                continue
            try:
                settled[argument] = self._capture(argument, want, heard, scene)
            except ToolError as ask:
                asks.append(ask)
        if asks:
            kind = AskFirst if all(isinstance(ask, AskFirst) for ask in asks) else ToolError
            raise kind(f"{tool} was not run. {' '.join(str(ask) for ask in asks)}")
        return settled

    def asked(self, wanted: Mapping[str, Wanted]) -> dict[str, str]:
        """The values of these arguments as they stand: what the model was last told to read back, or what is confirmed."""
        slots = {argument: self._slots.get((want.kind.name, argument)) for argument, want in wanted.items()}
        return {argument: slot.value for argument, slot in slots.items() if slot is not None and slot.value}

    def _capture(self, argument: str, want: Wanted, heard: str, scene: Scene) -> Any:
        key = (want.kind.name, argument)
        slot = self._slots.get(key) or self._new(key)
        turns = scene.caller_turns
        answered = turns > slot.told_at
        try:
            reading = want.kind.read(heard, want.rule, scene)
        except ToolError as wrong:
            raise self._unreadable(key, want, heard, str(wrong), scene) from wrong
        value = str(want.captured(reading.value))
        if value == slot.value and (slot.confirmed or (want.demanded and slot.told_at >= 0 and answered)):
            if not slot.confirmed:
                slot.confirmed = True
                self._write(key, slot, heard)
            return want.captured(reading.value, confirmed=True)
        if value == slot.value and want.demanded and slot.told_at >= 0:
            raise AskFirst(
                f"The caller has not answered since. Read the {_said(argument)} back ({reading.aloud}), wait for the answer, "
                "and call again after it."
            )
        if slot.confirmed:
            slot = self._new(key)
        if want.demanded:
            raise self._ask(key, slot, want, heard, value, reading, scene)
        if value != slot.value:
            slot.value, slot.told_at, slot.keys = value, -1, False
            self._write(key, slot, heard)
        return want.captured(reading.value)

    def _ask(
        self, key: tuple[str, str], slot: Slot, want: Wanted, heard: str, value: str, reading: Reading, scene: Scene
    ) -> ToolError:
        """What the model is told of a value that is not confirmed: read it back, or have it typed."""
        answered = scene.caller_turns > slot.told_at
        if slot.keys and not answered:
            return ToolError(_type_it(key[1], want, scene))
        corrected = not slot.keys and slot.told_at >= 0 and bool(slot.value) and answered
        slot.failures += corrected
        slot.told_at = scene.caller_turns
        slot.keys = corrected and slot.failures >= FAILURES and bool(want.kind.keys(scene.office.country))
        hopeless = corrected and slot.failures >= 2 * FAILURES
        slot.value = "" if slot.keys or hopeless else value  # nobody can agree to what was not read back
        self._write(key, slot, heard)
        if hopeless:
            return ToolError(_give_up(key[1]))
        if slot.keys:
            return ToolError(_type_it(key[1], want, scene))
        return AskFirst(
            f"Read the {_said(key[1])} back to the caller and ask whether it is right: {reading.aloud}. If they agree, "
            f'call again with {key[1]}="{value}"; if they correct it, with what they say instead.'
        )

    def _unreadable(self, key: tuple[str, str], want: Wanted, heard: str, why: str, scene: Scene) -> ToolError:
        """Count a failure, one for each turn of the caller's at most, and say what to do."""
        slot = self._slots[key]
        if slot.confirmed:
            slot = self._new(key)
        if scene.caller_turns > slot.told_at or not slot.failures:
            slot.failures += 1
        slot.told_at = scene.caller_turns
        slot.value = ""
        keys = want.kind.keys(scene.office.country)
        slot.keys = slot.failures >= FAILURES and bool(keys)
        self._write(key, slot, heard)
        fault = f"The {_said(key[1])} could not be read: {why}."
        if slot.failures >= 2 * FAILURES:
            return ToolError(f"{fault} {_give_up(key[1])}")
        if slot.keys:
            return ToolError(f"{fault} {_type_it(key[1], want, scene)}")
        slowly = "slowly, with a word for each letter," if slot.failures >= FAILURES else "slowly"
        return ToolError(f"{fault} Ask the caller to say it again {slowly} and call again with what you hear.")

    def _new(self, key: tuple[str, str]) -> Slot:
        slot = self._slots[key] = Slot(self._next_seq)
        self._next_seq += 1
        return slot

    def _write(self, key: tuple[str, str], slot: Slot, heard: str) -> None:
        self.keep(
            Capture(
                call_sid=self.call_sid,
                seq=slot.seq,
                kind=key[0],
                argument=key[1],
                heard=heard[:LONGEST],
                value=slot.value,
                confirmed=slot.confirmed,
                failures=slot.failures,
            )
        )


def _said(argument: str) -> str:
    return argument.replace("_", " ")


def _type_it(argument: str, want: Wanted, scene: Scene) -> str:
    return (
        f"Ask the caller to type the {_said(argument)} on the telephone's keypad ({want.kind.keys(scene.office.country)}), "
        "then the pound key, and call again with the digits that were pressed."
    )


def _give_up(argument: str) -> str:
    return f"The {_said(argument)} cannot be understood. Apologise, and offer a person, or go on without it if you can."
