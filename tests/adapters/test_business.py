"""The business's data: the same behaviour from our own tables and from a backend over HTTP, and what only the tables do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.adapters import business_pg
from app.adapters.business_http import HttpStore
from app.adapters.business_pg import LETTERS, PgStore, new_reference
from app.adapters.business_tables import bookings, messages
from app.adapters.database import make_engine
from app.adapters.kept_messages import KeptMessages
from app.errors import BackendDown, NotFound, SlotTaken
from app.mode import Booking, Store
from app.rules.office import Hours, Office

ZONE = ZoneInfo("America/Chicago")
OFFICE = Office(
    name="Lakeside Dental",
    zone=ZONE,
    hours={day: Hours(opens=time(8), closes=time(10)) for day in ("monday", "tuesday", "wednesday")},
    slot_minutes=30,
    desks={},
)
TUESDAY = date(2026, 11, 24)
NINE = datetime(2026, 11, 24, 9)


class Clock:
    """The time for a store; starts on the Monday before at noon, local."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, 12, tzinfo=ZONE).astimezone(UTC)

    def __call__(self) -> datetime:
        return self.at


def backend(store: Store) -> Starlette:
    """A backend that keeps to the contract of docs/business-api.md, in front of a store."""

    def shown(booking: Booking) -> dict[str, str]:
        return {
            "reference": booking.reference,
            "name": booking.name,
            "start": booking.start.isoformat(),
            "reason": booking.reason,
        }

    async def slots(request: Request) -> Response:
        free = await store.free_slots(date.fromisoformat(request.query_params["day"]))
        return JSONResponse({"slots": [slot.isoformat() for slot in free]})

    def post(act: Callable[[dict[str, Any]], Awaitable[dict[str, str]]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            body = await request.json()
            if "start" in body:
                body["start"] = datetime.fromisoformat(body["start"])
            try:
                return JSONResponse(await act({**body, "key": request.headers["Idempotency-Key"]}), status_code=201)
            except SlotTaken:
                return Response(status_code=409)
            except NotFound:
                return Response(status_code=404)

        return endpoint

    async def book(body: dict[str, Any]) -> dict[str, str]:
        return shown(await store.book(**body))

    async def callers(request: Request) -> Response:
        names = await store.names_under(request.query_params["phone"])
        return JSONResponse({"names": names}) if names else Response(status_code=404)

    async def cancel(body: dict[str, Any]) -> dict[str, str]:
        return shown(await store.cancel(**body))

    async def add_message(body: dict[str, Any]) -> dict[str, str]:
        return {"reference": await store.add_message(**body)}

    return Starlette(
        routes=[
            Route("/offhook/slots", slots),
            Route("/offhook/callers", callers),
            Route("/offhook/bookings", post(book), methods=["POST"]),
            Route("/offhook/bookings/cancel", post(cancel), methods=["POST"]),
            Route("/offhook/messages", post(add_message), methods=["POST"]),
        ]
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["own tables", "over HTTP"])
async def store(request: pytest.FixtureRequest, engine: AsyncEngine, clock: Clock) -> AsyncIterator[Store]:
    own = PgStore(engine, OFFICE, now=clock)
    if request.param == "own tables":
        yield own
        return
    async with httpx.AsyncClient(transport=httpx.ASGITransport(backend(own))) as client:
        yield HttpStore("https://backend.test/offhook/", client)


async def book(store: Store, start: datetime = NINE, name: str = "Ann Baker", key: str = "k1") -> Booking:
    return await store.book(name=name, start=start, reason="check-up", phone="+14155550133", key=key)


async def test_an_empty_day_offers_every_slot(store: Store) -> None:
    assert await store.free_slots(TUESDAY) == [
        datetime(2026, 11, 24, hour, minute) for hour in (8, 9) for minute in (0, 30)
    ]


async def test_a_closed_day_offers_nothing(store: Store) -> None:
    assert await store.free_slots(date(2026, 11, 26)) == []


async def test_past_slots_are_not_offered_on_the_business_clock(store: Store, clock: Clock) -> None:
    clock.at = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)  # nine in Chicago: that slot has begun
    assert await store.free_slots(TUESDAY) == [datetime(2026, 11, 24, 9, 30)]


async def test_a_booking_takes_its_slot(store: Store) -> None:
    kept = await book(store)
    assert (kept.name, kept.start, kept.reason) == ("Ann Baker", NINE, "check-up")
    assert NINE not in await store.free_slots(TUESDAY)
    assert len(await store.free_slots(TUESDAY)) == 3


async def test_a_taken_slot_is_refused_to_the_next(store: Store) -> None:
    await book(store)
    with pytest.raises(SlotTaken):
        await book(store, name="Bob", key="k2")


async def test_of_two_callers_at_once_one_gets_the_slot(store: Store, engine: AsyncEngine) -> None:
    results = await asyncio.gather(*(book(store, name=f"N{n}", key=f"k{n}") for n in range(4)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Booking", "SlotTaken", "SlotTaken", "SlotTaken"]
    async with engine.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(bookings))).scalar_one() == 1


async def test_the_same_booking_asked_twice_at_once_is_one(store: Store) -> None:
    results = await asyncio.gather(*(book(store) for _ in range(4)))
    assert len(set(results)) == 1


async def test_a_repeated_booking_answers_the_same_even_after_its_time(store: Store, clock: Clock) -> None:
    kept = await book(store)
    clock.at += timedelta(days=3)
    assert await book(store) == kept


@pytest.mark.parametrize(
    "start", [datetime(2026, 11, 24, 9, 10), datetime(2026, 11, 24, 10), datetime(2026, 11, 26, 9)]
)
async def test_a_time_that_is_no_slot_is_refused(store: Store, start: datetime) -> None:
    with pytest.raises(SlotTaken):
        await book(store, start)


async def test_a_past_time_is_refused(store: Store) -> None:
    with pytest.raises(SlotTaken):
        await book(store, datetime(2026, 11, 23, 9))


async def test_a_cancelled_slot_is_free_again(store: Store) -> None:
    kept = await book(store)
    assert await store.cancel(name="  ANN  baker ", start=NINE, key="c1") == kept
    assert NINE in await store.free_slots(TUESDAY)
    assert (await book(store, name="Bob", key="k2")).name == "Bob"


async def test_a_repeated_cancellation_answers_the_same_and_spares_a_new_booking(store: Store) -> None:
    first = await book(store)
    assert await store.cancel(name="Ann Baker", start=NINE, key="c1") == first
    second = await book(store, key="k2")
    assert await store.cancel(name="Ann Baker", start=NINE, key="c1") == first
    assert NINE not in await store.free_slots(TUESDAY)
    assert await store.cancel(name="Ann Baker", start=NINE, key="c2") == second


async def test_the_same_cancellation_asked_twice_at_once_is_one(store: Store) -> None:
    kept = await book(store)
    asked = (store.cancel(name="Ann Baker", start=NINE, key="c1") for _ in range(4))
    assert await asyncio.gather(*asked) == [kept] * 4


@pytest.mark.parametrize(("name", "start"), [("Bob", NINE), ("Ann Baker", datetime(2026, 11, 24, 9, 30))])
async def test_only_the_right_name_and_time_cancel(store: Store, name: str, start: datetime) -> None:
    await book(store)
    with pytest.raises(NotFound):
        await store.cancel(name=name, start=start, key="c1")
    assert NINE not in await store.free_slots(TUESDAY)


async def test_a_message_is_kept_once_for_its_key(store: Store, engine: AsyncEngine) -> None:
    asked = (store.add_message(name="Ann", text="Ring\x00 me — soon", phone="+14155550133", key="m1") for _ in range(3))
    references = set(await asyncio.gather(*asked))
    assert len(references) == 1
    async with engine.connect() as connection:
        row = (await connection.execute(select(messages))).one()
    assert (row.reference, row.name, row.text, row.phone) == (references.pop(), "Ann", "Ring me — soon", "+14155550133")


async def test_a_number_is_known_by_the_names_that_were_left_with_it_the_latest_first(
    store: Store, engine: AsyncEngine
) -> None:
    await book(store, name="Bob")
    await book(store, NINE + timedelta(minutes=30), name="Ann", key="k2")
    await store.cancel(name="Ann", start=NINE + timedelta(minutes=30), key="c1")
    await store.add_message(name="Bob", text="Hi", phone="+14155550133", key="m1")
    await store.add_message(name="Eve", text="Hi", phone="+14155550134", key="m2")
    assert await store.names_under("+14155550133") == ["Bob", "Ann"]
    assert await store.names_under("+14155550135") == []


async def test_who_withholds_their_number_is_nobody(store: Store) -> None:
    await store.add_message(name="Eve", text="Hi", phone="", key="m1")
    assert await store.names_under("") == []


async def test_a_number_has_no_more_names_than_a_family(store: Store) -> None:
    for n in range(7):
        await store.add_message(name=f"N{n}", text="Hi", phone="+14155550133", key=f"m{n}")
    assert await store.names_under("+14155550133") == ["N6", "N5", "N4", "N3", "N2"]


class Silent(PgStore):
    """A backend that takes no messages."""

    async def add_message(self, **message: Any) -> str:
        raise BackendDown


async def test_a_message_that_the_backend_does_not_take_is_kept_in_our_own_tables(
    engine: AsyncEngine, clock: Clock
) -> None:
    own = PgStore(engine, OFFICE, now=clock)
    store = KeptMessages(Silent(engine, OFFICE, now=clock), own)
    references = {await store.add_message(name="Ann", text="Ring me", phone="", key="m1") for _ in range(2)}
    async with engine.connect() as connection:
        row = (await connection.execute(select(messages))).one()
    assert (row.reference, row.text) == (references.pop(), "Ring me")
    assert await store.free_slots(TUESDAY) == await own.free_slots(TUESDAY)
    assert await book(store) == await own.cancel(name="Ann Baker", start=NINE, key="c1")


async def test_a_message_that_nobody_takes_is_not_kept(engine: AsyncEngine) -> None:
    down = Silent(engine, OFFICE)
    with pytest.raises(BackendDown):
        await KeptMessages(down, down).add_message(name="Ann", text="Ring me", phone="", key="m1")


async def test_a_time_with_a_zone_means_the_same_moment_at_the_business(engine: AsyncEngine, clock: Clock) -> None:
    kept = await book(PgStore(engine, OFFICE, now=clock), datetime(2026, 11, 24, 15, tzinfo=UTC))
    assert kept.start == NINE


async def test_a_booking_from_before_the_slots_changed_still_takes_its_time(engine: AsyncEngine, clock: Clock) -> None:
    store = PgStore(engine, OFFICE, now=clock)
    await book(store)
    async with engine.begin() as connection:
        await connection.execute(update(bookings).values(start=datetime(2026, 11, 24, 8, 45)))
    assert await store.free_slots(TUESDAY) == [datetime(2026, 11, 24, 8), datetime(2026, 11, 24, 9, 30)]
    with pytest.raises(SlotTaken):
        await book(store, name="Bob", key="k2")


async def test_a_reference_in_use_is_drawn_again(
    engine: AsyncEngine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter(["FFF", "FFF", "HHH", "FFF", "FFF", "HHH"])
    monkeypatch.setattr(business_pg, "new_reference", lambda: next(drawn))
    store = PgStore(engine, OFFICE, now=clock)
    assert (await book(store)).reference == "FFF"
    assert (await book(store, NINE + timedelta(minutes=30), key="k2")).reference == "HHH"
    asked = [await store.add_message(name="Ann", text="Hi", phone="", key=f"m{n}") for n in range(2)]
    assert asked == ["FFF", "HHH"]


def test_a_reference_can_be_spoken_and_read() -> None:
    references = {new_reference() for _ in range(50)}
    assert len(references) > 40
    assert all(len(reference) == 6 and set(reference) <= set(LETTERS) for reference in references)
    assert not set(LETTERS) & set("01258AEIOULSZBQ")


async def test_without_postgres_the_backend_is_down(unused_tcp_port: int) -> None:
    engine = make_engine(f"postgres://127.0.0.1:{unused_tcp_port}/books")
    with pytest.raises(BackendDown):
        await PgStore(engine, OFFICE, now=Clock()).free_slots(TUESDAY)
    await engine.dispose()


async def test_a_locked_table_is_given_up_at_the_deadline(
    engine: AsyncEngine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(business_pg, "DEADLINE_SECONDS", 0.1)
    store = PgStore(engine, OFFICE, now=clock)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("LOCK TABLE bookings")
        with pytest.raises(BackendDown):
            await book(store)
    monkeypatch.undo()
    assert (await book(store)).start == NINE
