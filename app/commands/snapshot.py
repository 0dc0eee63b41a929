"""`./offhook snapshot`: keeps what the business works by, with the versions it worked with; compares; goes back."""

import hashlib
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from app import registry
from app import settings as all_settings
from app.adapters.data_folder import data_folder, read_running
from app.adapters.snapshots import About, Texts, differences, every, folder_of, keep, now, present, put, read
from app.commands.tunnel import agreed
from app.errors import SetupError
from app.main import VERSION
from app.settings import ROOT, Settings

SHAPING = (
    "realtime_engine", "realtime_dialect", "realtime_audio", "realtime_model", "transcription_model", "stand_in",
    "max_call_seconds", "dormant_seconds", "max_call_cost_usd", "model_stall_seconds", "first_audio_seconds",
)  # fmt: skip
"""The settings of how calls go that a snapshot notes. None is a secret; URLs, which may hold one, are not among them."""
DIGITS = 12
NOW = "now"
"""What stands in the checkout, in the head of a diff."""


def snapshot(words: Sequence[str], *, listed: bool, as_json: bool, yes: bool, root: Path = ROOT) -> int:
    """Keep one, or list, diff or restore: as `words` begin. `diff` ends with 1 where there is a difference. Raises SetupError.

    root: whose prompts, modes and offhook.toml are kept.
    """
    settings = all_settings.load()
    data_folder(settings.data)
    match list(words):
        case [] if listed:
            return _list(settings.data, as_json=as_json)
        case _ if listed or as_json:
            raise SetupError(f"expected no names beside --list, and --json with it alone, got {' '.join(words)!r}")
        case ["diff", name]:
            return _diff(read(settings.data, name), (_here(settings, root, NOW), present(root)))
        case ["diff", name, other]:
            return _diff(read(settings.data, name), read(settings.data, other))
        case ["restore", name]:
            return _restore(settings, root, name, yes=yes)
        case [] | [_] if not words or words[0] not in ("diff", "restore"):
            name = words[0] if words else f"{now():%Y%m%d-%H%M%S}"
            about = _here(settings, root, name, sound=True)
            path = keep(settings.data, about, present(root), settings.secrets)
            print(f"kept {name} ({path}); ./offhook snapshot restore {name} goes back to it")
            return 0
    raise SetupError(f"expected a name, or diff NAME [NAME], or restore NAME; got {' '.join(words)!r}")


def _here(settings: Settings, root: Path, name: str, *, sound: bool = False) -> About:
    """What everything works with now. sound: raises SetupError where the modes cannot be used."""
    models: dict[str, str] = {}
    stamps: dict[str, str] = {}
    if root == ROOT:
        try:
            modes = registry.find(settings).modes
        except SetupError:
            if sound:
                raise
            modes = {}
        models = {name: mode.model or settings.realtime_model for name, mode in sorted(modes.items())}
        stamps = {name: mode.edition.stamp for name, mode in sorted(modes.items())}
    lock = root / "requirements.lock"
    return About(
        name=name,
        at=now(),
        commit=_commit(root),
        lock=hashlib.sha256(lock.read_bytes()).hexdigest()[:DIGITS] if lock.exists() else "",
        python=platform.python_version(),
        version=VERSION,
        models=models,
        modes=stamps,
        settings={name: getattr(settings, name) for name in SHAPING},
    )


def _commit(root: Path) -> str:
    """As `About.commit` has it."""
    try:
        git = ["git", "-C", str(root)]
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S603
        changed = [
            *git,
            "status",
            "--porcelain",
            "--untracked-files=no",
            "--",
            "app",
            "migrations",
            "requirements.lock",
        ]
        dirty = subprocess.run(changed, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return ""
    return head.stdout.strip()[:DIGITS] + ("+" if dirty.stdout.strip() else "") if head.returncode == 0 else ""


def _list(data: Path, *, as_json: bool) -> int:
    found = every(data)
    for about in found:
        if as_json:
            print(msgspec.json.encode(about).decode())
        else:
            commit = f"commit {about.commit}" if about.commit else "no commit"
            models = ", ".join(sorted(set(about.models.values()))) or "modes that could not be used"
            print(f"{about.at:%Y-%m-%d %H:%M} UTC  {about.name:<30}  {commit}, Offhook {about.version}, {models}")
    if not found:
        print(f"there is no snapshot in {folder_of(data)}; ./offhook snapshot NAME keeps one", file=sys.stderr)
    return 0


def _diff(before: tuple[About, Texts], after: tuple[About, Texts]) -> int:
    """Print what differs, versions first; 0 if nothing does."""
    lines = [*_versions(before[0], after[0]), *differences(before[1], after[1])]
    print("\n".join(lines) if lines else f"{before[0].name} and {after[0].name} are the same")
    return 1 if lines else 0


def _versions(before: About, after: About) -> list[str]:
    """What else differs, one line each: it is told, not restored."""
    old, new = (msgspec.structs.asdict(about) for about in (before, after))
    lines = [
        f"# {name}: {old[name] or 'none'} -> {new[name] or 'none'}"
        for name in ("commit", "lock", "python", "version")
        if old[name] != new[name]
    ]
    for group in ("models", "settings"):
        names = sorted({*old[group], *new[group]})
        pairs = [(name, old[group].get(name), new[group].get(name)) for name in names]
        lines += [f"# {group}: {name}: {was!r} -> {now_!r}" for name, was, now_ in pairs if was != now_]
    return lines


def _restore(settings: Settings, root: Path, name: str, *, yes: bool) -> int:
    """Show what changes, ask, keep what was there, then go back. 1 if it was not wished."""
    about, texts = read(settings.data, name)
    here, there = _here(settings, root, NOW), present(root)
    lines = differences(there, texts)
    if not lines:
        print(f"everything is as in {name} already")
        return 0
    print("\n".join([*_versions(here, about), *lines]))
    if _versions(here, about):
        print("lines with # differ too, and are not restored: code and keys are yours to change", file=sys.stderr)
    wish = agreed(f"Change {len(_touched(there, texts))} files as shown?", yes=yes)
    if not wish:
        why = "" if wish is False else "; there is nobody to ask: --yes does it"
        print(f"nothing was changed{why}", file=sys.stderr)
        return 1
    before = f"before-{name}"[:60] + f"-{now():%Y%m%d-%H%M%S}"
    keep(settings.data, msgspec.structs.replace(here, name=before), there, settings.secrets)
    put(root, texts)
    print(f"restored {name}; what was there before is kept as {before}")
    _say_what_next(settings, root)
    return 0


def _touched(before: Texts, after: Texts) -> list[str]:
    return [name for name in {*before, *after} if before.get(name) != after.get(name)]


def _say_what_next(settings: Settings, root: Path) -> None:
    """Whether it can be used with the code and settings that are there now, and what a running server does. Raises SetupError."""
    if root == ROOT:
        registry.find_again(all_settings.load())
    if (running := read_running(settings.data)) is not None:
        print(
            f"the server (process {running.pid}) goes on with what it has, unless it runs with --reload; "
            "./offhook restart has it take this",
            file=sys.stderr,
        )
