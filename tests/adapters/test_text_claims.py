"""Texts of a call are claimed in the books before they are sent: once, by whichever process comes first."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters import text_claims
from app.adapters.database import make_engine
from app.adapters.text_claims import TextClaims
from app.adapters.texted import Texted
from tests.adapters.pg_trouble import hung


async def test_a_text_is_claimed_once_by_whoever_comes_first(engine: AsyncEngine) -> None:
    claims = [TextClaims(engine) for _ in range(4)]
    answers = await asyncio.gather(*(one.claim("CA1", "Hello.") for one in claims))
    assert sorted(map(str, answers)) == sorted(["mine", *[str(Texted("unknown"))] * 3])
    assert await claims[0].claim("CA2", "Hello.") == "mine"
    assert await claims[0].claim("CA1", "Goodbye.") == "mine"


async def test_what_became_of_it_is_told_to_who_comes_later(engine: AsyncEngine) -> None:
    claims = TextClaims(engine)
    for words, texted, answer in (
        ("a", Texted("sent"), Texted("sent")),
        ("b", Texted("unknown"), Texted("unknown")),
        ("c", Texted("refused", 21610), "mine"),
    ):
        assert await claims.claim("CA1", words) == "mine"
        assert await claims.settle("CA1", words, texted)
        assert await TextClaims(engine).claim("CA1", words) == answer


async def test_a_refusal_that_is_written_late_does_not_hide_what_was_sent(engine: AsyncEngine) -> None:
    claims = TextClaims(engine)
    assert await claims.settle("CA1", "Hello.", Texted("sent"))
    assert await claims.settle("CA1", "Hello.", Texted("refused", 20429))
    assert await claims.claim("CA1", "Hello.") == Texted("sent")


async def test_the_books_hold_no_words_of_a_text(engine: AsyncEngine) -> None:
    await TextClaims(engine).claim("CA1", "Your code is 4711.")
    async with engine.connect() as connection:
        row = (await connection.execute(text("SELECT row_to_json(t)::text FROM texts t"))).scalar_one()
    assert "4711" not in row


async def test_books_that_are_away_or_hang_say_nothing_within_their_time(
    server: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_claims, "CLAIM_SECONDS", 0.2)
    monkeypatch.setattr(text_claims, "TRIES", 1)
    away = make_engine("postgresql://127.0.0.1:1/nowhere")
    assert await TextClaims(away).claim("CA1", "Hello.") is None
    assert not await TextClaims(away).settle("CA1", "Hello.", Texted("sent"))
    await away.dispose()
    claims = TextClaims(engine)
    assert await claims.claim("CA1", "Hello.") == "mine"
    with hung(server):
        async with asyncio.timeout(5):
            assert await claims.claim("CA1", "Goodbye.") is None
    assert await claims.claim("CA1", "Hello.") == Texted("unknown")
