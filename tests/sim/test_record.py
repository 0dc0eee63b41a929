"""<Record> of the stand-in: the beep, what the caller says, and who is told of it, as Twilio documents it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from app.sim.carrier_call import CarrierCall
from app.sim.playout import SILENCE
from tests.sim.carrier_stage import CALLER, OURS, Line, Stage, stage

LOUD = b"\x00\x80" * 80
ALL = 'recordingStatusCallback="/stored" recordingStatusCallbackEvent="in-progress completed absent"'


class Speaker(Line):
    """Says so many seconds, then nothing."""

    def __init__(self, seconds: float, before: float = 0.0) -> None:
        super().__init__()
        self.recorded = asyncio.Event()
        self._silent, self._loud = round(before * 50), round(seconds * 50)

    def next_frame(self) -> bytes:
        self._silent -= 1
        if self._silent >= 0:
            return SILENCE
        self._loud -= 1
        self.recorded.set()
        return LOUD if self._loud >= 0 else SILENCE


@pytest_asyncio.fixture
async def it() -> AsyncIterator[Stage]:
    async with stage() as made:
        yield made


async def called(it: Stage, record: str, line: Line) -> CarrierCall:
    it.answers["/twilio/incoming"] = f"<Response>{record}<Say>on</Say></Response>"
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=line)
    await call.finished()
    return call


def states(it: Stage) -> list[str]:
    return [asked.fields["RecordingStatus"] for asked in it.to("/stored")]


async def test_what_is_said_goes_to_the_action_and_to_the_callback(it: Stage) -> None:
    it.answers["/kept"] = "<Response><Hangup/></Response>"
    call = await called(it, f'<Record action="/kept" timeout="3" {ALL}/>', Speaker(2, before=1))
    (kept,), stored = it.to("/kept"), it.to("/stored")
    assert states(it) == ["in-progress", "completed"]
    assert all(asked.signed for asked in (kept, *stored))
    assert kept.fields["RecordingSid"].startswith("RE")
    assert kept.fields["RecordingUrl"].endswith(kept.fields["RecordingSid"])
    assert {asked.fields["RecordingSid"] for asked in stored} == {kept.fields["RecordingSid"]}
    assert (kept.fields["RecordingDuration"], kept.fields["Digits"]) == ("2", ""), "silence is trimmed"
    assert len(call.log.of("beep")) == 1
    assert "Say" not in [entry.detail["name"] for entry in call.log.of("verb")]


async def test_who_says_nothing_leaves_no_recording_and_the_next_verb_follows(it: Stage) -> None:
    call = await called(it, f'<Record action="/kept" playBeep="false" {ALL}/>', Line())
    assert it.to("/kept") == []
    assert states(it) == ["in-progress", "absent"]
    assert [entry.detail["name"] for entry in call.log.of("verb")] == ["Record", "Say"]
    assert call.log.of("beep") == []


async def test_it_ends_at_its_longest_and_without_trimming_has_all_of_it(it: Stage) -> None:
    it.answers["/kept"] = "<Response><Hangup/></Response>"
    await called(it, '<Record action="/kept" maxLength="4" trim="do-not-trim"/>', Speaker(60))
    assert it.to("/kept")[0].fields["RecordingDuration"] == "4"


async def test_a_finishing_key_ends_it_and_another_does_not(it: Stage) -> None:
    it.answers["/kept"] = "<Response><Hangup/></Response>"
    it.answers["/twilio/incoming"] = '<Response><Record action="/kept" finishOnKey="#" timeout="9000"/></Response>'
    line = Speaker(8000)
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=line)
    await line.recorded.wait()
    call.press("5")
    call.press("#")
    await call.finished()
    assert it.to("/kept")[0].fields["Digits"] == "#"


async def test_who_hangs_up_in_it_has_left_what_was_said(it: Stage) -> None:
    it.answers["/twilio/incoming"] = f'<Response><Record action="/kept" timeout="9000" {ALL}/></Response>'
    line = Speaker(8000)
    call = await it.carrier.dial(from_number=CALLER, to_number=OURS, line=line)
    await line.recorded.wait()
    await call.hang_up()
    (kept,) = it.to("/kept")
    assert (kept.fields["Digits"], kept.fields["CallStatus"]) == ("hangup", "completed")
    assert states(it) == ["in-progress", "completed"]


@pytest.mark.parametrize(
    "wrong",
    ['timeout="0"', 'maxLength="1"', 'maxLength="x"', 'finishOnKey="A"', 'playBeep="yes"', 'trim="all"'],
)
async def test_values_that_cannot_be_are_warned_of_and_the_defaults_hold(it: Stage, wrong: str) -> None:
    call = await called(it, f'<Record action="/kept" {wrong}/>', Line())
    assert call.log.codes() == [12200]
    assert [entry.detail["name"] for entry in call.log.of("verb")] == ["Record", "Say"]
