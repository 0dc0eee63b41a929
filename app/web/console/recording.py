"""`/calls/<CallSid>/recording.wav` and `.json`: the sound of a call, and how loud it is, on the call's own time axis.

A call has a file for each stream that was recorded. What is served is one file of them all, with silence where there was none: it
is put together as it is read, so a player can ask for any part of it (206) and nothing is kept twice. Whoever may see the call's
page may hear it; nobody in between may keep it.
"""

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute

from app.adapters.recording_files import HEADER_BYTES, Sound, read_sound, wav_head
from app.adapters.store import CallStore
from app.core.recorded import Recording
from app.web.console.pages import Console
from app.wire.audio import FRAME, SILENCE

log = structlog.get_logger()

AT_ONCE = 1 << 16
FRAME_MS = 20
BYTES_A_MS = 8
MOST_PEAKS = 30_000
"""Of a channel in one answer; a longer call's are of 40 ms each, or of 80."""
OUTSIDE = (-1, -1)
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
PRIVATE = {"Cache-Control": "private, no-cache", "Accept-Ranges": "bytes"}


class Part(msgspec.Struct, frozen=True):
    """One stream's file, and where it begins: in bytes of one channel, 8 a millisecond."""

    at: int
    path: Path
    sound: Sound
    complete: bool


class Reading(msgspec.Struct, frozen=True):
    """All of a call's sound, in order."""

    parts: list[Part]

    @property
    def size(self) -> int:
        """Bytes of one channel."""
        return self.parts[-1].at + self.parts[-1].sound.size

    @property
    def length(self) -> int:
        """Bytes of the file."""
        return HEADER_BYTES + 2 * self.size

    @property
    def tag(self) -> str:
        """Changes with what is in it."""
        told = "".join(f"{part.path.name} {part.at} {part.sound.size};" for part in self.parts)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    async def read(self, first: int, last: int) -> AsyncIterator[bytes]:
        """Bytes of the file from the first to the last of them."""
        if first < HEADER_BYTES:
            yield wav_head(self.size)[first : last + 1]
        place, end = max(0, first - HEADER_BYTES), last + 1 - HEADER_BYTES
        for part in self.parts:
            begins = 2 * part.at
            while place < min(begins, end):  # nobody spoke
                gap = min(begins, end, place + AT_ONCE) - place
                yield SILENCE * gap
                place += gap
            stop = min(end, begins + 2 * part.sound.size)
            while place < stop:
                wanted = min(AT_ONCE, stop - place)
                piece = await asyncio.to_thread(_read, part.path, HEADER_BYTES + place - begins, wanted)
                yield piece.ljust(wanted, SILENCE)  # deleted meanwhile
                place += wanted


def _read(path: Path, at: int, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(at)
            return file.read(size)
    except FileNotFoundError:
        return b""


def gather(rows: Sequence[Recording], data: Path) -> Reading | None:
    """What is on this disk of a call's recordings; None if nothing is. On a thread."""
    parts: list[Part] = []
    ends = 0
    for row in sorted(rows, key=lambda row: row.start_ms):
        if row.deleted_at is not None:
            continue
        try:
            sound = read_sound(data / row.path)
        except (OSError, ValueError) as wrong:
            log.warning("a recording cannot be read", path=row.path, why=str(wrong))
            continue
        at = max(ends, row.start_ms * BYTES_A_MS)
        parts.append(Part(at, data / row.path, sound, row.complete))
        ends = at + sound.size
    return Reading(parts) if ends else None


class RecordingDoors:
    """Both doors."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.store = CallStore(console.engine)

    def routes(self) -> list[BaseRoute]:
        """The sound, and its picture."""
        get = self.console.get
        return [get("/calls/{sid}/recording.wav", self.wav), get("/calls/{sid}/recording.json", self.json)]

    async def _reading(self, request: Request) -> Reading | None:
        sid = request.path_params["sid"]
        rows = await self.store.recordings(sid) if sid.isprintable() and len(sid) <= 64 else []
        return await asyncio.to_thread(gather, rows, self.console.settings.data) if rows else None

    def _none(self, request: Request) -> Response:
        what = "There is no recording of this call: it was not recorded, the caller was not told in time, or it was deleted."
        return self.console.missing(request, what)

    async def wav(self, request: Request) -> Response:
        """The whole file, or the part that was asked for. `?download=1`: to be saved."""
        reading = await self._reading(request)
        if reading is None:
            return self._none(request)
        headers = {**PRIVATE, "ETag": f'"{reading.tag}"'}
        if request.query_params.get("download"):
            name = "".join(sign for sign in request.path_params["sid"] if sign.isascii() and sign.isalnum())
            headers["Content-Disposition"] = f'attachment; filename="call-{name}.wav"'
        first, last, status = 0, reading.length - 1, 200
        asked = request.headers.get("range", "")
        if asked and request.headers.get("if-range", headers["ETag"]) == headers["ETag"]:
            part = part_of(asked, reading.length)
            if part == OUTSIDE:
                headers["Content-Range"] = f"bytes */{reading.length}"
                return PlainTextResponse(f"expected a range within {reading.length} bytes\n", 416, headers=headers)
            if part is not None:
                first, last, status = *part, 206
                headers["Content-Range"] = f"bytes {first}-{last}/{reading.length}"
        elif not asked and reading.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        headers["Content-Length"] = str(last + 1 - first)
        return StreamingResponse(reading.read(first, last), status, headers=headers, media_type="audio/wav")

    async def json(self, request: Request) -> Response:
        """How loud it is: for each part a byte for each `frame_ms` of each channel, base64."""
        reading = await self._reading(request)
        if reading is None:
            return self._none(request)
        return Response(await asyncio.to_thread(picture, reading), media_type="application/json", headers={**PRIVATE})


def part_of(asked: str, length: int) -> tuple[int, int] | None:
    """First and last byte of a Range header's one range; OUTSIDE if it lies there; None for what need not be understood.

    Source: RFC 9110, 14.2: a server may ignore a Range header, as one with several ranges is here.
    """
    match = RANGE.fullmatch(asked.strip().lower())
    if match is None or not any(match.groups()):
        return None
    low, high = match.groups()
    if not low:  # the last so many
        return (max(0, length - int(high)), length - 1) if int(high) else OUTSIDE
    first, last = int(low), min(int(high), length - 1) if high else length - 1
    if first >= length:
        return OUTSIDE
    return (first, last) if first <= last else None


def picture(reading: Reading) -> bytes:
    """The JSON of the loudness, fine enough for any zoom."""
    step = 1
    while reading.size // FRAME // step > MOST_PEAKS:
        step *= 2
    parts = [
        {
            "start_ms": part.at // BYTES_A_MS,
            "ms": part.sound.size // BYTES_A_MS,
            "complete": part.complete,
            "caller": coarse(part.sound.peaks[0::2], step),
            "agent": coarse(part.sound.peaks[1::2], step),
        }
        for part in reading.parts
    ]
    return msgspec.json.encode({"total_ms": reading.size // BYTES_A_MS, "frame_ms": FRAME_MS * step, "parts": parts})


def coarse(peaks: bytes, step: int) -> str:
    """The loudest of each so many, base64."""
    if step > 1:
        peaks = bytes(max(peaks[at : at + step]) for at in range(0, len(peaks), step))
    return base64.b64encode(peaks).decode()
