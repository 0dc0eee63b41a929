"""The registry: finds every mode in `modes/`, checks them all, and says which one answers a call."""

import hashlib
import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import get_args, get_type_hints

import msgspec
import structlog

from app import afterword, prompts
from app.errors import SetupError
from app.flow_check import flow_faults, settle_desks
from app.mode import Edition, Mode, SemanticVad, ServerVad
from app.rules.elevenlabs import voice_faults
from app.rules.office import Office
from app.rules.recording import EVERY
from app.rules.webhooks import unknown_modes
from app.settings import Settings
from app.wire.dialects import reasons

log = structlog.get_logger()

TOOL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")
STAMP_DIGITS = 12
SERVER_VAD = {"threshold": (0.55, 0.65), "silence_duration_ms": (400, 650), "prefix_padding_ms": (0, 1000)}
"""What a phone line bears, both ends included; why is said at `ServerVad`."""


class Registry:
    """All modes by name, all of them sound."""

    def __init__(self, modes: dict[str, Mode], settings: Settings, warnings: Sequence[str] = ()) -> None:
        """warnings: what does not stop a start, as sentences; the house tells them once."""
        self.modes = modes
        self.settings = settings
        self.warnings = list(warnings)

    def take(self, newer: "Registry") -> list[str]:
        """Have the modes and settings of another, for whoever holds this one or its `modes`; the names of modes that differ."""
        was, self.settings, self.warnings = dict(self.modes), newer.settings, newer.warnings
        self.modes.clear()
        self.modes.update(newer.modes)
        names = sorted({*was, *self.modes})
        return [name for name in names if _stamp(was.get(name)) != _stamp(self.modes.get(name))]

    def mode_for(self, wanted: str, dialled: str) -> Mode:
        """`?mode=` in the configured URL, else by the dialled number, else the default. A caller never hears an error."""
        name = wanted or self.settings.numbers.get(dialled, "")
        if name and name not in self.modes:
            log.warning("unknown mode", wanted=name, known=sorted(self.modes), taken=self.settings.default_mode)
        return self.modes.get(name) or self.modes[self.settings.default_mode]


