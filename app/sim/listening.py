"""What the listening stand-in understands (listening.toml): from phrases to a grammar, and from recognised words to a meaning."""

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from string import ascii_lowercase

import msgspec

BOOK = Path(__file__).with_name("listening.toml")
LETTER = "sp_"
"""Before the names of letters in a grammar: "a" the word and A the letter sound otherwise."""
NAMED = "tool:"
"""Before the name of a tool that a caller asked for by name."""
MOST_REPEATED = 16
"""Digits in a row, at most."""


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Phrases of one meaning; see listening.toml."""

    name: str
    phrases: list[str]
    tools: list[str] = []
    hint: str = ""
    only_asked: bool = False


class Greeting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a call begins where these words are in the prompt."""

    prompt: str
    says: str


class Told(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text of the house's, and what is said of it, or which wish it is as good as."""

    pattern: str
    says: str = ""
    wish: str = ""


class Book(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    slots: dict[str, list[str]]
    sounds: dict[str, str]
    wish: list[Wish]
    intents: dict[str, str]
    greeting: list[Greeting]
    told: list[Told]


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller meant. `wish` is empty where nothing was understood; `slots` without those that were not said."""

    text: str = ""
    wish: str = ""
    slots: dict[str, str] = {}


class Grammar(msgspec.Struct, frozen=True, kw_only=True):
    """What may be heard at one moment. `jsgf`: for the recogniser; `wishes`: pairs of a pattern and its meaning."""

    jsgf: str
    wishes: tuple[tuple[str, str], ...]
    asked: frozenset[str] = frozenset()
    """Wishes that answer what the caller was asked."""

    def meaning(self, words: str) -> Heard:
        """What these recognised words mean; nothing, if they are no whole phrase."""
        text = words.replace(LETTER, "")
        for pattern, wish in self.wishes:
            if found := re.fullmatch(pattern, f"{words} "):
                slots = {name: value.strip() for name, value in found.groupdict().items() if value}
                return Heard(text=text, wish=wish, slots=slots)
        return Heard()


@cache
def book() -> Book:
    """listening.toml, read once."""
    return msgspec.convert(tomllib.loads(BOOK.read_text(encoding="utf-8")), Book)


def offered(wish: Wish, tools: Collection[str]) -> bool:
    """Whether this wish makes sense with these tools on offer."""
    return not wish.tools or any(tool in tools for tool in wish.tools)


def known_tools(tools: Collection[str]) -> bool:
    """Whether the stand-in knows what to do in a mode that offers these: put_through and end_call are in every one."""
    named = {tool for wish in book().wish for tool in wish.tools} - {"put_through"}
    return any(tool in named for tool in tools)


def hints(tools: Collection[str]) -> list[str]:
    """What a caller can ask for, a sentence each."""
    return [wish.hint for wish in book().wish if wish.hint and offered(wish, tools)]


@lru_cache(maxsize=64)
def grammar(tools: frozenset[str], asked: frozenset[str]) -> Grammar:
    """What may be heard with these tools on offer, after a question that wants one of `asked`.

    A tool that no wish is about can be asked for by its name: "find florist" for find_florist.
    """
    wishes = [
        (phrase, wish.name)
        for wish in sorted(book().wish, key=lambda wish: wish.name not in asked)
        if (wish.name in asked or not wish.only_asked) and offered(wish, tools)
        for phrase in wish.phrases
    ]
    ours = {tool for wish in book().wish for tool in wish.tools} | {"end_call", "correct", "put_through"}
    wishes += [
        (" ".join(re.findall("[a-z]+", name.lower())), f"{NAMED}{name}")
        for name in sorted(tools - ours)
        if re.search("[a-z]", name.lower())
    ]
    phrases = " | ".join(_jsgf(phrase) for phrase, _ in wishes)
    slots = "".join(f"<{name}> = {' | '.join(_words(name))};\n" for name in [*book().slots, "spelled"])
    return Grammar(
        jsgf=f"#JSGF V1.0;\ngrammar caller;\n{slots}public <line> = {phrases};\n",
        wishes=tuple((_pattern(phrase), wish) for phrase, wish in wishes),
        asked=asked,
    )


def _words(slot: str) -> Sequence[str]:
    if slot == "spelled":
        return [" ".join(f"{LETTER}{letter}" for letter in name) for name in book().slots["name"]]
    return book().slots[slot]


def _jsgf(phrase: str) -> str:
    return re.sub(r"\{(\w+)(\+?)\}", r"<\1>\2", phrase)


def _pattern(phrase: str) -> str:
    """A regular expression for a phrase, with a space behind every word. Its groups are named after the slots."""
    parts = re.findall(r"\{\w+\+?\}|[\[\]]|[^\s\[\]{}]+", phrase)
    made: list[str] = []
    for part in parts:
        if part in ("[", "]"):
            made.append("(?:" if part == "[" else ")?")
        elif slot := re.fullmatch(r"\{(\w+)(\+?)\}", part):
            one = "|".join(re.escape(f"{word} ") for word in _words(slot[1]))
            made.append(f"(?P<{slot[1]}>(?:{one}){{1,{MOST_REPEATED if slot[2] else 1}}})")
        else:
            made.append(re.escape(f"{part} "))
    return "".join(made)


def lexicon() -> Mapping[str, str]:
    """Words that the recogniser must be told how to say: by word its phonemes, or the dictionary's entry after `=`."""
    return book().sounds | {f"{LETTER}{letter}": f"={letter}." for letter in ascii_lowercase}
