"""Fly's proxy: what is sent to another machine, once, and never where there is no such proxy."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.requests import Request

from app.adapters.store import CallStore
from app.calls.dialler import Dialler
from app.calls.switchboard import Switchboard
from app.mode import Mode
from app.registry import Registry
from app.web.fly import Elsewhere, Fly
from app.web.guard import Form
from app.web.outbound_doors import OutboundDoors
from app.web.voice import Voice
from tests.house.samples import make_settings
from tests.web.samples import CALL, guard

RINGS = Form([("CallSid", CALL), ("From", "+14155550100"), ("To", "+14155550199")])


class Board:
    """What the webhook asks of a switchboard."""

    def __init__(self, *, draining: bool = False, full: bool = False, known: bool = False) -> None:
        self.draining, self.full, self.known = draining, full, known
        self.departed: dict[str, None] = {}
        self.rang = False

    def knows(self, call_sid: str) -> bool:
        return self.known

    def incoming(self, info: Any, mode: Mode) -> Any:
        self.rang = True
        return SimpleNamespace(finished=True, document="<Response/>")


def asked(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "query_string": b"ref=OB1", "headers": raw})


async def rings(board: Board, request: Request, machine: str = "m1") -> str:
    """Where a call that rings ends up: here, or elsewhere."""
    voice = Voice(
        make_settings(fly_machine=machine),
        cast(Switchboard, board),
        guard(),
        cast(Registry, SimpleNamespace(mode_for=lambda *_: None)),
        cast(CallStore, None),
    )
    try:
        await voice.incoming(request, RINGS)
    except Elsewhere as elsewhere:
        assert not board.rang
        return elsewhere.response.headers["fly-replay"]
    return "here"


@pytest.mark.parametrize("why", ["draining", "full"])
async def test_a_new_call_goes_to_another_machine_if_this_one_takes_none(why: str) -> None:
    assert await rings(Board(**{why: True}), asked()) == "elsewhere=true"


async def test_a_call_stays_where_there_is_room_or_it_is_known() -> None:
    assert await rings(Board(), asked()) == "here"
    assert await rings(Board(full=True, known=True), asked()) == "here"
    assert await rings(Board(draining=True, known=True), asked()) == "here"


@pytest.mark.parametrize("header", ["fly_replay_src", "fly_replay_failed"])
async def test_a_call_is_sent_on_once(header: str) -> None:
    assert await rings(Board(full=True), asked(**{header: "instance=m0"})) == "here", (
        "two full machines would play ball"
    )


async def test_without_fly_s_proxy_nothing_is_sent_anywhere() -> None:
    assert await rings(Board(full=True), asked(), machine="") == "here"


class Talks:
    """What the verdict on who picked up asks of a switchboard: whether it has the talk, and else who has."""

    def __init__(self, *, known: bool = False, outdated: bool = False, owner: str = "") -> None:
        self.known, self.is_outdated, self.owner = known, outdated, owner

    def knows(self, call_sid: str) -> bool:
        return self.known

    def outdated(self, call_sid: str) -> bool:
        return self.is_outdated

    async def other_owner(self, call_sid: str) -> str:
        return self.owner


async def verdict(board: Talks, request: Request, machine: str = "m1") -> list[tuple[str, str, str]] | str:
    """Where the carrier's verdict goes: another machine's header, or what this process was told."""
    told: list[tuple[str, str, str]] = []

    async def detected(*what: str) -> None:
        told.append(cast("tuple[str, str, str]", what))

    doors = OutboundDoors(
        cast(Dialler, SimpleNamespace(board=board, detected=detected)),
        guard(),
        cast(Voice, SimpleNamespace(fly=Fly(machine))),
    )
    try:
        await doors.detected(request, Form([("CallSid", CALL), ("AnsweredBy", "machine_end_beep")]))
    except Elsewhere as elsewhere:
        assert not told
        return elsewhere.response.headers["fly-replay"]
    return told


HERE = [("OB1", CALL, "machine_end_beep")]


async def test_a_verdict_goes_to_the_machine_that_has_the_talk() -> None:
    to_m2 = Fly("m1").to("m2")["fly-replay"]
    assert await verdict(Talks(owner="m2"), asked()) == to_m2
    rang_here = Talks(known=True, outdated=True, owner="m2")  # and was answered there
    assert await verdict(rang_here, asked()) == to_m2


async def test_a_verdict_stays_where_the_talk_is_or_nobody_has_it() -> None:
    assert await verdict(Talks(known=True, owner="m2"), asked()) == HERE
    assert await verdict(Talks(), asked()) == HERE


async def test_a_verdict_that_came_back_or_has_no_proxy_goes_into_the_books() -> None:
    assert await verdict(Talks(owner="m2"), asked(fly_replay_failed="instance=m2")) == HERE
    assert await verdict(Talks(owner="m2"), asked(), machine="") == HERE


def test_a_stream_is_sent_to_its_owner_and_comes_back_if_that_one_is_gone() -> None:
    assert Fly("m1").to("m2") == {"fly-replay": "instance=m2;timeout=2s;fallback=force_self"}
