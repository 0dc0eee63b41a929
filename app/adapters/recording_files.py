"""Recordings on disk: two raw tracks while a stream lasts, one WAV with both once it is over. Called by threads, never by the loop.

    <data>/recordings/2026-11/CA...-<start_ms>-<4 hex>.wav    mu-law, 8 kHz, left the caller, right what they were played
    ....json, ....caller, ....agent                           a stream that goes on, or that a crash broke off

The .json says whose it is; its process holds a lock on it for as long as it writes, so that what a crash left can be told from
what is being recorded. A track begins with the stream and has no holes: what nobody sent is silence. A WAV is written beside its
place, synced and renamed; behind its sound it has a chunk `ohpk` of the loudness of each 20 ms, a byte for each channel.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import struct
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from app.adapters.synced import sync_folder
from app.wire.audio import FRAME, SILENCE

FOLDER = "recordings"
TRACKS = ("caller", "agent")
HEADER_BYTES = 58
PEAKS = b"ohpk"
LEAST_FREE = 256 << 20
"""Bytes that recordings leave to the books, which are on the same disk as a rule."""
STEP = 8000
"""Bytes of a track that are woven at a time: a second. The interpreter is let go after each, for calls in progress."""
_MULAW, _RATE = 7, 8000
CLOSED = -1
"""No handle of a file."""


def _magnitude(byte: int) -> int:
    """How loud a byte of mu-law is, 0 to 255. Source: ITU-T G.711."""
    byte = ~byte & 0xFF
    return ((((byte & 0x0F) << 3) + 0x84 << ((byte >> 4) & 0x07)) - 0x84) >> 7


LOUDNESS = bytes(_magnitude(byte) for byte in range(256))


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a recording is. path: the WAV's, relative to the data folder. start_ms: its place on the call's time axis."""

    call_sid: str
    path: str
    start_ms: int
    created_at: datetime


class Sound(msgspec.Struct, frozen=True):
    """A WAV of ours: its length on one channel in bytes (8 are a millisecond), and its peaks, caller and agent by turns."""

    size: int
    peaks: bytes


def wav_head(size: int, more: int = 0) -> bytes:
    """What stands before `size` bytes of each of two channels; `more`: bytes behind them that belong to the file."""
    body = 2 * size
    return b"".join(
        (
            struct.pack("<4sI4s", b"RIFF", HEADER_BYTES - 8 + body + more, b"WAVE"),
            struct.pack("<4sIHHIIHHH", b"fmt ", 18, _MULAW, 2, _RATE, 2 * _RATE, 2, 8, 0),
            struct.pack("<4sII", b"fact", 4, size),
            struct.pack("<4sI", b"data", body),
        )
    )


