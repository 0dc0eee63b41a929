"""Recorded calls over real sockets: both channels hold what was said and what was played, and only of callers who were told."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.adapters.recording_files import FOLDER, HEADER_BYTES, read_sound
from app.core.recorded import Recording
from app.rules.consent import TEXTS
from app.settings import ROOT
from app.sim.carrier_call import CarrierCall
from app.sim.playout import SILENCE
from tests.calls.conversations import BYE, HOURS, OPEN, spoken
from tests.calls.line import PATIENCE, Line
from tests.calls.product import Product, eventually, new_number, product
from tests.calls.test_console import Operator
from tests.sim.booking_script import script

TOLD = TEXTS["en-US"].recording
BY_CARRIER, NEVER, BY_AGENT = "+14155550191", "+14155550192", "+14155550193"
RULES = f"""
[recording]
modes = ["receptionist"]
[calls.consent.numbers."{BY_CARRIER}"]
when = "always"
ai = false
before_stream = true
[calls.consent.numbers."{BY_AGENT}"]
when = "always"
ai = false
[calls.consent.numbers."{NEVER}"]
when = "never"
"""
GOODBYE = {
    "caller": BYE,
    "preamble": "Thank you for calling. Goodbye.",
    "tools": [{"name": "end_call", "arguments": {"reason": "the caller said goodbye"}}],
}
HELLO = {"agent": f"{TOLD} How can I help you today?"}
TALK = script(HELLO, {"caller": HOURS, "tools": [{"name": "opening_hours"}], "agent": OPEN}, GOODBYE, HELLO)
CUT_MS = 250
"""So far the carrier's count of what was played and ours may lie apart where a clear cuts it; on a busy machine it has been 40."""


class Ear(Line):
    """A line that keeps what went over it, silence left out."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.played = bytearray(), bytearray()

    def next_frame(self) -> bytes:
        frame = super().next_frame()
        self.sent += b"" if frame == SILENCE else frame
        return frame

    def heard(self, frame: bytes, at_ms: int) -> None:
        self.played += b"" if frame == SILENCE else frame
        super().heard(frame, at_ms)


@pytest.fixture
async def recording(tmp_path: Path) -> AsyncIterator[Product]:
    """A server that records its receptionist's calls."""
    business = (ROOT / "offhook.toml").read_text(encoding="utf-8")
    (tmp_path / "offhook.toml").write_text(business + RULES, encoding="utf-8")
    async with product(door="asgi", BUSINESS_FOLDER=str(tmp_path)) as it:
        yield it


async def _rings(house: Product, dialled: str) -> tuple[CarrierCall, Ear]:
    number, line = new_number(), Ear()
    house.model.register(TALK, number=number)
    return await house.carrier.dial(from_number=number, to_number=dialled, line=line), line


async def _kept(house: Product, call: CarrierCall, count: int = 1) -> list[Recording]:
    """The rows of a call's recordings, once there are so many."""

    async def written() -> bool:
        return len(await house.store.recordings(call.call_sid)) == count

    await eventually(written, f"{count} recordings in the books")
    return await house.store.recordings(call.call_sid)


def _channels(house: Product, row: Recording) -> tuple[bytes, bytes]:
    content = (house.data / row.path).read_bytes()
    assert len(content) == row.bytes
    body = content[HEADER_BYTES : HEADER_BYTES + 2 * read_sound(house.data / row.path).size]
    assert len(body) == 2 * 8 * row.ms or len(body) // 16 == row.ms
    return body[0::2], body[1::2]


def _without_silence(channel: bytes) -> bytes:
    """As `Ear` keeps it, for a channel whose frames may lie anywhere: the bytes that are not silence."""
    return channel.replace(b"\xff", b"")


def _left_over(house: Product) -> list[str]:
    """Files of recordings that are not finished."""
    return [path.name for path in (house.data / FOLDER).rglob("*") if path.is_file() and path.suffix != ".wav"]


async def test_a_recording_holds_what_was_said_and_heard_of_callers_who_were_told(recording: Product) -> None:
    """Calls side by side: each takes some seconds."""
    await asyncio.gather(
        _a_told_caller_s_call_is_on_both_channels_without_what_was_cleared(recording),
        _what_was_said_before_the_sentence_was_heard_is_silent(recording),
        _a_caller_who_hangs_up_first_leaves_no_sound(recording),
        _nobody_is_recorded_where_nothing_is_announced(recording),
        _the_streams_of_a_call_lie_on_its_one_axis(recording),
    )
    wanted = {row.path for row in await recording.rows("SELECT path FROM recordings")}
    assert {str(path.relative_to(recording.data)) for path in (recording.data / FOLDER).rglob("*.wav")} == wanted
    assert _left_over(recording) == []


async def _a_told_caller_s_call_is_on_both_channels_without_what_was_cleared(house: Product) -> None:
    call, line = await _rings(house, BY_CARRIER)
    await line.hears(600)
    line.say(spoken(HOURS))  # cuts into the greeting
    await line.until(lambda: bool(call.log.of("clear")), "a clear")
    cut_at = len(line.played)
    await line.hears_more(1500)
    await line.hears_silence()
    line.say(spoken(BYE))
    await call.finished()
    (row,) = await _kept(house, call)
    assert (row.complete, row.consent, row.start_ms, row.deleted_at) == (
        True,
        "both" if row.consent == "both" else "recording",
        0,
        None,
    )
    caller, agent = _channels(house, row)
    assert _without_silence(caller) == _without_silence(bytes(line.sent))
    heard, kept = _without_silence(bytes(line.played)), _without_silence(agent)
    begun = len(_without_silence(bytes(line.played[:cut_at])))
    same = next((n for n, (a, b) in enumerate(zip(heard, kept, strict=False)) if a != b), min(len(heard), len(kept)))
    assert abs(same - begun) <= 8 * CUT_MS, "up to the clear both have the same"
    tail = heard[begun + 8 * CUT_MS :]
    assert kept.endswith(tail), "and after it, nothing of what was cleared in between"
    assert abs(len(heard) - len(kept)) <= 8 * CUT_MS
    await _served(house, call, row)


