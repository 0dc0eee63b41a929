"""Recordings of calls: who is recorded, and the taps on a stream that take down what passes, far from the audio's way.

A call is recorded if its mode is one of [recording], and if the caller was told: the announcement (app/consent.py) then says so
too. There is no recording of a caller who was not told, whatever the law of their state would bear. Who is told by the agent's
first words hears it within the stream: what they said until then is silenced, and all of it is thrown away if they never did.

A tap is one call more for each message, on recorded streams alone: it notes the moment and the message, and that is all. A thread
of this module takes the notes every second, and writes. It may be as late as it likes: past
MOST_NOTES (five minutes) the oldest are lost, and so is whatever the disk does not take; the recording then says that it is not
complete, and the call does not notice.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog
from msgspec.structs import replace

from app.adapters.link import Link
from app.adapters.recording_files import HEADER_BYTES, Reel, Sound
from app.consent import Notice
from app.core.playback import BYTES_A_MS
from app.core.record import CallRecord
from app.core.recorded import Recording
from app.core.recording_tracks import CALLER, Piece, Tracks
from app.core.rows import Row
from app.log import of_call
from app.mode import Disclosure, Mode
from app.rules.recording import RecordingRules

log = structlog.get_logger()

MOST_NOTES = 30_000
"""Messages of a stream that wait to be written: fifty a second come each way."""
TURN_SECONDS = 1.0

Hears = Callable[[bytes], None]


class Tape:
    """One stream that is being recorded."""

    def __init__(self, reel: Callable[[], Reel], start_ms: int, put: Callable[[Recording], None], consent: str) -> None:
        """reel: opens the files, once there is something to write. put: takes the row. consent: what the caller was told."""
        self.began = time.monotonic()
        self.start_ms = start_ms
        self._notes: deque[tuple[float, bool, bytes]] = deque(maxlen=MOST_NOTES)
        self._open, self._put, self._consent = reel, put, consent
        self._reel: Reel | None = None
        self._tracks = Tracks(self.began)
        self._whole = True
        self.call_sid = ""
        """For the log."""
        self._over: tuple[float, int | None] | None = None

    def line(self, link: Link) -> Link:
        """The phone's link, with a tap on what goes to the caller."""
        return _Taped(link, self._notes)

    def hears(self, heard: Hears) -> Hears:
        """The stream's listener, with a tap on what comes from the caller."""
        note, now = self._notes.append, time.monotonic

        def tapped(text: bytes) -> None:
            note((now(), False, text))
            heard(text)

        return tapped

    def over(self, told_ms: int | None) -> None:
        """The stream has ended. told_ms: from when the caller knew, as `Notice` has it; None: never, and nothing is kept."""
        if self._over is None:
            self._over = (time.monotonic(), told_ms)

    def work(self) -> bool:
        """Write what has come; whether that was all. On the thread; raises nothing but what is our fault."""
        over, now = self._over, time.monotonic()
        pieces = self._place()
        if over is not None:
            pieces += self._tracks.end(over[0])
        else:
            pieces += self._tracks.take(now)
        self._write(pieces)
        if over is None:
            return False
        self._finish(over[1])
        return True

    def _place(self) -> list[Piece]:
        if len(self._notes) == MOST_NOTES:
            self._lacks("the thread that writes was too late")
        pieces: list[Piece] = []
        while self._notes:
            at, ours, text = self._notes.popleft()
            (self._tracks.sent if ours else self._tracks.heard)(text, at)
        return pieces

    def _write(self, pieces: list[Piece]) -> None:
        try:
            for piece in pieces:
                if self._reel is None:
                    self._reel = self._open()
                self._reel.write(piece.channel, piece.at, piece.audio)
        except OSError as wrong:  # what follows is tried again: disks are tidied
            self._lacks(str(wrong))

    def _lacks(self, why: str) -> None:
        if self._whole:
            log.error("a recording is not complete; the call goes on", why=why)
        self._whole = False

    def _finish(self, told_ms: int | None) -> None:
        reel = self._reel
        if reel is None:
            return
        kept = False
        try:
            if told_ms is None:
                return
            reel.silence(CALLER, (told_ms - self.start_ms) * BYTES_A_MS)
            kept = True  # from here on the next tidying can make it, if we cannot
            self._put(row_of(reel, reel.weave(), self._consent, complete=self._whole))
            kept = False
        except OSError as wrong:
            log.error("a recording could not be finished", why=str(wrong), kept=kept)
        finally:
            if kept:
                reel.close()
            else:
                reel.drop()


