"""Tokens: counted as the models count, without a network, and not at all where a look at the size settles it."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import tokens
from app.settings import ROOT
from modes.receptionist import mode


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", 0),
        ("hello world", 2),
        ("Hello, how can I help you today?", 9),
        ("antidisestablishmentarianism", 6),
        ("123456789", 3),
        ("<|endoftext|>", 7),
        ("你好", 1),
        ("\n\n", 1),
    ],
)
def test_a_text_has_as_many_tokens_as_the_models_say(text: str, size: int) -> None:
    assert tokens.count(text) == size


def test_a_tool_is_counted_with_its_name_its_description_and_its_schema() -> None:
    tool = mode.tools[0].wire()
    whole = tokens.count_tool(tool)
    assert whole > tokens.count(tool["name"]) + tokens.count(tool["description"])
    assert whole < tokens.count_tool({**tool, "description": tool["description"] + " And now something else."})


READABLE = [
    (ROOT / "prompts" / "receptionist.md").read_text(),
    (ROOT / "prompts" / "house.md").read_text(),
    (ROOT / "app" / "mode.py").read_text(),
    "The caller's number is +1 (415) 555-0100; today is 2026-11-23, 09:05.",
    '{"type":"object","properties":{"name":{"type":"string","pattern":"^[A-Z]+$"}},"required":["name"]}',
    "Guten Tag, hier ist die Zahnarztpraxis am See. Bitte sprechen Sie nach der Donaudampfschifffahrt.",
    "您好,这里是湖滨牙科诊所。请问有什么可以帮您?我可以为您预约或者记录留言。",
    "お電話ありがとうございます。湖畔歯科の受付です。",
    "مرحبا، كيف يمكنني مساعدتك اليوم؟",
    "እንደምን አደሩ ዛሬ ምን ልርዳዎት",
]


@pytest.mark.parametrize("text", READABLE)
def test_the_ceiling_is_never_below_the_count_of_anything_readable(text: str) -> None:
    assert tokens.at_most(text) >= tokens.count(text)


@given(
    st.text(
        st.characters(
            exclude_categories=["Cs"], exclude_characters="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        )
    )
)
def test_the_ceiling_holds_for_any_signs_at_all(text: str) -> None:
    assert tokens.at_most(text) >= tokens.count(text)


def test_a_budget_is_exact_at_its_boundary() -> None:
    text = READABLE[0]
    size = tokens.count(text)
    assert tokens.exceeds(text, size) == 0
    assert tokens.exceeds(text, size - 1) == size
    assert tokens.exceeds(text, 10_000) == 0


def test_a_server_that_starts_does_not_load_the_tokenizer() -> None:
    code = "import sys; from app import main, registry, settings; registry.find(settings.load({})); print('splintr' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("False")


def test_counting_opens_no_socket() -> None:
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise OSError('no network here')\n"
        "socket.socket = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from app import tokens; print(tokens.count('hello world'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"HOME": "/nonexistent", "PATH": ""},
    )
    assert done.stdout.strip() == "2"
