"""The floors: imports go strictly down, minds have no clock, guests know one page, and no file grows past reading."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
OURS = ("app", "modes")
LONGEST = 400

FLOORS: dict[str, int] = {
    # 6 house: how parts are joined
    "app.main": 6,
    "app.house_jobs": 6,
    "app.outside": 6,
    "app.cli": 6,
    "app.commands": 6,
    "app.chaos": 6,
    # 5 doors: HTTP, rehearsal, the list of modes
    "app.web": 5,
    "app.sim": 5,
    "app.registry": 5,
    "app.doctor": 5,
    # 4 heart: time, tasks, two sockets by protocol
    "app.relay": 4,
    "app.calls": 4,
    "app.jobs": 4,
    # 3 hands: the network and Postgres
    "app.adapters": 3,
    # 2 mind: what a call is
    "app.core": 2,
    "app.flow_check": 2,
    "app.flow_sheet": 2,
    "app.mode_sheet": 2,
    # 1 forms: the shape of messages and of a mode
    "app.wire": 1,
    "app.tools": 1,
    "app.mode": 1,
    "app.flows": 1,
    "app.captures": 1,
    "app.consent": 1,
    "app.outbound": 1,
    "app.afterword": 1,
    "app.keypad": 1,
    "app.prompts": 1,
    "app.tokens": 1,
    # 0 words: names; libraries only, but for each other
    "app.core.events": 0,
    "app.core.effects": 0,
    "app.core.record": 0,
    "app.core.rows": 0,
    "app.core.heard": 0,
    "app.core.memory": 0,
    "app.core.recorded": 0,
    "app.core.standing": 0,
    "app.core.finished": 0,
    "app.errors": 0,
    "app.rules": 0,
    "app.settings": 0,
    "app.log": 0,
    "app.others_words": 0,
    "app.clips": 0,
    "app.metrics": 0,
    "app.trace_ids": 0,
}
"""The floor of a module is that of its longest name here."""

WITHOUT_IO = ("app.core", "app.wire")
IO = frozenset(
    {
        "aiohttp", "asyncio", "asyncpg", "concurrent", "http", "httpx", "hypercorn", "multiprocessing", "sched", "select",
        "selectors", "signal", "socket", "socketserver", "sqlalchemy", "ssl", "starlette", "subprocess", "threading", "time",
        "urllib", "uvloop", "websockets",
    }
)  # fmt: skip
CLOCKS = frozenset({"now", "utcnow", "today"})


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name."""
    found = {}
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def imports(module: str) -> Iterator[str]:
    """All that a module imports, wherever in it, by full dotted names; a name out of a package of ours is the module it is."""
    package = module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{source}.{alias.name}"
                yield whole if whole in modules() else source


def ours(module: str) -> set[str]:
    """The modules of ours that a module imports."""
    return {name for name in imports(module) if name.split(".")[0] in OURS}


def floor(module: str) -> int | None:
    """The floor of a module; None if nobody gave it one."""
    while module:
        if module in FLOORS:
            return FLOORS[module]
        module = module.rpartition(".")[0]
    return None


def below(name: str, module: str) -> bool:
    """Whether a module may import another: from its own floor or one further down."""
    there, here = floor(name), floor(module)
    return there is not None and here is not None and there <= here


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


APP = [name for name in modules() if name.startswith("app.")]


def test_there_is_something_to_check() -> None:
    assert len(APP) > 50
    assert "app.core.events" in ours("app.wire.twilio")
    assert "app.metrics" in ours("app.calls.toolbox")


def test_every_module_has_a_floor() -> None:
    assert [name for name in APP if floor(name) is None] == []


def test_imports_go_strictly_down_or_stay_within_the_floor() -> None:
    upward = {
        f"{module} on floor {floor(module)}": {
            name: floor(name) for name in sorted(ours(module)) if not below(name, module)
        }
        for module in APP
    }
    assert {module: names for module, names in upward.items() if names} == {}


def test_no_import_goes_in_a_circle() -> None:
    graph = {name: ours(name) - {name} for name in modules()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as circle:
        raise AssertionError(" -> ".join(circle.args[1])) from None


def test_mind_and_forms_have_no_loop_no_socket_and_no_clock() -> None:
    minds = [name for name in modules() if within(name, WITHOUT_IO)]
    reach = {module: sorted(name for name in imports(module) if name.split(".")[0] in IO) for module in minds}
    assert {module: names for module, names in reach.items() if names} == {}
    clocks = [
        (module, ast.unparse(node))
        for module in minds
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS
    ]
    assert clocks == []
    waits = [
        (module, node.lineno)
        for module in minds
        for node in ast.walk(tree(module))
        if isinstance(node, ast.AsyncFunctionDef | ast.Await)
    ]
    assert waits == []


def test_the_registry_alone_loads_the_modes() -> None:
    assert [module for module in APP if any(within(name, ("modes",)) for name in ours(module))] == []
    loads = {
        module
        for module in APP
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("importlib.import_module", "import_module", "__import__", "exec", "eval")
    }
    assert loads <= {"app.registry"}


def test_a_guest_knows_the_contract_page_its_own_folder_and_libraries() -> None:
    strays = {
        module: sorted(name for name in ours(module) if name != "app.mode" and not within(name, (home,)))
        for module in modules()
        if module.startswith("modes.") and (home := ".".join(module.split(".")[:2]))
    }
    assert {module: names for module, names in strays.items() if names} == {}


def test_no_import_cheats_upward_for_types_alone() -> None:
    assert [name for name, path in modules().items() if "TYPE_CHECKING" in path.read_text(encoding="utf-8")] == []


def test_the_words_import_nothing_but_libraries_and_words() -> None:
    lowest = [name for name in APP if floor(name) == 0]
    assert {name: sorted(ours(name)) for name in lowest if any(floor(other) != 0 for other in ours(name))} == {}


def test_a_package_s_own_file_is_empty() -> None:
    files = [path for package in (*OURS, "tests") for path in (ROOT / package).rglob("__init__.py")]
    assert [str(path.relative_to(ROOT)) for path in files if path.read_text(encoding="utf-8").strip()] == []


OUR_FILES = sorted(
    path
    for folder in (*OURS, "tests", "migrations", "tools", "bench")
    for path in (ROOT / folder).rglob("*.py")
    if path.name != "__init__.py"
)


def test_a_file_is_short_enough_to_read() -> None:
    lines = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in OUR_FILES}
    assert {path: count for path, count in lines.items() if count > LONGEST} == {}


def test_a_file_says_first_what_it_is_for() -> None:
    silent = [
        name for name, path in modules().items() if not ast.get_docstring(tree(name)) and path.name != "__init__.py"
    ]
    assert silent == []


def test_the_standard_library_is_not_shadowed() -> None:
    tops = {path.stem for path in ROOT.glob("*.py")} | set(OURS)
    assert not tops & sys.stdlib_module_names
