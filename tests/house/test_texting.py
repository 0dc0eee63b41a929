"""Texts to callers, where the conversations of a mode do not reach: what is set up, who may get one, what is remembered."""

import asyncio
from typing import Literal

import pytest

from app import settings
from app.adapters.texted import Texted
from app.calls import texting
from app.calls.texting import Texting, takes_texts
from app.core.rows import CallInfo, Milestone
from app.errors import ToolError
from app.outside import trial

OURS, CALLER = "+14155550199", "+14155550123"


class Box:
    """A carrier that keeps texts, and answers once `open` is set."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str, str]] = []
        self.open = asyncio.Event()
        self.asked = asyncio.Event()
        self.answer = Texted("sent")

    async def send_text(self, *, to: str, sender: str, body: str) -> Texted:
        self.texts.append((to, sender, body))
        self.asked.set()
        await self.open.wait()
        return self.answer


def call(sid: str = "CA1", caller: str = CALLER) -> CallInfo:
    return CallInfo(call_sid=sid, account_sid="AC1", caller=caller, dialled=OURS)


@pytest.mark.parametrize(("has_carrier", "sender"), [(False, OURS), (True, "")])
async def test_a_house_that_cannot_send_says_so(has_carrier: bool, sender: str) -> None:
    box = Box()
    rows: list[Milestone] = []
    with pytest.raises(ToolError, match="not set up"):
        await Texting(box if has_carrier else None, sender, rows.append).to(call())("Hello.")
    assert (box.texts, rows) == ([], [])


@pytest.mark.parametrize("words", ["", "  \n", "x" * 481])
async def test_a_text_that_is_none_or_too_long_is_refused(words: str) -> None:
    box = Box()
    with pytest.raises(ToolError, match="480 characters"):
        await Texting(box, OURS, lambda row: None).to(call())(words)
    assert box.texts == []


async def test_a_call_from_our_own_number_is_not_texted() -> None:
    with pytest.raises(ToolError, match="takes no texts"):
        await Texting(Box(), OURS, lambda row: None).to(call(caller=OURS))("Hello.")


async def test_the_same_text_asked_for_at_once_is_one_and_another_call_s_is_another() -> None:
    box, rows = Box(), list[Milestone]()
    box.open.set()
    texts = Texting(box, OURS, rows.append)
    await asyncio.gather(*(texts.to(call())("Hello.") for _ in range(5)), texts.to(call("CA2"))("Hello."))
    await texts.to(call())("Goodbye.")
    assert [body for _, _, body in box.texts] == ["Hello.", "Hello.", "Goodbye."]
    assert [(row.call_sid, row.name) for row in rows] == [
        ("CA1", "text_sent"),
        ("CA2", "text_sent"),
        ("CA1", "text_sent"),
    ]


async def test_a_tool_that_is_given_up_does_not_take_its_text_along_and_closing_waits_for_it() -> None:
    box, rows = Box(), list[Milestone]()
    texts = Texting(box, OURS, rows.append)
    tool = asyncio.ensure_future(texts.to(call())("Hello."))
    await box.asked.wait()
    tool.cancel()
    await asyncio.wait([tool])
    closing = asyncio.create_task(texts.close())
    box.open.set()
    await closing
    assert [row.name for row in rows] == ["text_sent"]


async def test_calls_of_long_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texting, "REMEMBERED_CALLS", 2)
    box = Box()
    box.open.set()
    texts = Texting(box, OURS, lambda row: None)
    for sid in ("CA1", "CA2", "CA3", "CA1"):
        await texts.to(call(sid))("Hello.")
    assert len(box.texts) == 4


@pytest.mark.parametrize(
    ("environ", "stands_in"),
    [
        ({}, True),
        ({"PUBLIC_URL": "https://phone.example"}, False),
        ({"TWILIO_ACCOUNT_SID": "AC" + "1" * 32}, False),
        ({"OPENAI_API_KEY": "sk-1"}, False),
    ],
)
def test_a_stand_in_takes_texts_only_where_nobody_can_call(environ: dict[str, str], stands_in: bool) -> None:
    assert trial(settings.load(environ)) is stands_in


@pytest.mark.parametrize("number", ["+14155550123", "+442079460000", "+4915112345678"])
def test_a_telephone_takes_texts(number: str) -> None:
    assert takes_texts(number)


@pytest.mark.parametrize(
    "number",
    ["", "anonymous", "+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253", "14155550123", "+1415555",
     "client:desk", "sip:a@b.example", "+19005550100", "+14155550123\n"],
)  # fmt: skip
def test_what_is_no_telephone_or_costs_money_takes_none(number: str) -> None:
    assert not takes_texts(number)


# --- over processes -------------------------------------------------------------------------------------------------------


class Book:
    """What the books say of a text, and what they are told."""

    def __init__(self, claim: Literal["mine"] | Texted | None) -> None:
        self.answer = claim
        self.settled: list[tuple[str, str, Texted]] = []
        self.asked = 0

    async def claim(self, call_sid: str, words: str) -> Literal["mine"] | Texted | None:
        self.asked += 1
        return self.answer

    async def settle(self, call_sid: str, words: str, texted: Texted) -> bool:
        self.settled.append((call_sid, words, texted))
        return True


def house(claim: Literal["mine"] | Texted | None) -> tuple[Texting, Box, Book, list[Milestone]]:
    box, book, rows = Box(), Book(claim), list[Milestone]()
    box.open.set()
    return Texting(box, OURS, rows.append, book), box, book, rows


@pytest.mark.parametrize("taken_up", [False, True])
async def test_a_text_is_claimed_and_then_sent_and_the_books_are_told_what_became_of_it(taken_up: bool) -> None:
    texts, box, book, rows = house("mine")
    await texts.to(call(), taken_up=taken_up)("Hello.")
    await texts.close()
    assert [body for _, _, body in box.texts] == ["Hello."]
    assert book.settled == [("CA1", "Hello.", Texted("sent"))]
    assert [row.name for row in rows] == ["text_sent"]


async def test_a_text_that_another_process_has_sent_is_not_sent_again_and_the_caller_is_told_that_it_was() -> None:
    texts, box, book, rows = house(Texted("sent"))
    await texts.to(call(), taken_up=True)("Hello.")
    await texts.close()
    assert (box.texts, book.settled, rows) == ([], [], [])


async def test_nobody_claims_to_know_of_a_text_that_another_process_was_asking_for_as_it_died() -> None:
    texts, box, _, _ = house(Texted("unknown"))
    with pytest.raises(ToolError, match="not known whether the text was sent"):
        await texts.to(call(), taken_up=True)("Hello.")
    assert box.texts == []


async def test_without_the_books_who_took_the_call_up_sends_nothing_and_says_so() -> None:
    texts, box, _, _ = house(None)
    with pytest.raises(ToolError, match="not known whether the text was sent"):
        await texts.to(call(), taken_up=True)("Hello.")
    assert box.texts == []


async def test_without_the_books_the_process_that_the_call_began_in_sends_and_tells_them_later() -> None:
    texts, box, book, _ = house(None)
    await texts.to(call())("Hello.")
    await texts.close()
    assert len(box.texts) == len(book.settled) == 1


async def test_what_the_carrier_refused_here_is_asked_for_again_on_the_same_claim() -> None:
    texts, box, book, _ = house("mine")
    box.answer = Texted("refused", 20429)
    with pytest.raises(ToolError, match="busy"):
        await texts.to(call())("Hello.")
    book.answer, box.answer = Texted("unknown"), Texted("sent")
    await texts.to(call())("Hello.")
    await texts.close()
    assert [texted.state for _, _, texted in book.settled] == ["refused", "sent"]
    assert (len(box.texts), book.asked) == (2, 1)
