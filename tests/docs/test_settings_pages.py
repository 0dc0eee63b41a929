"""Settings: each that there is stands on its page once, with its true default; each that a page names is there."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app import metrics
from app.calls.spoken_calls import ELEVENLABS
from app.rules.office_file import _File
from app.settings import ENVIRONMENT, FIELD, ROOT, Settings
from tests.docs.pages import ALL_PAGES, PAGES, blocks, prose, quoted, rows
from tests.house.samples import OFFICE

PAGE = ROOT / "docs" / "settings.md"
PLACES = ("TWILIO_EDGE", "TWILIO_REGION")
"""Read together, as one address."""
OF_OTHERS = frozenset({
    "ALL_PROXY", "AWS_REGION", "AZURE_REALTIME_KEY", "CHROMIUM_PATH", "CRM_WEBHOOK_SECRET", "FLY_APP_NAME", "FLY_MACHINE_ID",
    "FLY_REGION", "HTTPS_PROXY", "HTTP_PROXY", "NAME_0001", "NAME_0002", "NO_PROXY",
    "OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_RESOURCE_ATTRIBUTES", "PG_BIN", "TCP_NODELAY",
})  # fmt: skip
"""Variables that pages give names of their own, and those of other programs."""
CONSTANT = re.compile(r"(?m)^([A-Z][A-Z0-9_]+)(?:: [^=]+)? = ")


def documented() -> dict[str, str]:
    """Default by name, of the page's table; several names in one cell have one default, or one each."""
    found: dict[str, str] = {}
    for cells in rows(PAGE, "name"):
        names = re.findall(r"`([A-Z][A-Z0-9_]+)`", cells[0])
        defaults = cells[1].split(", ") if cells[1].count("`") > 2 and len(names) > 1 else [cells[1]] * len(names)
        for name, default in zip(names, defaults, strict=True):
            assert name not in found, f"{name} stands twice"
            found[name] = default.strip("`")
    return found


def written(name: str) -> str:
    """A default of the code's as a page would write it; empty for one that is worked out, or made up, at the start."""
    value: Any = getattr(Settings(office=OFFICE), FIELD.get(name, name.lower()), "")
    if name == "ELEVENLABS_URL":
        return ELEVENLABS
    if name == "PRIME_MODEL":
        return "on" if value else "off"
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
        return f"{value:g}" if value or name.startswith("MAX_") else ""
    return value if isinstance(value, str) else ""


def test_every_setting_stands_on_the_page_once_and_none_that_there_is_not() -> None:
    assert set(documented()) == {*ENVIRONMENT, *PLACES}


@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
def test_the_default_on_the_page_is_the_true_one(name: str) -> None:
    said, true = documented()[name], written(name)
    if name == "PUBLIC_URL":
        assert said == "http://HOST:PORT"
    elif true:
        assert said == true
    else:
        assert not re.fullmatch(r"[\d.]+|[a-z]+://.*", said), "a default that the code does not have"


def test_every_setting_stands_in_the_example_file_with_its_default() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    example = dict(line.lstrip("#").split("=", 1) for line in lines if re.match(r"#?[A-Z][A-Z0-9_]+=", line))
    assert set(example) == {*ENVIRONMENT, *PLACES}
    wrong = {
        name: value
        for name, value in example.items()
        if value and written(name) and value != written(name) and name != "PUBLIC_URL"
    }
    assert wrong == {}


def test_every_setting_is_explained_where_it_stands_in_the_example_file() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    group = ""
    for line in lines:
        if re.match(r"#?[A-Z][A-Z0-9_]+=", line):
            assert group.startswith("# "), f"{line}: nothing above it says what it is"
        else:
            group = line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_variable_that_a_page_names_is_a_setting(page: Path) -> None:
    named = {
        word
        for _, text in quoted(page)
        for word in re.findall(r"(?<![\w$.:/'-])[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9](?![\w(])", text)
    }
    named |= {
        name for block in blocks([page]) for name in re.findall(r"(?m)(?:^|\s)([A-Z][A-Z0-9_]+_[A-Z0-9]+)=", block.text)
    }
    unknown = {name for name in named if name not in ENVIRONMENT and name not in PLACES} - OF_OTHERS
    assert unknown - constants() == set()


@cache
def constants() -> set[str]:
    """Names of the house's own figures, which pages may speak of."""
    return {
        name
        for folder in ("app", "modes")
        for path in (ROOT / folder).rglob("*.py")
        for name in CONSTANT.findall(path.read_text(encoding="utf-8"))
    }


# --- offhook.toml -----------------------------------------------------------------------------------------------------

ON_OTHER_PAGES = {"fallback_engine[]": "never-silent.md", "outbound": "outbound.md"}
"""Tables whose keys the settings' page leaves to another."""


def below(info: Any, path: str = "") -> set[str]:
    """Every key that a type of offhook.toml's reader takes, dotted; `*` for a name that is free, `[]` for a list of tables."""
    match info:
        case msgspec.inspect.StructType():
            return {
                key for field in info.fields for key in below(field.type, f"{path}.{field.encode_name}".lstrip("."))
            }
        case msgspec.inspect.ListType(item_type=msgspec.inspect.StructType()):
            return below(info.item_type, f"{path}[]")
        case msgspec.inspect.DictType():
            return below(info.value_type, f"{path}.*")
        case msgspec.inspect.UnionType():
            return {path}
    return {path}


KEYS = below(msgspec.inspect.type_info(_File))


def said_keys() -> set[str]:
    """The keys of the page's tables, a free name in them as `*`; one like `.both` goes with the key before it."""
    found: set[str] = set()
    for cells in rows(PAGE, "key"):
        stem = ""
        for key in re.findall(r"`([^`]+)`", cells[0]):
            whole = stem + key if key.startswith(".") else key
            stem = whole.rpartition(".")[0]
            found.add(re.sub(r'(?<=\.)("[^"]*"|[A-Z]+)(?=\.|$)', "*", whole).replace("[[", "").replace("]]", "[]"))
    return found


def test_every_key_that_the_settings_page_names_is_read() -> None:
    tables = {key.partition(".")[0] for key in KEYS}
    named = {key for key in said_keys() if key.partition(".")[0] in tables}
    assert len(named) > 25
    assert {key for key in named if not any(known == key or known.startswith(f"{key}.") for known in KEYS)} == set()


def test_every_key_that_is_read_is_on_a_page() -> None:
    named = said_keys()
    missing = {key for key in KEYS if not any(key == said or key.startswith(f"{said}.") for said in named)}
    for table, name in ON_OTHER_PAGES.items():
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        leaves = {key: key.removeprefix(table + ".").partition(".")[0] for key in missing if key.startswith(table)}
        missing -= {key for key, leaf in leaves.items() if f"`{leaf}`" in text or f"\n    {leaf} = " in text}
    assert missing == set()


# --- metrics ----------------------------------------------------------------------------------------------------------


def test_every_metric_that_a_page_names_is_there() -> None:
    there = {name for _, value in vars(metrics).items() for name in [getattr(value, "_name", "")] if name}
    known = {f"{name}{end}" for name in there for end in ("", "_total", "_bucket", "_sum", "_count", "_created")}
    named = {
        (page.name, word)
        for page in ALL_PAGES
        for text in [*(line for _, line in prose(page)), *(block.text for block in blocks([page]))]
        for word in re.findall(r"(?<![\w./-])offhook_[a-z_]*[a-z](?![\w./*])", text)
    }
    assert len(named) > 10
    assert {(page, name) for page, name in named if name not in known} == set()
