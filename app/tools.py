"""A tool from a function's signature: the schema the model reads, and the check of what it sends."""

import inspect
from collections.abc import Callable
from typing import Any

import msgspec

from app.captures.arguments import Wanted, wanted
from app.errors import ToolError

ARGUMENTS_CHARACTERS = 16_000
"""Nobody says more in one breath: a model that writes more has lost itself."""
REASON_CHARACTERS = 300


def about(text: str, **limits: Any) -> msgspec.Meta:
    """Describe an argument to the model, with JSON Schema limits if any: about("letters only", pattern="^[A-Z]+$")."""
    return msgspec.Meta(description=text, **limits)


class Tool(msgspec.Struct, frozen=True):
    """An async function that the model may call. Made by `app.mode.tool`."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments: an object that refuses unknown keys."""
    deadline_seconds: float
    answer_bytes: int
    """A longer answer is refused: the model reads all of it before it can speak."""
    filler: str
    """Spoken if there is no answer after `filler_after_ms`."""
    filler_after_ms: int
    background: bool
    """The talk goes on while it runs."""
    writes: bool
    """It changes something, so the caller is asked first."""
    function: Callable[..., Any]
    arguments_type: type[msgspec.Struct]
    context_name: str | None
    captures: dict[str, Wanted] = {}
    """Arguments that the call's `CaptureLedger` has to settle before the function can take them."""

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        hints: dict[str, Any],
        context_type: type,
        *,
        deadline_seconds: float,
        answer_bytes: int,
        filler: str,
        filler_after_ms: int,
        background: bool,
        writes: bool,
    ) -> "Tool":
        """Read a function's signature. Raises TypeError naming what cannot be a tool."""
        where = f"tool {function.__name__!r}"
        for name, value in (("deadline_seconds", deadline_seconds), ("answer_bytes", answer_bytes)):
            if not value > 0:
                raise TypeError(f"{where}: expected {name} above 0, got {value}")
        if filler_after_ms < 0:
            raise TypeError(f"{where}: expected filler_after_ms of 0 or more, got {filler_after_ms}")
        if background and filler:
            raise TypeError(f"{where}: a background tool has no filler: the talk goes on while it runs")
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"{where}: expected an async function (async def)")
        description = inspect.cleandoc(function.__doc__ or "")
        if not description:
            raise TypeError(f"{where}: expected a docstring; it is what the model reads")
        fields: list[Any] = []
        context_name = None
        captures: dict[str, Wanted] = {}
        for parameter in inspect.signature(function).parameters.values():
            hint = hints.get(parameter.name)
            if hint is context_type:
                context_name = parameter.name
                continue
            if hint is None:
                raise TypeError(f"{where}: argument {parameter.name!r} has no type")
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                raise TypeError(f"{where}: argument {parameter.name!r} must have a name of its own")
            if captured := wanted(hint, f"{where}: argument {parameter.name!r}", parameter.default):
                captures[parameter.name] = captured
                hint = captured.wire
            if parameter.default is parameter.empty:
                fields.append((parameter.name, hint))
            else:
                fields.append((parameter.name, hint, parameter.default))
        arguments_type = msgspec.defstruct(function.__name__, fields, forbid_unknown_fields=True, kw_only=True)
        return cls(
            name=function.__name__,
            description=description,
            parameters=_object_schema(arguments_type, where),
            deadline_seconds=deadline_seconds,
            answer_bytes=answer_bytes,
            filler=filler,
            filler_after_ms=filler_after_ms,
            background=background,
            writes=writes,
            function=function,
            arguments_type=arguments_type,
            context_name=context_name,
            captures=captures,
        )

    def check(self, arguments: str) -> dict[str, Any]:
        """Arguments as the model sent them (JSON text) to what the function takes. Raises ToolError for the model."""
        if len(arguments) > ARGUMENTS_CHARACTERS:
            raise ToolError(
                f"The arguments for {self.name} are too long: {len(arguments)} characters, at most {ARGUMENTS_CHARACTERS} are "
                "taken. Say it in fewer words and call it again."
            )
        try:
            values = msgspec.json.decode(arguments or "{}", type=self.arguments_type)
        except msgspec.ValidationError as wrong:
            why = _brief(wrong)
            raise ToolError(f"Wrong arguments for {self.name}: {why}. Correct them and call it again.") from wrong
        except (msgspec.DecodeError, UnicodeError, RecursionError) as wrong:
            raise ToolError(f"The arguments for {self.name} are not JSON: {_brief(wrong)}. Call it again.") from wrong
        return {name: getattr(values, name) for name in self.arguments_type.__struct_fields__}

    async def call(self, values: dict[str, Any], context: Any) -> Any:
        """Run the function. `values` come from `check`; deadlines are the caller's business."""
        if self.context_name is not None:
            values = {**values, self.context_name: context}
        return await self.function(**values)

    def wire(self) -> dict[str, Any]:
        """The tool as a session's configuration lists it: flat, the same in every dialect."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
        }


def _brief(wrong: Exception) -> str:
    """An error that may quote what the model wrote, short enough to be read."""
    words = str(wrong)
    return words if len(words) <= REASON_CHARACTERS else f"{words[:REASON_CHARACTERS]}..."


def _object_schema(arguments_type: type[msgspec.Struct], where: str) -> dict[str, Any]:
    """The arguments' schema as one object; definitions stay beside it only if something refers to them."""
    try:
        (top,), definitions = msgspec.json.schema_components([arguments_type], ref_template="#/$defs/{name}")
    except TypeError as wrong:
        raise TypeError(f"{where}: {wrong}") from wrong
    schema = dict(definitions.pop(top["$ref"].rsplit("/", 1)[1]))
    schema.pop("title", None)
    schema.setdefault("required", [])
    if definitions:
        schema["$defs"] = definitions
    return schema