def find(settings: Settings, package: ModuleType | None = None) -> Registry:
    """Import and check everything in `modes/`. Raises SetupError with all faults of all modes at once."""
    package = package or importlib.import_module("modes")
    modes: dict[str, Mode] = {}
    faults: list[str] = []
    warnings: list[str] = []
    for found in pkgutil.iter_modules(package.__path__):
        name = found.name
        try:
            mode = _mode_in(f"{package.__name__}.{name}", folder=found.ispkg)
        except (Exception, SystemExit) as wrong:  # whatever a mode's file does wrong belongs into the report
            faults.append(f"modes/{name}: cannot be imported: {type(wrong).__name__}: {wrong}")
            continue
        if not isinstance(mode, Mode):
            faults.append(f"modes/{name}: expected a line `mode = Mode(...)`, found {type(mode).__name__}")
            continue
        mode = msgspec.structs.replace(mode, edition=_edition(mode, found, settings))
        faults += check(name, mode, settings.office)
        modes[name], doubts = settle_desks(mode, settings.office)
        warnings += doubts
    recorded = [("recording.modes", name) for name in sorted(settings.recording.modes - {EVERY})]
    for where, name in [("calls.default_mode", settings.default_mode), *settings.numbers.items(), *recorded]:
        if name not in modes:
            faults.append(
                f"offhook.toml: {where}: expected one of {', '.join(sorted(modes)) or 'no mode at all'}, got {name!r}"
            )
    faults += unknown_modes(settings.webhooks, modes)
    if faults:
        raise SetupError("the modes cannot be used:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return Registry(modes, settings, warnings)


def folder() -> Path:
    """Where the modes are."""
    return Path(str(importlib.import_module("modes").__path__[0]))


def find_again(settings: Settings, package: str = "modes") -> Registry:
    """`find`, of the files as they are now. Raises SetupError; then everything is as it was.

    Calls in progress keep the modules that they have: those are let go of, not changed. New ones come in under the old names, as a
    mode may call the files of its folder by them.
    """
    ours = {name: module for name, module in sys.modules.items() if name == package or name.startswith(package + ".")}
    for name in ours:
        del sys.modules[name]
    _forget_bytecode(ours.values())
    importlib.invalidate_caches()
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        return find(settings, importlib.import_module(package))
    except BaseException:
        for name in [name for name in sys.modules if name == package or name.startswith(package + ".")]:
            del sys.modules[name]
        sys.modules.update(ours)
        raise
    finally:
        sys.dont_write_bytecode = kept


def _forget_bytecode(modules: Iterable[ModuleType]) -> None:
    """Bytecode is told from stale by the second and the size: too coarse for a file that is being edited."""
    for module in modules:
        if module.__file__ is not None:
            Path(importlib.util.cache_from_source(module.__file__)).unlink(missing_ok=True)


def _stamp(mode: Mode | None) -> str:
    return mode.edition.stamp if mode is not None else ""


def _edition(mode: Mode, found: pkgutil.ModuleInfo, settings: Settings) -> Edition:
    """Which version of a mode this is: by its code, its prompts, and what the settings bring into its calls."""
    texts = prompts.texts_of(mode)
    shape = [settings.office, mode.model or settings.realtime_model, settings.transcription_model, texts]
    digest = hashlib.sha256(msgspec.json.encode(shape, enc_hook=str))
    for path in _sources(Path(getattr(found.module_finder, "path", "")), found):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return Edition(stamp=digest.hexdigest()[:STAMP_DIGITS], prompts=texts, office=settings.office)


def _sources(folder: Path, found: pkgutil.ModuleInfo) -> Iterator[Path]:
    """The files of a mode: one, or all of its folder but what Python and the system put there."""
    if not found.ispkg:
        yield from [path for path in [folder / f"{found.name}.py"] if path.is_file()]
        return
    for path in sorted((folder / found.name).rglob("*")):
        if path.is_file() and not any(
            part.startswith((".", "__pycache__")) for part in path.parts[len(folder.parts) :]
        ):
            yield path


def _mode_in(module: str, *, folder: bool) -> object:
    """What a file, or a folder's `__init__.py` or `mode.py`, calls `mode`; None if it calls nothing so."""
    mode = getattr(importlib.import_module(module), "mode", None)
    if not folder or isinstance(mode, Mode) or not importlib.util.find_spec(f"{module}.mode"):
        return mode
    return getattr(importlib.import_module(f"{module}.mode"), "mode", None)


def check(file: str, mode: Mode, office: Office) -> list[str]:
    """Everything wrong with one mode, as sentences."""
    faults = prompts.check(mode, office, datetime.now(UTC))
    if mode.name != file:
        faults.append(f"modes/{file}: expected name={file!r}, as the file is called, got {mode.name!r}")
    states = mode.flow.states if mode.flow is not None else ()
    in_states = {tool.name for state in states for tool in state.tools}
    names = [tool.name for tool in mode.tools]
    for name in sorted({name for name in names if names.count(name) > 1}):
        faults.append(f"mode {mode.name!r}: the tool {name!r} is listed twice")
    for tool in mode.first_turn:
        if tool.name not in names:
            faults.append(f"mode {mode.name!r}: the first turn's tool {tool.name!r} is not among its tools")
    for name in (*names, *sorted(in_states.difference(names))):
        if not TOOL_NAME.fullmatch(name):
            faults.append(f"mode {mode.name!r}: expected a tool name of letters, digits, _ and -, got {name!r}")
    return faults + [
        f"mode {mode.name!r}: {fault}" for fault in (*session_faults(mode), *flow_faults(mode), *afterword.faults(mode))
    ]


def session_faults(mode: Mode) -> list[str]:
    """What is wrong with how a mode wants to listen and think, as sentences: values out of range, and contradictions."""
    faults = voice_faults(mode.voice) + _choices(mode, "reasoning") + _choices(mode, "noise_reduction")
    for field in ("first_turn_detection", "turn_detection"):
        match getattr(mode, field):
            case SemanticVad() as vad:
                faults += [f"{field}: {fault}" for fault in _choices(vad, "eagerness")]
            case ServerVad() as vad:
                for name, (low, high) in SERVER_VAD.items():
                    value = getattr(vad, name)
                    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                        faults.append(f"{field}: expected a {name} from {low} to {high} on a phone line, got {value!r}")
            case other:
                faults.append(f"{field}: expected SemanticVad(...) or ServerVad(...), got {other!r}")
    if mode.reasoning and mode.model and not reasons(mode.model):
        faults.append(
            f"expected a model that reasons (gpt-realtime-2 or later) for reasoning={mode.reasoning!r}, got model={mode.model!r}; "
            "change one, or take reasoning out"
        )
    return faults


def _choices(struct: Mode | SemanticVad, field: str) -> list[str]:
    """A field that is one of a few words: nothing checks a struct's types as a mode's file makes it."""
    value, allowed = getattr(struct, field), get_args(get_type_hints(type(struct))[field])
    if value in allowed:
        return []
    return [f"expected {field} to be one of {', '.join(repr(one) for one in allowed)}, got {value!r}"]
