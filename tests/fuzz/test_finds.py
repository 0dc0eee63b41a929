"""What once broke something does so no more; and what would is found, shortened and kept."""

from pathlib import Path

import pytest

from tests.fuzz import finds, words
from tests.fuzz.finds import kept, read
from tools import fuzz


@pytest.mark.parametrize("path", kept(), ids=lambda path: path.stem)
def test_what_was_found_once_is_mended(path: Path) -> None:
    read(path).replay()


def test_there_is_a_corpus() -> None:
    assert kept()


def test_a_codec_that_breaks_is_found_shortened_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fragile(data: bytes) -> str:
        if b"payload" in data:
            raise KeyError("payload")
        return "read"

    monkeypatch.setitem(words.CODECS, "carrier", (fragile, words.CODECS["carrier"][1]))
    monkeypatch.setattr(finds, "FOLDER", tmp_path)
    found = [find for _, find in fuzz.thrown(300, 1) if find is not None]
    assert {(find.of, find.why, find.reads) for find in found} == {("carrier", "KeyError: 'payload'", "payload")}
    path = finds.keep(found[0], tmp_path)
    assert read(path) == found[0]
    with pytest.raises(KeyError):
        read(path).replay()


def test_the_same_seed_throws_the_same_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    def inputs(seed: int) -> list[bytes]:
        seen: list[bytes] = []

        def carrier(data: bytes) -> str:
            seen.append(data)
            return ""

        monkeypatch.setitem(words.CODECS, "carrier", (carrier, words.CODECS["carrier"][1]))
        assert sum(count for count, _ in fuzz.thrown(90, seed)) >= 90
        return seen

    assert inputs(7) == inputs(7)
    assert inputs(7) != inputs(8)