class Reel:
    """The two tracks of one stream. Every method may raise OSError: the disk is full, or gone."""

    def __init__(self, data: Path, label: Label, *, found: bool = False) -> None:
        """found: one that a crash left; BlockingIOError if its process lives. A new one wants LEAST_FREE bytes on the disk."""
        self.label = label
        self.target = data / label.path
        self._base = self.target.with_suffix("")
        self._tracks: list[int] = []
        self._ends = [0, 0]
        if not found:
            if shutil.disk_usage(data).free < LEAST_FREE:
                raise OSError(errno.ENOSPC, f"less than {LEAST_FREE >> 20} MB are free", str(data))
            self.target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        mode = os.O_RDWR | (0 if found else os.O_CREAT | os.O_EXCL)
        self._lock = os.open(self._beside("json"), mode, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(self._lock).st_nlink == 0:  # its process was done with it between our look and our lock
                raise FileNotFoundError(errno.ENOENT, "it is finished", str(self.target))
            if not found:
                _write_all(self._lock, msgspec.json.encode(label), 0)
            for track, name in enumerate(TRACKS):
                self._tracks.append(os.open(self._beside(name), os.O_RDWR | os.O_CREAT, 0o600))
                self._ends[track] = os.fstat(self._tracks[track]).st_size
        except BaseException:
            self.close()
            raise

    @staticmethod
    def label_of(call_sid: str, start_ms: int, now: datetime) -> Label:
        """A label with a path that nothing else has."""
        name = "".join(sign for sign in call_sid if sign.isascii() and sign.isalnum())[:64]
        path = f"{FOLDER}/{now:%Y-%m}/{name}-{start_ms}-{secrets.token_hex(2)}.wav"
        return Label(call_sid=call_sid, path=path, start_ms=start_ms, created_at=now)

    def _beside(self, suffix: str) -> Path:
        return self._base.with_name(f"{self._base.name}.{suffix}")

    def write(self, track: int, at: int, audio: bytes) -> None:
        """Audio at its place; what lies between it and the end is silence."""
        end = self._ends[track]
        while end < at:
            gap = min(at - end, 1 << 16)
            _write_all(self._tracks[track], SILENCE * gap, end)
            end += gap
            self._ends[track] = end
        _write_all(self._tracks[track], audio, at)
        self._ends[track] = max(end, at + len(audio))

    def silence(self, track: int, until: int) -> None:
        """Take back everything before a place."""
        for at in range(0, min(until, self._ends[track]), STEP):
            _write_all(self._tracks[track], SILENCE * (min(until, self._ends[track], at + STEP) - at), at)

    def weave(self) -> Sound:
        """Make the WAV of what was written; the tracks stay until `drop`."""
        size = max(self._ends)
        wav = self._beside("tmp")
        peaks = bytearray()
        with wav.open("wb") as file:
            wav.chmod(0o600)
            count = -(-size // FRAME) * 2
            file.write(wav_head(size, 8 + count + count % 2))
            for at in range(0, size, STEP):
                length = min(STEP, size - at)
                both = bytearray(2 * length)
                pair = [os.pread(track, length, at).ljust(length, SILENCE) for track in self._tracks]
                both[0::2], both[1::2] = pair
                file.write(both)
                peaks += peaks_of(*pair)
                time.sleep(0)  # lets go of the interpreter
            file.write(struct.pack("<4sI", PEAKS, len(peaks)) + peaks + b"\0" * (len(peaks) % 2))
            file.flush()
            os.fsync(file.fileno())
        wav.replace(self.target)
        sync_folder(self.target.parent)
        return Sound(size, bytes(peaks))

    def close(self) -> None:
        """Let go of the files; they stay as they are. Once more is fine: a handle's number may be another file's by then."""
        handles, self._tracks, self._lock = [*self._tracks, self._lock], [], CLOSED
        for handle in handles:
            with contextlib.suppress(OSError):
                os.close(handle)

    def drop(self) -> None:
        """Delete the tracks; a WAV that was made stays."""
        for suffix in ("tmp", *TRACKS, "json"):
            with contextlib.suppress(FileNotFoundError):
                self._beside(suffix).unlink()
        self.close()


def peaks_of(caller: bytes, agent: bytes) -> bytes:
    """The loudest of each 20 ms, caller and agent by turns."""
    left, right = caller.translate(LOUDNESS), agent.translate(LOUDNESS)
    found = bytearray()
    for at in range(0, len(left), FRAME):
        found.append(max(left[at : at + FRAME]))
        found.append(max(right[at : at + FRAME]))
    return bytes(found)


def read_sound(path: Path) -> Sound:
    """What a WAV of ours holds. Raises OSError, ValueError for one that is not."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
        if len(head) < HEADER_BYTES or head[:4] + head[8:16] + head[50:54] != b"RIFFWAVEfmt data":
            raise ValueError(f"expected a recording of ours at {path.name}")
        size = int.from_bytes(head[54:58], "little") // 2
        file.seek(2 * size, os.SEEK_CUR)
        name, count = struct.unpack("<4sI", file.read(8).ljust(8, b"\0"))
        peaks = file.read(count) if name == PEAKS else b""
    return Sound(size, peaks)


def left_behind(data: Path) -> Iterator[Reel]:
    """What processes that are no more left unfinished. Each is the taker's to `drop` or `close`."""
    for file in sorted((data / FOLDER).glob("*/*.json")):
        try:
            label = msgspec.json.decode(file.read_bytes(), type=Label)
            yield Reel(data, label, found=True)
        except (BlockingIOError, FileNotFoundError):  # being recorded, or just done with
            continue
        except msgspec.DecodeError:  # the crash came within its first write: there is no sound either
            for suffix in (*TRACKS, "json"):
                file.with_suffix(f".{suffix}").unlink(missing_ok=True)


def delete(data: Path, path: str) -> None:
    """Delete a recording, if it is there. Raises OSError; ValueError for a path that is not one of a recording."""
    target = (data / path).resolve()
    if not target.is_relative_to((data / FOLDER).resolve()):
        raise ValueError(f"expected a path in {FOLDER}, got {path!r}")
    target.unlink(missing_ok=True)
    if target.parent.exists():
        sync_folder(target.parent)


def _write_all(handle: int, content: bytes, at: int) -> None:
    """The kernel may take less than it is given."""
    view = memoryview(content)
    while view:
        written = os.pwrite(handle, view, at)
        view, at = view[written:], at + written
