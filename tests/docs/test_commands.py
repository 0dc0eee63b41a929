"""Every command that a page shows is one that there is, with arguments that it takes; the harmless ones are run."""

import argparse
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from app import cli
from app.settings import ROOT
from tests.docs.pages import PAGES, Block, blocks, quoted

BY_THE_SHELL = ("test", "lint", "fuzz")
"""Commands of the script ./offhook itself: what follows `test` is pytest's."""
HARMLESS = (
    ("modes", "--check"),
    ("show", "receptionist"),
    ("show", "ivr"),
    ("webhooks", "secret"),
    ("webhooks", "schema"),
    ("bench", "--list"),
)
"""They read the checkout, and nothing else."""
PLACEHOLDERS = {"NAME": "receptionist", "MODE": "receptionist", "SCRIPT": "booking"}
MODULE = re.compile(r"python3? -m ((?:app|bench|tools|tests)[\w.]*)|(?:python3? |\./)(tools/\w+\.py)")


def command_lines(text: str) -> list[str]:
    """What is behind each `./offhook` in a text: up to a comment, a pipe, another command, or the end of its line."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [
        re.split(r"\s#|\s*[|;&>]|\s{2,}|`", line)[0].strip()
        for line in re.findall(r"(?<![\w/.])\./offhook(?![\w/.])[ \t]*([^\n]*)", joined)
    ]


whole = cache(cli.parser)


@cache
def shown() -> list[tuple[str, str]]:
    """Every command line of every page, with its place."""
    lines = [(str(block), line) for block in blocks() for line in command_lines(block.text)]
    for page in PAGES:
        lines += [(f"{page.name}:{number}", line) for number, text in quoted(page) for line in command_lines(text)]
    return lines


def fault(line: str) -> str:
    """Why the parser does not take a command line; empty if it does. A lone name is a command that is spoken of."""
    try:
        words = shlex.split(line)
    except ValueError as wrong:
        return f"{wrong}: {line}"
    if not words or words[0] in BY_THE_SHELL or words[0].startswith("-"):
        return ""
    if words[0] not in cli.COMMANDS:
        return f"there is no command {words[0]!r}"
    words = [PLACEHOLDERS.get(word, word) for word in words if word not in ("...", "…")]
    try:
        whole().parse_args(words)
    except SystemExit as end:
        return "" if len(words) == 1 or end.code == 0 else f"not taken: {line}"
    return ""


def test_there_is_something_to_check() -> None:
    assert len(shown()) > 50
    assert fault("sing")
    assert fault("call --loudly booking")
    assert not fault("call booking --json")


def test_every_command_line_is_one_that_the_parser_takes() -> None:
    assert [f"{where}: {why}" for where, line in shown() if (why := fault(line))] == []


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_explains_itself_with_an_example_that_it_takes(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([name, "--help"])
    assert end.value.code == 0
    assert f"example: {cli.COMMANDS[name][2]}" in capsys.readouterr().out
    assert [fault(line) for line in command_lines(cli.COMMANDS[name][2])] == [""]


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_is_on_some_page(name: str) -> None:
    assert [where for where, line in shown() if line.split()[:1] == [name]]


@pytest.mark.parametrize("words", HARMLESS, ids=" ".join)
def test_a_harmless_command_works_as_it_is_shown(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert cli.main(list(words)) == 0
    assert capsys.readouterr().out.strip()


def test_every_long_option_of_a_command_is_a_real_one_wherever_it_is_spoken_of() -> None:
    real = {option for parser in _parsers(whole()) for option in parser._option_string_actions}
    for where, line in shown():
        words = line.split()
        if words and words[0] not in BY_THE_SHELL:
            assert {word.split("=")[0] for word in words if word.startswith("--")} <= real, where


def _parsers(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    found = [parser]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found += [deeper for choice in action.choices.values() for deeper in _parsers(choice)]
    return found


def programs() -> list[tuple[Block, str]]:
    return [(block, a or b) for block in blocks() for a, b in MODULE.findall(block.text)]


def test_every_program_that_is_called_by_its_module_or_file_is_there() -> None:
    assert programs()
    missing = [
        (str(block), name)
        for block, name in programs()
        if not (ROOT / name).is_file()
        and not (ROOT / (name.replace(".", "/") + ".py")).is_file()
        and not (ROOT / name.replace(".", "/") / "__main__.py").is_file()
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_script_of_a_caller_that_is_named_is_shipped(page: Path) -> None:
    scripts = {path.stem for path in (ROOT / "app/sim/scripts").glob("*.toml")}
    named = [
        words[1]
        for text in [*(block.text for block in blocks([page])), *(text for _, text in quoted(page))]
        for line in command_lines(text)
        if (words := line.split())[:1] == ["call"] and len(words) > 1 and not words[1].startswith("-")
    ]
    assert {name for name in named if not name.endswith(".toml") and name not in PLACEHOLDERS} <= scripts | {"florist"}