class _Taped:
    """A link that notes what it has sent."""

    __slots__ = ("_link", "_note")

    def __init__(self, link: Link, notes: deque[tuple[float, bool, bytes]]) -> None:
        self._link = link
        self._note = notes.append

    def send(self, text: bytes) -> None:
        """As the link does; what it refuses was not sent."""
        self._link.send(text)
        self._note((time.monotonic(), True, text))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """As the link does."""
        self._link.close(code, reason)


def row_of(reel: Reel, sound: Sound, consent: str, *, complete: bool) -> Recording:
    """What the books have of a recording that was made."""
    label = reel.label
    return Recording(
        call_sid=label.call_sid,
        path=label.path,
        start_ms=label.start_ms,
        ms=sound.size // BYTES_A_MS,
        bytes=HEADER_BYTES + 2 * sound.size + 8 + len(sound.peaks),
        complete=complete,
        consent=consent,
        created_at=label.created_at,
    )


class Recorder:
    """Makes the tapes of a process, and has the thread that writes them; the thread begins with the first."""

    def __init__(self, rules: RecordingRules, data: Path, put: Callable[[Row], None]) -> None:
        """data: the data folder. put: takes rows, on the loop."""
        self._rules, self._data, self._journal = rules, data, put
        self._tapes: set[Tape] = set()
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def disclosure(self, mode: Mode) -> Disclosure:
        """What a mode's callers are told: with the recording, if there is to be one. A number's rule may have it otherwise."""
        said = mode.disclosure
        if not self._rules.wants(mode.name):
            return said
        if said.when == "never":
            return replace(said, when="always", ai=False, recording=True)
        return replace(said, recording=True)

    def tape(self, record: CallRecord, notice: Notice) -> Tape | None:
        """For a stream that begins now; None if it is not recorded."""
        told = notice.announcement
        if not self._rules.wants(record.mode) or not told.text or told.what == "ai" or self._closing:
            return None
        loop, start_ms, now = asyncio.get_running_loop(), record.at_ms(time.monotonic()), datetime.now(UTC)

        def put(row: Recording) -> None:
            loop.call_soon_threadsafe(self._journal, row)

        tape = Tape(lambda: Reel(self._data, Reel.label_of(record.call_sid, start_ms, now)), start_ms, put, told.what)
        tape.call_sid = record.call_sid
        self._tapes.add(tape)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="recordings", daemon=True)
            self._thread.start()
        return tape

    def over(self, tape: Tape | None, notice: Notice) -> None:
        """A stream has ended. tape: None if it was not recorded."""
        if tape is not None:
            tape.over(notice.told_ms)
            self._wake.set()

    def _run(self) -> None:
        while self._tapes or not self._closing:
            self._wake.wait(TURN_SECONDS)
            self._wake.clear()
            for tape in list(self._tapes):
                with of_call(tape.call_sid):
                    try:
                        done = tape.work()
                    except Exception:  # a fault of ours must cost one recording, not all
                        log.exception("a fault of ours ends a recording")
                        done = True
                if done:
                    self._tapes.discard(tape)

    async def close(self, seconds: float) -> None:
        """Finish what is being written, for so long at most; what is left then is found at the next start."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, seconds)
            await asyncio.sleep(0)  # rows come by the loop