async def _served(house: Product, call: CarrierCall, row: Recording) -> None:
    """The doors give it to the operator, by ranges, and to nobody else."""
    path = f"/calls/{call.call_sid}/recording"
    for kind in (".wav", ".json"):
        assert (await house.http.get(f"{house.url}{path}{kind}", timeout=PATIENCE)).status_code == 401
    operator = await _operator(house)
    whole = await operator.asks("GET", path + ".wav", timeout=PATIENCE)
    size = read_sound(house.data / row.path).size
    assert (whole.status_code, whole.headers["content-type"]) == (200, "audio/wav")
    assert whole.headers["cache-control"].startswith("private")
    kept = (house.data / row.path).read_bytes()
    assert whole.content[HEADER_BYTES:] == kept[HEADER_BYTES : HEADER_BYTES + 2 * size]
    assert len(whole.content) == HEADER_BYTES + 2 * size
    for asked, part in (
        ("0-99", whole.content[:100]),
        ("50-70", whole.content[50:71]),
        ("70001-", whole.content[70_001:]),
        ("-8", whole.content[-8:]),
        (f"9-{10**9}", whole.content[9:]),
    ):
        answer = await operator.asks("GET", path + ".wav", headers={"Range": f"bytes={asked}"}, timeout=PATIENCE)
        assert (answer.status_code, answer.content == part) == (206, True), asked
    headers = {"Range": f"bytes={len(whole.content)}-"}
    beyond = await operator.asks("GET", path + ".wav", headers=headers, timeout=PATIENCE)
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(whole.content)}")
    same = await operator.asks("GET", path + ".wav", headers={"If-None-Match": whole.headers["etag"]}, timeout=PATIENCE)
    assert same.status_code == 304
    picture = (await operator.asks("GET", path + ".json", timeout=PATIENCE)).json()
    assert picture["total_ms"] == row.ms
    assert [(part["start_ms"], part["ms"]) for part in picture["parts"]] == [(0, row.ms)]
    page = await operator.asks("GET", f"/calls/{call.call_sid}", timeout=PATIENCE)
    assert f"{path}.wav" in page.text


async def _operator(house: Product) -> Operator:
    operator = Operator(house)
    await operator.logs_in()
    return operator


async def _what_was_said_before_the_sentence_was_heard_is_silent(house: Product) -> None:
    call, line = await _rings(house, BY_AGENT)
    early = b"\x7e" * (160 * 10)  # a sound too low to cut in
    await line.until(lambda: line.live, "the stream")
    line.say(early)
    await line.hears(900)
    await line.hears_silence()
    line.say(spoken(BYE))
    await call.finished()
    (proof,) = await house.store.consents(call.call_sid)
    assert (proof.what, proof.heard) == ("recording", True)
    (row,) = await _kept(house, call)
    caller, agent = _channels(house, row)
    assert _without_silence(caller) == _without_silence(bytes(line.sent[len(early) :]))
    assert _without_silence(agent) == _without_silence(bytes(line.played))


async def _a_caller_who_hangs_up_first_leaves_no_sound(house: Product) -> None:
    call, line = await _rings(house, BY_AGENT)
    await line.hears(300)
    await call.hang_up()
    await house.closed(call.call_sid)
    assert await house.store.recordings(call.call_sid) == []
    assert not [path for path in (house.data / FOLDER).rglob(f"{call.call_sid}*") if path.suffix == ".wav"]


async def _nobody_is_recorded_where_nothing_is_announced(house: Product) -> None:
    call, line = await _rings(house, NEVER)
    await line.hears(600)
    assert not list((house.data / FOLDER).rglob(f"{call.call_sid}*"))
    await call.hang_up()
    await house.closed(call.call_sid)
    assert await house.store.recordings(call.call_sid) == []


async def _the_streams_of_a_call_lie_on_its_one_axis(house: Product) -> None:
    call, line = await _rings(house, BY_CARRIER)
    await line.hears(800)
    assert call.stream is not None
    call.stream.cut()
    await line.hears(800, stream=2)
    await line.hears_silence()
    await call.hang_up()
    first, second = await _kept(house, call, 2)
    spans = [span for span in await house.store.spans(call.call_sid) if span.kind == "stream"]
    assert [abs(row.start_ms - span.start_ms) < 100 for row, span in zip((first, second), spans, strict=True)] == [
        True,
        True,
    ]
    operator = await _operator(house)
    whole = await operator.asks("GET", f"/calls/{call.call_sid}/recording.wav", timeout=PATIENCE)
    assert len(whole.content) == HEADER_BYTES + 2 * (8 * second.start_ms + read_sound(house.data / second.path).size)
    gap = whole.content[HEADER_BYTES + 16 * (first.ms + 1) : HEADER_BYTES + 16 * second.start_ms]
    assert set(gap) <= {0xFF}
