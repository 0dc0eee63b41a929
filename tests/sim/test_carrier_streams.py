"""The media stream against a real socket: frames, marks, clear, refused messages and options."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from app.sim.carrier import Carrier
from app.sim.carrier_quirks import Quirks
from app.sim.playout import SILENCE
from app.sim.rest_server import RestServer
from tests.sim.carrier_stage import CALLER, OURS, TOKEN, TONE, Line, MediaEnd, Stage, stage


@pytest_asyncio.fixture
async def it() -> AsyncIterator[Stage]:
    async with stage() as made:
        yield made


async def test_the_stream_opens_with_connected_and_start_and_then_numbered_frames(it: Stage) -> None:
    async def phone(phone: MediaEnd) -> None:
        for _ in range(3):
            await phone.next("media")

    it.phone = phone
    it.answers["/twilio/incoming"] = it.connect(parameters='<Parameter name="ticket" value="t&amp;1"/>')
    call = await it.called()
    await call.finished()
    messages = it.phones[0].received
    assert messages[0] == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    sid = it.phones[0].stream_sid
    assert messages[1] == {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": sid,
        "start": {
            "accountSid": it.asked[0].fields["AccountSid"],
            "streamSid": sid,
            "callSid": call.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"ticket": "t&1"},
        },
    }
    assert [message["sequenceNumber"] for message in messages[2:5]] == ["2", "3", "4"]
    assert [message["media"]["chunk"] for message in messages[2:5]] == ["1", "2", "3"]
    assert [message["media"]["timestamp"] for message in messages[2:5]] == ["20", "40", "60"]
    assert all(message["media"]["track"] == "inbound" for message in messages[2:5])


async def test_the_upgrade_is_signed_over_the_wss_form_while_it_goes_to_where_the_server_is() -> None:
    seen: list[tuple[str, str, str]] = []

    async def media(socket: WebSocket) -> None:
        headers = socket.headers
        seen.append((socket.url.path, headers["host"], headers["x-twilio-signature"]))
        await socket.accept()
        await socket.close()

    async def webhook(request: object) -> Response:
        twiml = '<Response><Connect><Stream url="wss://agent.example.com/media"/></Connect></Response>'
        return Response(twiml, media_type="text/xml")

    routes = [Route("/{path:path}", webhook, methods=["POST"]), WebSocketRoute("/media", media)]
    server = RestServer(Starlette(routes=routes))
    carrier = Carrier(auth_token=TOKEN, public_url="https://agent.example.com", connect_to=await server.start())
    call = await carrier.dial(from_number=CALLER, to_number=OURS, line=Line())
    await call.finished()
    await carrier.close()
    await server.stop()
    assert seen == [("/media", "agent.example.com", "JciMyB+ZAO77W9pFJQyhg1uyyQQ=")]
    assert call.log.codes() == []


async def test_the_upgrade_can_come_unsigned_or_wrongly_signed(it: Stage) -> None:
    async def phone(phone: MediaEnd) -> None:
        await phone.socket.close()

    it.phone = phone
    it.answers["/twilio/incoming"] = it.connect()
    for quirks in (Quirks(), Quirks(upgrade_signature="wrong"), Quirks(upgrade_signature="missing")):
        await (await it.called(quirks=quirks)).finished()
    right, wrong, missing = (signature for _, signature in it.upgrades)
    assert right == it.validator.compute_signature(it.media_url, {})
    assert wrong not in (None, right)
    assert missing is None


async def test_the_caller_hears_what_was_sent_and_the_mark_comes_back_only_then(it: Stage) -> None:
    heard_at_echo: list[int] = []
    line = Line()

    async def phone(phone: MediaEnd) -> None:
        await phone.audio(TONE * 5)
        await phone.mark("end")
        echo = await phone.next("mark")
        heard_at_echo.append(sum(frame != SILENCE for frame in line.frames))
        assert echo["mark"] == {"name": "end"}
        assert echo["streamSid"] == phone.stream_sid

    it.phone = phone
    it.answers["/twilio/incoming"] = it.connect()
    call = await it.called(line)
    await call.finished()
    assert heard_at_echo == [5]
    assert b"".join(played.audio for played in call.played) == TONE * 5
    assert [frame for frame in line.frames if frame != SILENCE] == [TONE] * 5
    gaps = {second.at_ms - first.at_ms for first, second in zip(call.played, call.played[1:], strict=False)}
    assert gaps == {20}
    assert call.streams[0].tally.bytes_heard == 800
    assert it.phones[0].of("mark") == [{**it.phones[0].of("mark")[0], "mark": {"name": "end"}}]


async def test_clear_silences_the_caller_and_sends_every_mark_back_in_order(it: Stage) -> None:
    async def phone(phone: MediaEnd) -> None:
        await phone.audio(TONE * 500)
        await phone.mark("1")
        await phone.audio(TONE * 500)
        await phone.mark("2")
        await phone.next("media")
        await phone.send("clear")
        await phone.audio(b"\x01" * 160)
        await phone.mark("3")
        names = [(await phone.next("mark"))["mark"]["name"] for _ in range(3)]
        assert names == ["1", "2", "3"]

    it.phone = phone
    it.answers["/twilio/incoming"] = it.connect()
    call = await it.called()
    await call.finished()
    stream = call.streams[0]
    (cleared,) = stream.playout.clears
    assert cleared.marks == ["1", "2"]
    assert stream.tally.bytes_heard == 160_000 - cleared.dropped_bytes + 160
    assert call.played[-1].audio == b"\x01" * 160
    assert [entry.detail["why"] for entry in call.log.of("echo")] == ["cleared", "cleared", "played"]
    assert len(stream.tally.after_clear_ms) == 1


async def test_messages_that_break_the_protocol_are_dropped_with_one_warning_each_kind(it: Stage) -> None:
    async def phone(phone: MediaEnd) -> None:
        await phone.socket.send(b"\x00\x01")
        await phone.socket.send(b"\x00\x02")
        await phone.socket.send("not json")
        await phone.send("media", media={"payload": "AAAA", "track": "outbound"})
        await phone.socket.send(json.dumps({"event": "mark", "streamSid": "MZ0", "mark": {"name": "x"}}))
        await phone.mark("good")
        assert (await phone.next("mark"))["mark"]["name"] == "good"

    it.phone = phone
    it.answers["/twilio/incoming"] = it.connect()
    call = await it.called()
    await call.finished()
    assert call.log.codes() == [31950, 31951]
    assert call.streams[0].tally.refused_messages == 5
    assert call.played == []


async def test_a_wav_header_is_an_error_and_ragged_audio_is_counted(it: Stage) -> None:
    async def phone(phone: MediaEnd) -> None:
        await phone.audio(b"RIFF" + TONE[4:])
        await phone.audio(b"\x01" * 100)
        await phone.mark("end")
        await phone.next("mark")

    it.phone = phone
    it.answers["/twilio/incoming"] = it.connect()
    call = await it.called()
    await call.finished()
    assert call.log.codes() == [31924]
    assert call.streams[0].tally.ragged_media == 1


async def test_keys_are_one_dtmf_message_each(it: Stage) -> None:
    async def phone(phone: MediaEnd) -> None:
        for _ in range(2):
            await phone.next("dtmf")

    it.phone = phone
    it.answers["/twilio/incoming"] = it.connect()
    line = Line()
    call = await it.called(line)
    line.on_frame = lambda count: call.press("5#") if count == 1 else None
    await call.finished()
    keys = [message["dtmf"] for message in it.phones[0].of("dtmf")]
    assert keys == [{"track": "inbound_track", "digit": "5"}, {"track": "inbound_track", "digit": "#"}]


async def test_a_second_stream_of_the_same_call_has_its_own_sid_and_count(it: Stage) -> None:
    async def phone(phone: MediaEnd) -> None:
        await phone.audio(TONE)
        await phone.mark("end")
        await phone.next("mark")

    it.phone = phone
    it.answers["/twilio/incoming"] = it.connect(action="/twilio/next")
    it.answers["/twilio/next"] = it.connect()
    line = Line()
    call = await it.called(line)
    await call.finished()
    first, second = it.phones
    assert first.stream_sid != second.stream_sid
    assert second.received[1]["sequenceNumber"] == "1"
    assert line.started == [first.stream_sid, second.stream_sid]
    assert [played.stream_sid for played in call.played] == line.started


async def test_a_parameter_over_500_characters_is_dropped_with_a_warning(it: Stage) -> None:
    async def phone(phone: MediaEnd) -> None:
        await phone.socket.close()

    it.phone = phone
    parameters = f'<Parameter name="long" value="{"x" * 497}"/><Parameter name="ok" value="y"/>'
    it.answers["/twilio/incoming"] = it.connect(parameters=parameters)
    call = await it.called()
    await call.finished()
    assert it.phones[0].received[1]["start"]["customParameters"] == {"ok": "y"}
    assert call.log.codes() == [12200]


async def test_a_start_can_lie_about_its_call(it: Stage) -> None:
    async def phone(phone: MediaEnd) -> None:
        await phone.socket.close()

    it.phone = phone
    it.answers["/twilio/incoming"] = it.connect()
    quirks = Quirks(start_call_sid="CA-other", start_account_sid="AC-other", start_parameters={"a": "b"})
    await (await it.called(quirks=quirks)).finished()
    start = it.phones[0].received[1]["start"]
    assert (start["callSid"], start["accountSid"], start["customParameters"]) == ("CA-other", "AC-other", {"a": "b"})


async def test_a_server_that_does_not_read_does_not_hold_up_the_caller(
    it: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.sim.media_stream.MAX_UNSENT", -1)
    it.answers["/twilio/incoming"] = it.connect()
    line = Line()
    call = await it.called(line)
    line.on_frame = lambda count: call.put_down() if count == 5 else None
    await call.finished()
    assert call.log.codes() == [31930]
    assert call.streams[0].tally.frames_dropped == len(line.frames)
    assert it.phones[0].of("media") == []


async def test_a_fork_listens_beside_the_verbs_until_it_is_stopped(it: Stage) -> None:
    async def phone(phone: MediaEnd) -> None:
        await phone.next("media")
        await phone.audio(TONE)
        forked.set()
        await phone.drained()

    forked = asyncio.Event()
    it.phone = phone
    fork = f'<Start><Stream name="ear" url="{it.media_url}" track="both_tracks" statusCallback="/stream"/></Start>'
    it.answers["/twilio/incoming"] = f"<Response>{fork}<Gather timeout='9000' numDigits='1' action='/on'/></Response>"
    it.answers["/on"] = '<Response><Stop><Stream name="ear"/></Stop><Stop><Stream name="ear"/></Stop></Response>'
    call = await it.called()
    await forked.wait()
    call.press("1")
    await call.finished()
    assert it.phones[0].received[-1]["event"] == "stop"
    assert 31924 in call.log.codes()  # a fork takes no messages
    assert call.log.codes()[-1] == 12200  # the second <Stop> has nothing to stop
    assert {asked.fields["StreamEvent"] for asked in it.to("/stream")} == {"stream-started", "stream-stopped"}
