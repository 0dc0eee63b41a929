"""Other servers of models, which stand in for the first one: `[[fallback_engine]]` of offhook.toml, in the order of trial.

A key is never written there: `key_env` names the environment variable (or line of `.env`) that holds it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args
from urllib.parse import urlsplit

import msgspec

from app.rules.engines import CODECS, ENGINES, Auth, Codec, DialectName, EngineName
from app.rules.values import url

VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
ADDRESS = url("wss", "ws")
FIRST = "main"
"""The name of the server of the environment's settings."""


class Table(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One entry of the file. `name`: for logs and figures; empty: by its place."""

    url: str
    model: str = ""
    key_env: str = ""
    name: str = ""
    engine: str = "auto"
    auth: str = "auto"
    dialect: str = "auto"
    audio: str = "auto"
    voice: str = ""


class FallbackEngine(msgspec.Struct, frozen=True, kw_only=True):
    """One of them, checked. `model` and `voice` empty: the mode's own."""

    name: str
    url: str
    key: str = ""
    model: str = ""
    voice: str = ""
    engine: EngineName | None = None
    auth: Auth | None = None
    dialect: DialectName | None = None
    audio: Codec | None = None

    def __repr__(self) -> str:
        """Without the key."""
        return f"FallbackEngine({self.name!r} at {urlsplit(self.url).hostname})"


def read_engines(
    tables: Sequence[Table], environ: Mapping[str, str], file: str, faults: list[str]
) -> tuple[FallbackEngine, ...]:
    """The entries as settings; what is wrong is added to `faults`, with no value of a variable in it."""
    engines: list[FallbackEngine] = []
    for number, table in enumerate(tables, 1):
        where = f"{file}: fallback_engine {number}"
        faults += [f"{where}: {fault}" for fault in _faults(table, environ, {engine.name for engine in engines})]
        engines.append(
            FallbackEngine(
                name=table.name or f"fallback-{number}",
                url=table.url.rstrip("/"),
                key=environ.get(table.key_env, "").strip() if table.key_env else "",
                model=table.model,
                voice=table.voice,
                engine=_chosen(table.engine),
                auth=_chosen(table.auth),
                dialect=_chosen(table.dialect),
                audio=_chosen(table.audio),
            )
        )
    return tuple(engines)


def _faults(table: Table, environ: Mapping[str, str], taken: set[str]) -> list[str]:
    found: list[str] = []
    try:
        if urlsplit(ADDRESS(table.url)).username is not None:
            found.append("url: expected no login in it; name the variable that holds the key in key_env")
    except ValueError as wrong:
        found.append(f"url: expected {wrong}, got {table.url!r}")
    if table.key_env and not VARIABLE.fullmatch(table.key_env):
        found.append(
            "key_env: expected the name of an environment variable as AZURE_KEY, got something else (kept secret)"
        )
    elif table.key_env and not environ.get(table.key_env, "").strip():
        found.append(f"key_env: expected a key in the variable {table.key_env}, which is not set")
    if table.name and (not NAME.fullmatch(table.name) or table.name == FIRST or table.name in taken):
        found.append(
            f"name: expected a name of its own in small letters, digits, - and _ (not {FIRST!r}), got {table.name!r}"
        )
    known: dict[str, tuple[str, ...]] = {
        "engine": ("auto", *ENGINES),
        "auth": ("auto", *get_args(Auth)),
        "dialect": ("auto", *get_args(DialectName)),
        "audio": ("auto", *CODECS),
    }
    for key, names in known.items():
        if getattr(table, key) not in names:
            found.append(f"{key}: expected one of {', '.join(names)}, got {getattr(table, key)!r}")
    return found


def _chosen(name: str) -> Any:
    """None for `auto`. What is none of the names has been told of as a fault."""
    return None if name == "auto" else name
