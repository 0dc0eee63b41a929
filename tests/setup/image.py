"""The image as far as it can be had without a Docker engine: its instructions, what the build is sent, and a folder that has it."""

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from app.settings import ROOT

HERE = "/offhook"
"""Where the code is in the image."""


class Instruction(NamedTuple):
    """One instruction: its word, and the rest on one line."""

    word: str
    rest: str


def stages(text: str) -> list[list[Instruction]]:
    """The instructions of a Dockerfile, stage by stage."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found: list[list[Instruction]] = []
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append(Instruction(word, " ".join(rest.split())))
    return found


def exec_form(rest: str) -> list[str]:
    """The arguments of CMD in its exec form; ValueError if it is not one."""
    arguments = json.loads(rest[rest.index("[") :])
    if not isinstance(arguments, list):
        raise ValueError(f"expected a list, got {rest}")
    return [str(argument) for argument in arguments]


def sent(paths: list[str], ignore: str) -> list[str]:
    """Those of some paths that a build is sent: the last line of a .dockerignore that fits a path, or a folder above it, decides.

    Source: Docker, "Build context", .dockerignore files: `*` within a name, `**` over any number of folders, `!` for exceptions.
    """
    rules = [
        (not line.startswith("!"), re.compile(_pattern(line.removeprefix("!"))))
        for line in ignore.splitlines()
        if line.strip() and not line.startswith("#")
    ]
    kept = []
    for path in paths:
        folders = [path, *(str(parent) for parent in Path(path).parents if parent.name)]
        verdicts = [ignored for ignored, rule in rules if any(rule.fullmatch(folder) for folder in folders)]
        if not verdicts or not verdicts[-1]:
            kept.append(path)
    return kept


def _pattern(line: str) -> str:
    pieces = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    return "".join(pieces.get(piece, re.escape(piece)) for piece in re.split(r"(\*\*/|\*\*|\*)", line))


def checkout() -> list[str]:
    """Every file of the checkout but those of tools' own folders, relative to it."""
    tools = {".git", ".venv", ".hypothesis", ".mypy_cache", ".ruff_cache", ".pytest_cache", "__pycache__"}
    found = []
    for folder, inner, names in os.walk(ROOT):
        inner[:] = [name for name in inner if name not in tools]
        found += [(Path(folder) / name).relative_to(ROOT).as_posix() for name in names]
    return found


def lay_out(folder: Path) -> Path:
    """The code as the image has it, with this interpreter's packages in the place of its own."""
    place = folder / HERE.strip("/")
    for path in sent(checkout(), (ROOT / ".dockerignore").read_text()):
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, place / path)
    (place / ".venv").symlink_to(sys.prefix)
    return place
