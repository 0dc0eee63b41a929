"""Texts to callers, where the conversations of a mode do not reach: what is set up, who may get one, what is remembered."""

import asyncio

import pytest

from app import settings
from app.adapters.texted import Texted
from app.calls import texting
from app.calls.texting import Texting, takes_texts
from app.core.record import CallInfo, Milestone
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
