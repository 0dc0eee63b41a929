"""Who is recorded, what a full disk does to it, and what a crash leaves behind."""

import base64
import errno
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.adapters import recording_files
from app.adapters.recording_files import FOLDER, Label, Reel, delete, left_behind, read_sound
from app.calls.recording import MOST_NOTES, Recorder, Tape
from app.consent import Announcement, Notice
from app.core.record import CallRecord
from app.core.recorded import Recording
from app.core.rows import Consent, Row
from app.mode import Disclosure, Mode
from app.rules.consent import TEXTS
from app.rules.office_file import read_office
from app.rules.recording import RecordingRules
from app.wire import twilio
from app.wire.audio import FRAME, encoded

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SID = "CA" + "1" * 32
VOICE = bytes([33]) * FRAME


class Link:
    """A phone's end that takes everything."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, text: bytes) -> None:
        self.sent.append(text)

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.sent.append(reason.encode())


def media(n: int) -> bytes:
    payload = {"timestamp": str(20 * n), "payload": base64.b64encode(VOICE).decode()}
    return msgspec.json.encode({"event": "media", "media": payload})


def notice(*, heard: bool = True, what: Any = "recording") -> Notice:
    text = TEXTS["en-US"].of(what)
    proof = Consent(call_sid=SID, at=NOW, what=what, text=text, why="", how="before_stream", heard=heard)
    return Notice(Announcement(what=what, text=text, how="before_stream"), proof, lambda row: None)


def recorder(data: Path, put: Callable[[Row], None], modes: str = "receptionist") -> Recorder:
    return Recorder(RecordingRules(modes=frozenset({modes})), data, put)


def a_call() -> CallRecord:
    return CallRecord(call_sid=SID, mode="receptionist")


async def recorded(data: Path, *, told: Notice | None = None) -> list[Row]:
    """Rows that came of a short stream."""
    rows: list[Row] = []
    it, told = recorder(data, rows.append), told or notice()
    tape = it.tape(a_call(), told)
    assert tape is not None
    heard: list[bytes] = []
    line, hears = tape.line(Link()), tape.hears(heard.append)
    for n in range(10):
        hears(media(n))
        line.send(twilio.media("MZ1", encoded(VOICE)))
    assert heard == [media(n) for n in range(10)]
    it.over(tape, told)
    await it.close(20)
    return rows


# --- who --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (Disclosure(when="never"), Disclosure(when="always", ai=False, recording=True)),
        (Disclosure(when="always"), Disclosure(when="always", recording=True)),
        (Disclosure(when="auto", before_stream=True), Disclosure(when="auto", recording=True, before_stream=True)),
    ],
)
def test_callers_of_a_recorded_mode_are_told_so(tmp_path: Path, said: Disclosure, told: Disclosure) -> None:
    mode = Mode(name="receptionist", prompt="x.md", tools=[], disclosure=said)
    assert recorder(tmp_path, print).disclosure(mode) == told
    assert recorder(tmp_path, print, "*").disclosure(mode) == told
    assert recorder(tmp_path, print, "csr").disclosure(mode) == said


async def test_no_call_is_taped_of_another_mode_or_without_the_announcement(tmp_path: Path) -> None:
    assert recorder(tmp_path, print, "csr").tape(a_call(), notice()) is None
    assert recorder(tmp_path, print).tape(a_call(), notice(what="ai")) is None
    assert recorder(tmp_path, print).tape(a_call(), Notice(Announcement(why="never"), None, print)) is None
    assert not (tmp_path / FOLDER).exists()


async def test_a_caller_who_was_not_told_in_time_leaves_nothing(tmp_path: Path) -> None:
    assert await recorded(tmp_path, told=notice(heard=False)) == []
    assert [path for path in (tmp_path / FOLDER).rglob("*") if path.is_file()] == []


async def test_a_stream_is_a_private_file_and_a_row(tmp_path: Path) -> None:
    (row,) = await recorded(tmp_path)
    assert isinstance(row, Recording)
    assert (row.call_sid, row.start_ms, row.complete, row.consent) == (SID, 0, True, "recording")
    (path,) = (path for path in (tmp_path / FOLDER).rglob("*") if path.is_file())
    assert (str(path.relative_to(tmp_path)), path.stat().st_size) == (row.path, row.bytes)
    assert path.stat().st_mode & 0o077 == 0
    sound = read_sound(path)
    assert sound.size // 8 == row.ms
    assert max(sound.peaks[0::2]) == recording_files.LOUDNESS[33]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[recording]\ndays = 0\n", "recording.days: expected 1 to 3650, got 0"),
        ('[recording]\nmodes = "all"\n', "recording.modes"),
        ("[recording]\non = true\n", "on"),
    ],
)
def test_bad_rules_are_refused(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "offhook.toml").write_text(text)
    faults: list[str] = []
    read_office(tmp_path / "offhook.toml", "", faults)
    assert len(faults) == 1
    assert fault in faults[0]


# --- trouble ----------------------------------------------------------------------------------------------------------


async def test_a_full_disk_costs_the_sound_and_not_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_files, "LEAST_FREE", 1 << 60)
    assert await recorded(tmp_path) == []
    assert not (tmp_path / FOLDER).exists()


def tape_at(data: Path, rows: list[Recording]) -> Tape:
    return Tape(lambda: Reel(data, Reel.label_of(SID, 0, NOW)), 0, rows.append, "recording")


def test_what_the_disk_does_not_take_makes_a_recording_incomplete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Recording] = []
    tape = tape_at(tmp_path, rows)
    hears = tape.hears(lambda text: None)
    hears(media(0))
    assert not tape.work()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Reel, "write", full)
        hears(media(1))
        assert not tape.work()
    hears(media(2))
    tape.over(0)
    assert tape.work()
    (row,) = rows
    assert not row.complete
    content = (tmp_path / row.path).read_bytes()
    caller = content[recording_files.HEADER_BYTES :: 2][: read_sound(tmp_path / row.path).size]
    assert caller.count(33) == 2 * FRAME


def test_notes_that_nobody_writes_are_bounded_and_the_loss_is_known(tmp_path: Path) -> None:
    rows: list[Recording] = []
    tape = tape_at(tmp_path, rows)
    hears = tape.hears(lambda text: None)
    for _ in range(MOST_NOTES + 5):
        hears(b"{}")
    hears(media(0))
    tape.over(0)
    assert tape.work()
    assert [row.complete for row in rows] == [False]


def test_a_crash_leaves_what_was_written_and_what_is_being_recorded_is_let_alone(tmp_path: Path) -> None:
    label = Reel.label_of(SID, 1500, NOW)
    reel = Reel(tmp_path, label)
    reel.write(0, 0, VOICE)
    reel.write(1, FRAME, VOICE)
    assert list(left_behind(tmp_path)) == [], "its process lives"
    reel.close()  # as the kernel does for a process that is killed
    (found,) = left_behind(tmp_path)
    assert found.label == label
    sound = found.weave()
    found.drop()
    assert sound.size == 2 * FRAME
    assert read_sound(tmp_path / label.path) == sound
    assert list(left_behind(tmp_path)) == []
    delete(tmp_path, label.path)
    assert not (tmp_path / label.path).exists()


def test_half_a_label_is_swept_away(tmp_path: Path) -> None:
    label = Label(call_sid=SID, path=f"{FOLDER}/2026-11/x.wav", start_ms=0, created_at=NOW)
    Reel(tmp_path, label).close()
    (tmp_path / FOLDER / "2026-11" / "x.json").write_text('{"call_sid"')
    assert list(left_behind(tmp_path)) == []
    assert [path.name for path in (tmp_path / FOLDER / "2026-11").iterdir()] == []


@pytest.mark.parametrize("path", ["../secret", "recordings/../../secret", "/etc/passwd"])
def test_only_recordings_are_deleted(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="expected a path in recordings"):
        delete(tmp_path, path)
