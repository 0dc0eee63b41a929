"""Desks have hours: a closed one is refused with the time when it opens, and the refusal is on record."""

from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.calls.toolbox import Toolbox
from app.core import effects as do
from app.mode import Desk, Mode, Transfer, tool
from app.rules.office import Hours, Office
from app.settings import load
from tests.house.samples import OFFICE
from tests.house.test_toolbox import context


def desk(**hours: tuple[int, int]) -> Desk:
    week = {day: Hours(time(opens), time(closes)) for day, (opens, closes) in hours.items()}
    return Desk("sales", "buying", "+14155550172", hours=week or None)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of the week of Monday, 23 November 2026, at the office."""
    return datetime(2026, 11, 22, hour, minute, tzinfo=OFFICE.zone) + timedelta(days=day)


def office(sales: Desk) -> Office:
    return msgspec.structs.replace(OFFICE, desks={"sales": sales})


def test_a_desk_is_open_in_its_own_hours_else_in_the_office_s_else_always() -> None:
    own = desk(tuesday=(9, 12))
    assert [OFFICE.desk_open(own, at(2, *when)) for when in ((8, 59), (9, 0), (11, 59), (12, 0))] == [
        False,
        True,
        True,
        False,
    ]
    assert not OFFICE.desk_open(own, at(1, 10)), "Monday is not its day"
    assert [OFFICE.desk_open(desk(), at(day, 10)) for day in (1, 2)] == [True, False]
    assert msgspec.structs.replace(OFFICE, hours={}).desk_open(desk(), at(7, 3))


def test_a_moment_of_another_zone_is_the_same_moment() -> None:
    nine = at(2, 9)
    utc = nine.astimezone(load({}).office.zone).astimezone()
    assert OFFICE.desk_open(desk(tuesday=(9, 10)), utc)


@pytest.mark.parametrize(
    ("now", "opens"),
    [(at(1, 8), at(2, 9)), (at(2, 8), at(2, 9)), (at(2, 9), at(4, 13)), (at(4, 14), at(9, 9)), (at(7, 23), at(9, 9))],
)
def test_a_closed_desk_opens_next(now: datetime, opens: datetime) -> None:
    assert OFFICE.desk_opens(desk(tuesday=(9, 12), thursday=(13, 14)), now) == opens


def test_a_desk_that_never_closes_opens_at_once() -> None:
    assert msgspec.structs.replace(OFFICE, hours={}).desk_opens(desk(), at(1, 8)) == at(1, 8)


@tool
async def put_through(desk: str) -> Transfer:
    """Put the caller through."""
    return Transfer(to=desk, reason="a quote", warm=True, caller_name="Baker", promised="a discount")


async def _asks(sales: Desk) -> tuple[Any, list[Transfer]]:
    """A tool that wants somebody at a desk, on Monday at nine."""
    there = msgspec.structs.replace(context(""), office=office(sales), now=at(1, 9))
    toolbox = Toolbox(Mode(name="m", prompt="m.md", tools=[put_through]), lambda key: there)
    closed: list[Transfer] = []
    toolbox.closed = closed.append
    return await toolbox.run(do.RunTool("c1", "put_through", '{"desk":"sales"}')), closed


async def test_the_model_is_told_when_a_closed_desk_opens_and_nobody_is_dialled() -> None:
    answer, closed = await _asks(desk(monday=(10, 12)))
    assert (answer.status, answer.transfer_to) == ("refused", "")
    assert "closed; it opens on Monday at 10:00" in answer.output
    assert "message" in answer.output
    assert [(wish.to, wish.reason) for wish in closed] == [("sales", "a quote")]


async def test_a_wish_for_a_whisper_goes_on_to_who_dials() -> None:
    answer, closed = await _asks(desk(monday=(8, 12)))
    assert (answer.transfer_to, answer.transfer_warm) == ("sales", True)
    assert (answer.transfer_caller, answer.transfer_promised) == ("Baker", "a discount")
    assert closed == []


def _read(folder: Path, text: str) -> Office:
    (folder / "offhook.toml").write_text(text)
    return load({}, root=folder).office


def test_desks_are_read_with_their_hours_and_how_they_are_put_through(tmp_path: Path) -> None:
    it = _read(
        tmp_path,
        '[business]\nring_tone = "uk"\n[business.desks.sales]\nhours = { monday = "09:00-24:00" }\nwarm = true\n'
        '[business.desks.guard]\nhours = "always"\n[business.desks.billing]\n',
    )
    assert it.ring_tone == "uk"
    assert it.desks["sales"].hours == {"monday": Hours(time(9), time.max)}
    assert [it.desks[name].warm for name in ("sales", "guard", "billing")] == [True, False, False]
    assert all(it.desk_open(it.desks["guard"], at(day, hour)) for day in range(1, 8) for hour in (0, 12, 23))
    assert it.desks["billing"].hours is None


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[business.desks.sales]\nhours = { funday = "08:00-17:00" }', "business.desks.sales.hours.funday"),
        ('[business.desks.sales]\nhours = { monday = "late" }', "business.desks.sales.hours.monday"),
        ("[business.desks.sales]\nhours = {}", "business.desks.sales.hours: expected at least one day"),
        ('[business.desks.sales]\nhours = "never"', "always"),
        ('[business.desks.sales]\nwarm = "yes"', "warm"),
        ('[business]\nring_tone = "mars"', "business.ring_tone"),
    ],
)
def test_what_is_wrong_with_a_desk_is_said(tmp_path: Path, text: str, where: str) -> None:
    with pytest.raises(Exception, match=where):
        _read(tmp_path, text)
