"""The last rungs: the fallback that the carrier asks when it could not use us, and the message that is left for nobody."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest

from app.core.rows import TransferAttempt
from app.core.standing import Standing
from app.web.rungs import BUSY, KEPT, LEAVE_MESSAGE, SORRY
from tests.adapters.rows import started, writing
from tests.calls.conversations import HOURS, spoken
from tests.calls.line import Line
from tests.calls.product import PUBLIC, Product, eventually, form, new_call_sid, new_number, product, stream_url, verbs
from tests.calls.test_menu import GONE, no_model

BUSY_LINE = {"CallStatus": "in-progress"}
RECORDING = {
    "RecordingSid": "RE" + "a" * 32,
    "RecordingUrl": "https://api.twilio.com/2010-04-01/Accounts/AC1/Recordings/RE1",
    "RecordingDuration": "7",
}


@pytest.fixture(scope="module")
async def lonely() -> AsyncIterator[Product]:
    """Nobody is there: neither a model nor a person."""
    async with product(model=no_model(), HUMAN_TRANSFER_NUMBER="", MAX_CALLS="5", **GONE) as it:
        yield it


class Speaker(Line):
    """Speaks as soon as it is recorded."""

    def verb(self, name: str, attributes: object, text: str) -> None:
        super().verb(name, attributes, text)  # type: ignore[arg-type]
        if name == "Record":
            self.say(spoken(HOURS))


async def test_who_reaches_nobody_leaves_a_message_that_is_kept_with_the_call(lonely: Product) -> None:
    number, line = new_number(), Speaker()
    call = await lonely.dial(line, number)
    await call.finished()
    assert line.verbs == ["Connect", "Say", "Record", "Say", "Hangup"]
    assert line.said == [f"{SORRY} {LEAVE_MESSAGE}", KEPT]
    assert call.log.codes() == []

    async def on_record() -> bool:
        return bool(await lonely.store.voicemails(call.call_sid))

    await eventually(on_record, "the message")
    (message,) = await lonely.store.voicemails(call.call_sid)
    (recorded,) = call.log.of("record")
    assert (message.recording_sid, message.url) == (recorded.detail["RecordingSid"], recorded.detail["RecordingUrl"])
    assert message.seconds == int(recorded.detail["RecordingDuration"])
    missed, row = await lonely.store.missed(call.call_sid), await lonely.store.call(call.call_sid)
    assert missed is not None
    assert row is not None
    assert (missed.why, row.outcome) == ("nobody is there", "voicemail")
    names = [milestone.name for milestone in await lonely.store.milestones(call.call_sid)]
    assert names.count("voicemail_offered") == names.count("voicemail_left") == 1


async def test_who_says_nothing_is_missed_all_the_same(lonely: Product) -> None:
    call = await lonely.dial(line := Line())
    await call.finished()
    assert line.verbs == ["Connect", "Say", "Record", "Say", "Hangup"]

    async def missed() -> bool:
        row = await lonely.store.call(call.call_sid)
        return row is not None and row.outcome == "missed" and await lonely.store.missed(call.call_sid) is not None

    await eventually(missed, "a missed call")
    assert await lonely.store.voicemails(call.call_sid) == []


async def test_word_of_a_message_may_come_twice_in_any_order_and_before_its_call(lonely: Product) -> None:
    sid, number = new_call_sid(), new_number()
    told = form(sid, number, **BUSY_LINE, **RECORDING, RecordingStatus="completed")
    for path in ("/twilio/recording-status", "/twilio/recorded", "/twilio/recorded", "/twilio/recording-status"):
        assert (await lonely.ask(path, told)).status_code == 200
    absent = form(new_call_sid(), number, **BUSY_LINE, RecordingSid="RE" + "b" * 32, RecordingStatus="absent")
    assert verbs(await lonely.ask("/twilio/recording-status", absent)) == []

    async def kept() -> bool:
        return len(await lonely.store.voicemails(sid)) == 1

    await eventually(kept, "one message")
    assert (await lonely.rows("SELECT count(*) AS n FROM voicemails WHERE recording_sid = :r", r="RE" + "b" * 32))[
        0
    ].n == 0


async def test_a_call_for_which_there_is_no_room_leaves_a_message_and_a_row(lonely: Product) -> None:
    held = [new_call_sid() for _ in range(5)]
    for sid in held:
        await lonely.rings(sid)
    sid = new_call_sid()
    full = await lonely.rings(sid)
    assert verbs(full) == ["Say", "Record", "Say", "Hangup"]
    assert BUSY in full.text
    await lonely.over(*held)

    async def missed() -> bool:
        row = await lonely.store.call(sid)
        return row is not None and row.outcome == "missed"

    await eventually(missed, "a row of a call that had no room")


# --- the fallback -----------------------------------------------------------------------------------------------------


async def _falls_back(house: Product, sid: str, number: str, code: str, path: str) -> list[str]:
    fields = form(sid, number, CallStatus="in-progress", ErrorCode=code, ErrorUrl=PUBLIC + path)
    return verbs(await house.ask("/twilio/fallback", fields))


async def test_a_document_that_was_not_fetched_is_asked_for_again_and_then_no_more(house: Product) -> None:
    sid, number = new_call_sid(), new_number()
    assert await _falls_back(house, sid, number, "11200", "/twilio/incoming") == ["Connect", "Redirect"]
    assert await _falls_back(house, sid, number, "11205", "/twilio/next") == ["Connect", "Redirect"]
    assert await _falls_back(house, sid, number, "11200", "/twilio/next") == ["Connect", "Redirect"]
    assert await _falls_back(house, sid, number, "11200", "/twilio/next") == ["Say", "Dial"], "a person"
    assert await _falls_back(house, sid, number, "11200", "/twilio/next") == ["Say", "Record", "Say", "Hangup"]
    await house.over(sid)


async def test_a_document_that_cannot_be_used_is_not_given_again(house: Product) -> None:
    sid, number = new_call_sid(), new_number()
    stream_url(await house.rings(sid, number))
    assert await _falls_back(house, sid, number, "12100", "/twilio/incoming") == ["Say", "Dial"]
    await house.over(sid)
    ended = form(sid, number, CallStatus="completed", ErrorCode="11200", ErrorUrl=PUBLIC + "/twilio/next")
    assert verbs(await house.ask("/twilio/fallback", ended)) == []


async def test_a_call_that_was_resumed_three_times_by_any_process_is_put_through(house: Product) -> None:
    for tickets, expected in ((3, ["Connect", "Redirect"]), (4, ["Say", "Dial"])):
        sid, number, at = new_call_sid(), new_number(), datetime.now(UTC)
        async with writing(house.engine) as journal:
            journal.put(msgspec.structs.replace(started, call_sid=sid, started_at=at))
            journal.put(Standing(call_sid=sid, at=at, owner="another", streams=tickets, tickets=tickets, state={}))
            await journal.flush()
        answer = await house.ask("/twilio/next", form(sid, number, **BUSY_LINE), query=f"streams={tickets}")
        assert verbs(answer) == expected
        await house.over(sid)


async def test_a_late_word_of_an_earlier_transfer_does_not_end_a_newer_one(house: Product) -> None:
    sid, number = new_call_sid(), new_number()
    async with writing(house.engine) as journal:
        at = (await house.rows("SELECT now() AS at"))[0].at
        for seq, result in ((0, "no_answer"), (1, "")):
            journal.put(
                TransferAttempt(
                    call_sid=sid,
                    seq=seq,
                    desk="billing",
                    reason="an invoice",
                    result=result,  # type: ignore[arg-type]
                    whisper="",
                    started_at=at,
                    ended_at=at if result else None,
                )
            )
        await journal.flush()
    told = form(sid, number, **BUSY_LINE, DialCallStatus="no-answer", DialBridged="false")
    await house.ask("/twilio/dialed", told, query="transfer=0")
    attempts = await house.store.transfers(sid)
    assert [attempt.result for attempt in attempts] == ["no_answer", ""], "the newer one is not settled by it"
    await house.over(sid)
