"""Snapshots on disk: copies of what a business works by, in the data folder, for its owner alone.

    snapshots/NAME/about.json     when, and the versions that it worked with
    snapshots/NAME/files/...      offhook.toml, prompts/ and modes/, as they were

A folder that begins with a dot is one that is being written, or was when somebody pulled the plug: it is never listed, and swept
away by the next. Everything is on disk before a snapshot gets its name. Files that begin with a dot are never kept, `.env` least
of all, nor is one with a secret of the settings in it.
"""

import contextlib
import re
import secrets as random
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from app.adapters.synced import sync_folder, write
from app.errors import SetupError
from app.log import SHORTEST

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
RESERVED = ("list", "diff", "restore")
KEPT = ("offhook.toml", "prompts", "modes")
MOST_BYTES = 5 << 20
STALE_SECONDS = 600.0
"""What another process is writing now is younger."""

Texts = dict[str, bytes]
"""Files by their paths from the checkout, with slashes."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot worked with."""

    name: str
    at: datetime
    commit: str = ""
    """Of git; with a + behind it, files of the program were changed since. Empty: it is no checkout."""
    lock: str = ""
    """Digest of requirements.lock."""
    python: str = ""
    version: str = ""
    """Offhook's."""
    models: dict[str, str] = {}
    """By mode."""
    modes: dict[str, str] = {}
    """The version stamp of each, as the books have it with its calls; empty: they could not be used as they were."""
    settings: dict[str, str | float | bool] = {}
    """What the environment set of how calls go; no secrets."""


def folder_of(data: Path) -> Path:
    """Where snapshots are."""
    return data / "snapshots"


def present(root: Path) -> Texts:
    """What a checkout has now. Raises SetupError: it cannot be read, or is far too large for what it should be."""
    texts: Texts = {}
    size = 0
    try:
        for path in _files(root):
            text = path.read_bytes()
            texts[path.relative_to(root).as_posix()] = text
            size += len(text)
            if size > MOST_BYTES:
                raise SetupError(
                    f"expected prompts and modes of at most {MOST_BYTES >> 20} MB, got more by {path}; "
                    "keep recordings and data somewhere else"
                )
    except OSError as wrong:
        raise SetupError(f"expected to read {wrong.filename}, but: {wrong.strerror}") from wrong
    return texts


def _files(root: Path) -> Iterator[Path]:
    for name in KEPT:
        top = root / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            parts = path.relative_to(root).parts
            hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
            if path.is_file() and not path.is_symlink() and not hidden and path.suffix != ".pyc":
                yield path


def keep(data: Path, about: About, texts: Texts, secrets: Iterable[str]) -> Path:
    """Write a snapshot, whole or not at all.

    Raises SetupError: the name is none or taken, a secret is in a file, the disk is full.
    """
    check_name(about.name)
    refuse_secrets(texts, secrets)
    folder = folder_of(data)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(folder)
    fresh = folder / f".{about.name}.{random.token_hex(4)}"
    try:
        fresh.mkdir(mode=0o700)
        for name, text in texts.items():
            write(fresh / "files" / name, text)
        write(fresh / "about.json", msgspec.json.format(msgspec.json.encode(about), indent=2) + b"\n")
        if (folder / about.name).exists():
            raise SetupError(f"there is a snapshot {about.name!r} already; take another name")
        fresh.rename(folder / about.name)  # onto one that came meanwhile it fails: that is not empty
        sync_folder(folder)
    except OSError as wrong:
        raise SetupError(f"the snapshot {about.name!r} was not kept: {wrong.strerror}. Is the disk full?") from wrong
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder / about.name


def check_name(name: str) -> None:
    """Raises SetupError for what cannot be the name of a snapshot."""
    if not NAME.fullmatch(name) or name in RESERVED:
        raise SetupError(
            f"expected a name of letters, digits, - _ and ., not {', '.join(RESERVED)}, got {name!r}; as before-the-sale"
        )


def refuse_secrets(texts: Texts, secrets: Iterable[str]) -> None:
    """Raises SetupError, naming the files that have a secret of the settings in them."""
    known = [secret.encode() for secret in secrets if len(secret) >= SHORTEST]
    if found := sorted(name for name, text in texts.items() if any(secret in text for secret in known)):
        raise SetupError(
            f"a secret of the settings stands in {', '.join(found)}; nothing was kept. "
            "Let it stand in .env alone, and have the file name the setting"
        )


def every(data: Path) -> list[About]:
    """All snapshots, the newest first. What is half written, or somebody else's, is none."""
    found = []
    for path in folder_of(data).glob("*/about.json"):
        if not path.parent.name.startswith("."):
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                about = msgspec.json.decode(path.read_bytes(), type=About)
                found += [about] if about.name == path.parent.name else []
    return sorted(found, key=lambda about: about.at, reverse=True)


def read(data: Path, name: str) -> tuple[About, Texts]:
    """A snapshot. Raises SetupError: there is none of that name."""
    about = next((about for about in every(data) if about.name == name), None)
    if about is None:
        names = ", ".join(about.name for about in every(data)) or "none at all"
        raise SetupError(f"expected the name of a snapshot, one of {names}; got {name!r}")
    return about, present(folder_of(data) / name / "files")


def put(root: Path, texts: Texts) -> None:
    """Have a checkout's kept files be these: changed ones are replaced, others go. Raises SetupError: then nothing has changed.

    All new texts are on disk before the first takes its place.
    """
    now = present(root)
    fresh: dict[Path, Path] = {}
    try:
        for name, text in texts.items():
            if now.get(name) != text:
                path = root / name
                fresh[path] = path.with_name(f".{path.name}.{random.token_hex(4)}")
                write(fresh[path], text, mode=_mode(path))
    except OSError as wrong:
        for path in fresh.values():
            path.unlink(missing_ok=True)
        raise SetupError(f"nothing was restored: {wrong.filename}: {wrong.strerror}") from wrong
    for path, whole in fresh.items():
        whole.replace(path)
    for name in now.keys() - texts.keys():
        (root / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (root / name).parent.rmdir()


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777 if path.exists() else 0o644


def _sweep(folder: Path) -> None:
    for path in folder.glob(".*"):
        with contextlib.suppress(OSError):
            if path.is_dir() and time.time() - path.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def differences(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[str]:
    """The lines of a unified diff, file by file; nothing where they are the same."""
    import difflib

    lines: list[str] = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        was, now_ = ((text or b"").decode(errors="replace").splitlines() for text in (old, new))
        names = "/dev/null" if old is None else f"a/{name}", "/dev/null" if new is None else f"b/{name}"
        diff = list(difflib.unified_diff(was, now_, *names, lineterm=""))
        lines += diff or [f"{names[0]} and {names[1]} differ"]
    return lines


def now() -> datetime:
    """This second, UTC."""
    return datetime.now(UTC).replace(microsecond=0)
