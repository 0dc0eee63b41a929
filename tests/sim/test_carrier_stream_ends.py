"""Every way a stream can end, or not begin, and what the call does then."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.sim.carrier_stage import TONE, Line, MediaEnd, Stage, stage


@pytest_asyncio.fixture
async def it() -> AsyncIterator[Stage]:
    async with stage() as made:
        yield made


async def test_a_caller_who_hangs_up_stops_the_stream_and_closes_it_with_1000(it: Stage) -> None:
    it.answers["/twilio/incoming"] = it.connect(action="/twilio/next", stream=' statusCallback="/stream" name="talk"')
    line = Line()
    call = await it.called(line)
    line.on_frame = lambda count: call.put_down() if count == 3 else None
    await call.finished()
    (phone,) = it.phones
    assert phone.received[-1]["event"] == "stop"
    assert phone.received[-1]["stop"] == {"accountSid": it.asked[0].fields["AccountSid"], "callSid": call.call_sid}
    assert phone.socket.close_code == 1000
    assert (call.status, call.ended_by, line.ended) == ("completed", "caller", ["stopped"])
    assert it.to("/twilio/next") == []
    told = [asked.fields for asked in it.to("/stream")]
    assert sorted(fields["StreamEvent"] for fields in told) == ["stream-started", "stream-stopped"]
    assert {fields["StreamName"] for fields in told} == {"talk"}
    assert {fields["StreamSid"] for fields in told} == {phone.stream_sid}
    assert it.to("/twilio/status")[0].fields["CallStatus"] == "completed"


async def test_a_server_that_closes_gets_no_stop_and_the_action_is_asked(it: Stage) -> None:
    async def phone(phone: MediaEnd) -> None:
        await phone.audio(TONE * 100)
        await phone.next("media")
        await phone.socket.close(1000)
        await phone.drained()

    it.phone = phone
    it.answers["/twilio/incoming"] = it.connect(action="/twilio/next", after="<Say>never</Say>")
    call = await it.called()
    await call.finished()
    assert it.phones[0].of("stop") == []
    assert it.to("/twilio/next")[0].signed
    assert [entry.detail["name"] for entry in call.log.of("verb")] == ["Connect"]
    assert call.log.codes() == []
    assert call.streams[0].tally.unplayed_bytes > 0


async def test_without_an_action_the_verbs_after_the_stream_run(it: Stage) -> None:
    async def phone(phone: MediaEnd) -> None:
        await phone.socket.close(1011, "broken")

    it.phone = phone
    it.answers["/twilio/incoming"] = it.connect(after="<Say>sorry</Say>", stream=' statusCallback="/stream"')
    call = await it.called()
    await call.finished()
    assert [entry.detail["name"] for entry in call.log.of("verb")] == ["Connect", "Say"]
    assert call.log.codes() == [31921]
    (failed,) = [asked.fields for asked in it.to("/stream") if asked.fields["StreamEvent"] == "stream-error"]
    assert failed["StreamError"].startswith("31921")


async def test_a_server_that_drops_the_connection_is_31903(it: Stage) -> None:
    async def phone(phone: MediaEnd) -> None:
        phone.socket.transport.abort()

    it.phone = phone
    it.answers["/twilio/incoming"] = it.connect()
    line = Line()
    call = await it.called(line)
    await call.finished()
    assert call.log.codes() == [31903]
    assert line.ended == ["lost"]


async def test_a_network_cut_reaches_the_server_without_a_stop(it: Stage) -> None:
    it.answers["/twilio/incoming"] = it.connect()
    line = Line()
    call = await it.called(line)

    def cut(count: int) -> None:
        if count == 3:
            assert call.stream is not None
            call.stream.cut()

    line.on_frame = cut
    await call.finished()
    assert line.ended == ["cut"]
    assert it.phones[0].of("stop") == []


@pytest.mark.parametrize(
    ("noun", "code"),
    [
        ('<Stream url="wss://agent.example.com/media?x=1"/>', 31920),
        ('<Stream url="ws://agent.example.com/media"/>', 31922),
        ('<Stream url="wss://agent.example.com/media" track="both_tracks"/>', 31941),
        ('<Stream url="ws://127.0.0.1:1/media"/>', 31902),
    ],
)
async def test_a_stream_that_cannot_open_is_in_the_log_and_the_twiml_goes_on(it: Stage, noun: str, code: int) -> None:
    it.answers["/twilio/incoming"] = f"<Response><Connect>{noun}</Connect><Say>sorry</Say></Response>"
    call = await it.called()
    await call.finished()
    assert call.log.codes() == [code]
    assert [entry.detail["name"] for entry in call.log.of("verb")] == ["Connect", "Say"]
    assert call.streams == []


async def test_a_refused_upgrade_is_31920_with_the_servers_status(it: Stage) -> None:
    url = it.base.replace("http", "ws", 1) + "/no-socket-here"
    it.answers["/twilio/incoming"] = (
        f'<Response><Connect action="/next"><Stream url="{url}" statusCallback="/stream"/></Connect></Response>'
    )
    call = await it.called()
    await call.finished()
    (error,) = call.log.of("error")
    assert error.detail["code"] == 31920
    assert error.detail["http_status"] in (403, 404, 500)
    assert it.to("/stream")[0].fields["StreamEvent"] == "stream-error"
    assert len(it.to("/next")) == 1


async def test_a_line_that_returns_a_wrong_frame_fails_the_call_loudly(it: Stage) -> None:
    line = Line()
    line.next_frame = lambda: b"short"  # type: ignore[method-assign]
    it.answers["/twilio/incoming"] = it.connect()
    call = await it.called(line)
    with pytest.raises(ValueError, match="160 bytes"):
        await call.finished()
    assert call.status == "completed"
