"""What the model stand-in answers when it is asked for an afterword: an object of the keys that are wanted, from the talk alone.

A text gets what the caller said last; a choice gets the first of its words that was said; all else is null. It is nothing to be
believed, and enough to see that answers are asked for, checked and kept.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

WANTED = re.compile(r"^JSON Schema of the object: (\{.+\})$", re.M)


def afterword(body: Mapping[str, Any]) -> str | None:
    """The answer to an out-of-band request; None if it asks for something else. body: of response.create."""
    asked = WANTED.search(str(body.get("instructions", "")))
    if asked is None:
        return None
    schema = msgspec.json.decode(asked[1])
    kinds = schema.get("$defs", {}).get("Wanted", schema).get("properties", {})
    talk = _talk(body)
    return json.dumps({name: _value(kind, talk) for name, kind in kinds.items()})


def _talk(body: Mapping[str, Any]) -> str:
    items = [item for item in body.get("input", []) if isinstance(item, dict)]
    return "\n".join(str(part.get("text", "")) for item in items for part in item.get("content", []))


def _value(kind: Mapping[str, Any], talk: str) -> Any:
    choices = [kind, *kind.get("anyOf", [])]
    words = [str(word) for choice in choices for word in choice.get("enum", []) if isinstance(word, str)]
    if words:
        return next((word for word in words if word and word.replace("_", " ").lower() in talk.lower()), None)
    if any(choice.get("type") == "string" and "format" not in choice for choice in choices):
        said = [line.removeprefix("caller: ") for line in talk.splitlines() if line.startswith("caller: ")]
        return said[-1] if said else None
    return None
