"""The corpus: inputs that once broke something, each a small file in finds/, and how a new one gets there."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from tests.fuzz.call import TERMS, bystander, from_plain
from tests.fuzz.words import CODECS

FOLDER = Path(__file__).parent / "finds"
T = TypeVar("T")


class Find(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An input, and what it did when it was found."""

    of: Literal["carrier", "model", "call"]
    why: str
    data: str = ""
    """A message's octets, in base64."""
    reads: str = ""
    """The same for people."""
    terms: int = 0
    """Which of TERMS the call had."""
    steps: list[Any] = []

    def replay(self) -> None:
        """Let it happen again. Raises what it raised, if it does so still."""
        if self.of == "call":
            bystander(from_plain(self.steps), TERMS[self.terms])
        else:
            CODECS[self.of][0](base64.b64decode(self.data))


def of_octets(of: Literal["carrier", "model"], data: bytes, why: str) -> Find:
    """A message that broke its codec."""
    return Find(
        of=of, why=why, data=base64.b64encode(data).decode(), reads=data[:300].decode("utf-8", "backslashreplace")
    )


def keep(find: Find, folder: Path = FOLDER) -> Path:
    """Write it down, under a name of its own that is the same each time."""
    text = msgspec.json.format(msgspec.json.encode(find))
    path = folder / f"{find.of}-{hashlib.sha256(text).hexdigest()[:10]}.json"
    path.write_bytes(text + b"\n")
    return path


def kept(folder: Path = FOLDER) -> list[Path]:
    """Every find."""
    return sorted(folder.glob("*.json"))


def read(path: Path) -> Find:
    """One of them."""
    return msgspec.json.decode(path.read_bytes(), type=Find)


def broken_by(check: Callable[[T], object], given: T) -> str:
    """What a check raises for an input, in one line; empty if nothing."""
    try:
        check(given)
    except Exception as wrong:  # whatever it is, it is the find
        return f"{type(wrong).__name__}: {wrong}".splitlines()[0][:200]
    return ""


def shrunk(check: Callable[[Any], object], given: Any) -> Any:
    """The shortest piece of octets or steps that breaks it in the same way, found by leaving out ever smaller pieces."""
    kind = broken_by(check, given).partition(":")[0]
    size = max(1, len(given) // 2)
    while size:
        at = 0
        while at < len(given):
            shorter = given[:at] + given[at + size :]
            if broken_by(check, shorter).partition(":")[0] == kind:
                given = shorter
            else:
                at += size
        size //= 2
    return given
