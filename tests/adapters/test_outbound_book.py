"""The outbound book in a real Postgres: claimed once, counted against the caps, spaced by result, and nothing half-written."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.api_tokens import ApiTokens
from app.adapters.outbound_book import Claimed, OutboundBook
from app.errors import CallRefused
from app.outbound import Checked, Placed, Wish
from app.rules.outbound import OutboundRules, Result

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
RULES = OutboundRules()
ANNA, BEN = "+14155550133", "+14155550134"


@pytest.fixture
def book(engine: AsyncEngine) -> OutboundBook:
    return OutboundBook(engine)


async def asked(
    book: OutboundBook, to: str = ANNA, *, key: str | None = None, now: datetime = NOW, **more: Any
) -> Placed:
    wish = Wish(to=to, mode="reminder", fields={"name": more.pop("name", "Baker")})
    checked = Checked(
        wish=wish, fields=wish.fields, due_at=more.pop("due_at", now), max_attempts=more.pop("attempts", 3)
    )
    return (await book.keep(checked, asked_by=more.pop("by", "crm"), key=key, rules=more.pop("rules", RULES), now=now))[
        0
    ]


async def claim(book: OutboundBook, now: datetime = NOW, rules: OutboundRules = RULES) -> Claimed | None:
    return await book.claim(rules, now, lambda number, at: at)


async def ends(book: OutboundBook, claimed: Claimed, result: Result, now: datetime = NOW, **more: Any) -> bool:
    return await book.ended(claimed.reference, claimed.seq, result, rules=RULES, now=now, **more)


async def code_of(asking: Any) -> str:
    with pytest.raises(CallRefused) as refused:
        await asking
    return refused.value.code


async def test_of_many_processes_one_dials_a_call_that_is_due(book: OutboundBook) -> None:
    await asked(book)
    await asked(book, BEN)
    claims = await asyncio.gather(*(claim(book) for _ in range(12)))
    assert sorted(claimed.to for claimed in claims if claimed is not None) == [ANNA, BEN]


async def test_a_call_is_not_dialled_before_it_is_due_nor_while_another_rings_at_that_number(
    book: OutboundBook,
) -> None:
    await asked(book, due_at=NOW + timedelta(minutes=5), name="Cook")
    assert await claim(book) is None
    await asked(book)
    first = await claim(book)
    assert first is not None
    assert await claim(book, NOW + timedelta(hours=1)) is None
    await ends(book, first, "answered", NOW + timedelta(hours=1))
    assert await claim(book, NOW + timedelta(hours=1)) is not None


async def test_a_second_call_to_one_that_rings_or_is_about_to_is_refused(book: OutboundBook) -> None:
    await asked(book)
    assert await code_of(asked(book, name="Cook")) == "already_ringing", "the next look, a second away, would ring it"
    assert await claim(book) is not None
    assert await code_of(asked(book, name="Cook")) == "already_ringing"


async def test_the_very_same_call_is_not_kept_twice_while_it_waits_and_another_to_that_number_is(
    book: OutboundBook,
) -> None:
    morning = NOW + timedelta(hours=9)
    first = await asked(book, due_at=morning)
    assert await code_of(asked(book, due_at=morning)) == "already_waiting"
    assert await code_of(asked(book, due_at=morning, key="new", by="another")) == "already_waiting"
    assert (await asked(book, due_at=morning, name="Cook")).status == "waiting"
    await book.cancel(first.reference, NOW)
    assert (await asked(book, due_at=morning)).status == "waiting"


async def test_a_number_on_the_list_is_refused_and_what_waited_for_it_is_not_dialled(
    book: OutboundBook, engine: AsyncEngine
) -> None:
    waiting = await asked(book)
    await book.never_call(ANNA, "asked for it")
    await book.never_call(ANNA, "asked for it twice")
    assert await code_of(asked(book)) == "do_not_call"
    assert await claim(book) is None
    kept = await book.placed(waiting.reference)
    assert kept is not None
    assert (kept.status, kept.result, kept.attempts) == ("done", "do_not_call", [])
    assert [number for number, _, _ in await book.never_called()] == [ANNA]
    assert await book.call_again(ANNA) is True
    assert await book.call_again(ANNA) is False
    assert (await asked(book)).status == "waiting"
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM outbound_calls"))).scalar_one() == 2


@pytest.mark.parametrize(
    ("rules", "to"),
    [
        (OutboundRules(a_day_to_one=1), ANNA),
        (OutboundRules(a_day=1), BEN),
        (OutboundRules(waiting=1), BEN),
    ],
)
async def test_a_call_past_a_cap_is_refused_and_not_kept(book: OutboundBook, rules: OutboundRules, to: str) -> None:
    await asked(book, rules=rules)
    if rules.waiting != 1:
        claimed = await claim(book, rules=rules)
        assert claimed is not None
        await ends(book, claimed, "answered")
    assert await code_of(asked(book, to, rules=rules)) == "caps_reached"
    later = NOW + timedelta(hours=25)
    if rules.waiting != 1:
        assert (await asked(book, to, rules=rules, now=later)).status == "waiting"


async def test_no_more_calls_are_dialled_at_once_than_may_be(book: OutboundBook) -> None:
    rules = OutboundRules(at_once=1)
    await asked(book)
    await asked(book, BEN)
    claims = await asyncio.gather(*(claim(book, rules=rules) for _ in range(4)))
    assert len([claimed for claimed in claims if claimed is not None]) == 1


async def test_the_same_key_asks_for_the_same_call_and_no_other(book: OutboundBook) -> None:
    first = await asked(book, key="k1")
    again = await asked(book, key="k1")
    assert again.reference == first.reference
    assert await code_of(asked(book, BEN, key="k1")) == "key_reused"
    assert (await asked(book, BEN, key="k1", by="another")).reference != first.reference
    both = await asyncio.gather(*(asked(book, "+14155550135", key="k2") for _ in range(5)))
    assert len({placed.reference for placed in both}) == 1


@pytest.mark.parametrize(("result", "minutes"), [("busy", 15), ("no_answer", 120), ("failed", 60), ("lost", 120)])
async def test_the_next_attempt_is_spaced_by_the_result_of_the_last(
    book: OutboundBook, result: Result, minutes: int
) -> None:
    placed = await asked(book, attempts=2)
    claimed = await claim(book)
    assert claimed is not None
    assert await ends(book, claimed, result)
    assert not await ends(book, claimed, "answered"), "told again, it changes nothing"
    kept = await book.placed(placed.reference)
    assert kept is not None
    assert (kept.status, kept.result, kept.due_at) == ("waiting", result, NOW + timedelta(minutes=minutes))
    later = NOW + timedelta(minutes=minutes)
    again = await claim(book, later)
    assert again is not None
    assert again.seq == 2
    await ends(book, again, result, later)
    kept = await book.placed(placed.reference)
    assert kept is not None
    assert (kept.status, [attempt.result for attempt in kept.attempts]) == ("done", [result, result])


@pytest.mark.parametrize("result", ["answered", "message_left", "fax", "canceled"])
async def test_after_these_nobody_is_called_again(book: OutboundBook, result: Result) -> None:
    placed = await asked(book)
    claimed = await claim(book)
    assert claimed is not None
    await ends(book, claimed, result)
    kept = await book.placed(placed.reference)
    assert kept is not None
    assert (kept.status, kept.result) == ("done", result)
    assert await claim(book, NOW + timedelta(days=2)) is None


async def test_a_number_that_is_quiet_by_now_is_put_off_and_no_attempt_counted(book: OutboundBook) -> None:
    placed = await asked(book)
    morning = NOW + timedelta(hours=9)
    assert await book.claim(RULES, NOW, lambda number, at: morning) is None
    kept = await book.placed(placed.reference)
    assert kept is not None
    assert (kept.due_at, kept.attempts) == (morning, [])


async def test_an_attempt_that_the_carrier_never_took_does_not_count(book: OutboundBook) -> None:
    placed = await asked(book)
    claimed = await claim(book)
    assert claimed is not None
    await book.undone(claimed.reference, claimed.seq, NOW + timedelta(minutes=1))
    kept = await book.placed(placed.reference)
    assert kept is not None
    assert (kept.status, kept.attempts) == ("waiting", [])
    again = await claim(book, NOW + timedelta(minutes=1))
    assert again is not None
    assert again.seq == 1


async def test_a_call_that_waits_can_be_taken_back_and_one_that_rings_cannot(book: OutboundBook) -> None:
    placed = await asked(book)
    assert await book.cancel(placed.reference, NOW)
    assert await claim(book) is None
    ringing = await asked(book)
    assert await claim(book) is not None
    assert not await book.cancel(ringing.reference, NOW)


async def test_a_token_is_kept_as_a_hash_and_is_good_until_it_is_revoked(engine: AsyncEngine) -> None:
    tokens = ApiTokens(engine)
    token = await tokens.make("crm")
    owner = await tokens.owner(token)
    assert owner is not None
    assert owner.name == "crm"
    async with engine.connect() as connection:
        (row,) = (await connection.execute(text("SELECT * FROM api_tokens"))).all()
    secret = token.rpartition("_")[2]
    assert secret not in str(row)
    for wrong in (
        "",
        "x",
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        f"offhook_{'0' * 12}_{'a' * 43}",
        token + "\x00",
    ):
        assert await tokens.owner(wrong) is None
    assert await tokens.revoke(owner.id)
    assert not await tokens.revoke(owner.id)
    assert await tokens.owner(token) is None
    (listed,) = await tokens.all()
    assert listed.revoked_at is not None
    assert listed.used_at is not None
