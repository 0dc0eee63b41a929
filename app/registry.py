"""The registry: finds every mode in `modes/`, checks them all, and says which one answers a call."""

import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from types import ModuleType
from typing import get_args, get_type_hints

import structlog

from app import prompts
from app.errors import SetupError
from app.flow_check import flow_faults, settle_desks
from app.mode import Mode, SemanticVad, ServerVad
from app.office import Office
from app.settings import Settings
from app.wire.dialects import reasons

log = structlog.get_logger()

TOOL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")
SERVER_VAD = {"threshold": (0.55, 0.65), "silence_duration_ms": (400, 650), "prefix_padding_ms": (0, 1000)}
"""What a phone line bears, both ends included; why is said at `ServerVad`."""


class Registry:
    """All modes by name, all of them sound."""

    def __init__(self, modes: dict[str, Mode], settings: Settings, warnings: Sequence[str] = ()) -> None:
        """warnings: what does not stop a start, as sentences; the house tells them once."""
        self.modes = modes
        self.settings = settings
        self.warnings = list(warnings)

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
        except Exception as wrong:  # whatever a mode's file does wrong belongs into the report
            faults.append(f"modes/{name}: cannot be imported: {type(wrong).__name__}: {wrong}")
            continue
        if not isinstance(mode, Mode):
            faults.append(f"modes/{name}: expected a line `mode = Mode(...)`, found {type(mode).__name__}")
            continue
        faults += check(name, mode, settings.office)
        modes[name], doubts = settle_desks(mode, settings.office)
        warnings += doubts
    for where, name in {"calls.default_mode": settings.default_mode, **settings.numbers}.items():
        if name not in modes:
            faults.append(
                f"offhook.toml: {where}: expected one of {', '.join(sorted(modes)) or 'no mode at all'}, got {name!r}"
            )
    if faults:
        raise SetupError("the modes cannot be used:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return Registry(modes, settings, warnings)


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
    return faults + [f"mode {mode.name!r}: {fault}" for fault in (*session_faults(mode), *flow_faults(mode))]


def session_faults(mode: Mode) -> list[str]:
    """What is wrong with how a mode wants to listen and think, as sentences: values out of range, and contradictions."""
    faults = _choices(mode, "reasoning") + _choices(mode, "noise_reduction")
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
