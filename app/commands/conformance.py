"""Conformance: what a mode should have beyond what it needs to start. `./offhook modes --check` and the tests ask it of every mode.

prompt      within its budget
first turn  a few tools, where there are many: the greeting waits for them
schema      every argument is described, and none takes just anything
person      a way to a person: a tool that returns Transfer, or a way of the flow to a desk from every state
outcome     what comes of a call has a type
disclosure  callers are told that they talk to a computer
"""

from collections.abc import Iterator
from typing import Any

from app import tokens
from app.flow_check import transfers
from app.flows import DESK
from app.mode import Mode
from app.mode_sheet import every_tool, look
from app.settings import Settings
from app.tools import Tool

FEW_TOOLS = 3
"""So many may be offered at once from the first turn on."""


def shortcomings(mode: Mode, settings: Settings) -> list[str]:
    """What a mode lacks, as sentences that say what to do; empty for one that conforms."""
    found = []
    size = look(mode, settings).tokens.prompt
    if size > mode.max_prompt_tokens:
        found.append(
            f"prompt: expected at most {mode.max_prompt_tokens} tokens, got {size}; shorten prompts/{mode.prompt}"
        )
    if len(mode.tools) > FEW_TOOLS and not 0 < len(mode.first_turn) < len(mode.tools):
        found.append(
            f"first turn: expected `first_turn` with a few of its {len(mode.tools)} tools, so that the greeting is quick"
        )
    for tool in every_tool(mode).values():
        found += [f"tool {tool.name!r}: {fault}" for fault in schema_faults(tool)]
    if not _leads_to_a_person(mode):
        found.append(
            "person: expected a tool that returns Transfer (in `first_turn`, if that is set), or a flow's way to a desk"
        )
    if mode.outcome is None:
        found.append("outcome: expected `outcome=`, a msgspec.Struct of what may come of a call; got none")
    if not mode.disclosure.ai or mode.disclosure.when == "never":
        found.append(
            "disclosure: expected `disclosure=Disclosure()`, so that callers know that they talk to a computer"
        )
    return found


def remarks(mode: Mode, settings: Settings) -> list[str]:
    """What is worth a look, and is no fault."""
    size = look(mode, settings).tokens.prompt
    if size <= tokens.REFERENCE_PROMPT:
        return []
    return [
        f"prompt: {size} tokens, above the {tokens.REFERENCE_PROMPT} of the reference prompt; every turn pays for it"
    ]


def schema_faults(tool: Tool) -> list[str]:
    """Arguments that a model has to guess at: not described, or free in form."""
    return list(_faults_in(tool.parameters, "", tool.parameters.get("$defs", {}), ()))


def _faults_in(schema: dict[str, Any], where: str, known: dict[str, Any], above: tuple[str, ...]) -> Iterator[str]:
    """Of an object: each of its fields, and what is inside them. A choice of a few words says itself what it is."""
    for name, field in schema.get("properties", {}).items():
        path = f"{where}.{name}" if where else name
        whole = _resolved(field, known)
        if not any("description" in one or "enum" in one for one in (field, whole, *whole.get("anyOf", []))):
            yield f'the argument {path!r} is not described; expected Annotated[..., about("...")]'
        yield from _free(field, path, known, above)


def _free(field: dict[str, Any], path: str, known: dict[str, Any], above: tuple[str, ...]) -> Iterator[str]:
    """What a field may hold: anything at all is a fault; a struct is looked into, but not twice."""
    reference = field.get("$ref", "")
    if reference in above:
        return
    above = (*above, reference) if reference else above
    field = _resolved(field, known)
    options = field.get("anyOf", [])
    if not options and not {"type", "enum", "const"} & field.keys():
        yield f"the argument {path!r} takes anything; expected a type"
    elif field.get("type") == "object" and "properties" not in field:
        yield f"the argument {path!r} is a free dict; expected a msgspec.Struct, or arguments of their own"
    elif field.get("type") == "object":
        yield from _faults_in(field, path, known, above)
    elif field.get("type") == "array":
        yield from _free(field.get("items") or {}, f"{path}[]", known, above)
    for option in options:
        yield from _free(option, path, known, above)


def _resolved(field: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Behind a reference, what it refers to; what stands beside it counts too."""
    reference = field.get("$ref", "")
    return {**known.get(reference.rpartition("/")[2], {}), **field} if reference else field


def _leads_to_a_person(mode: Mode) -> bool:
    """From the first turn on. A flow's states were looked at by the start-up check."""
    if mode.flow is not None:
        ways = (way for state in mode.flow.states for way in state.go)
        return any(way.to.startswith(DESK) for way in ways) or any(
            transfers(tool) for tool in every_tool(mode).values()
        )
    return any(transfers(tool) for tool in mode.first_turn or mode.tools)
