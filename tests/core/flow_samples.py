"""A small hotline with a flow, for tests of what the machine does with it, and the acts of a call to it."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

import json
from typing import Any

from app.core import effects as do
from app.core import events as ev
from app.mode import Digits, Flow, Go, Mode, State, Transfer, tool
from tests.core.story import Story, greeted, milestones


@tool
async def find_order(number: int) -> dict[str, Any]:
    """Look an order up by its number."""
    return {"found": True, "number": number}


@tool
async def put_through(why: str = "") -> Transfer:
    """Connect the caller to a person."""
    return Transfer(to="office", reason=why)


@tool
async def send_back(order: int) -> str:
    """Take an order back."""
    return f"{order} is taken back."


PERSON = [Go(to="desk:office", key="0"), Go(to="desk:office", failures=3)]

flow = Flow(
    start="menu",
    start_closed="closed",
    states=[
        State(
            name="menu",
            says="Ask whether it is about an order, or something else.",
            go=[
                Go(to="order", key="1"),
                Go(to="order", intent="an order", min_confidence=0.7),
                Go(to="desk:office", intent="a person"),
                Go(to="menu", key="9"),
                Go(to="end", key="*"),
                *PERSON,
            ],
        ),
        State(
            name="order",
            says="Ask for the order number, spoken or typed.",
            tools=[find_order],
            digits=Digits(tool="find_order", argument="number", max_digits=6),
            go=[
                Go(to="known", tool="find_order", when={"found": True}),
                Go(to="menu", correction=True),
                *PERSON,
            ],
        ),
        State(
            name="known",
            says="Say what became of the order; ask what the caller wants of it.",
            tools=[send_back],
            go=[Go(to="end", tool="send_back"), Go(to="order", correction=True), Go(to="menu", failures=2)],
        ),
        State(name="closed", says="Say that we are closed.", go=[Go(to="order", key="1")]),
    ],
)

HOTLINE = Mode(name="hotline", prompt="hotline.md", tools=[put_through], first_turn=[put_through], flow=flow)


def says(state: str) -> str:
    """The words of a state."""
    found = flow.state(state)
    assert found is not None
    return found.says


def hotline(**more: Any) -> Story:
    """A call to the hotline, greeted, with the caller silent."""
    return greeted(mode=HOTLINE, **more)


def offered(call: Story) -> list[str]:
    """Names of the tools in this act's one update."""
    tools = call.did(do.OfferTools).tools
    assert tools is not None
    return [tool["name"] for tool in tools]


def told(call: Story, role: str = "system") -> list[str]:
    """Texts of this act."""
    return [text.text for text in call.all(do.AddText) if text.role == role]


def chooses(call: Story, intent: str, confidence: float, *, n: int = 1) -> None:
    """The model tells what the caller wants."""
    arguments = json.dumps({"intent": intent, "confidence": confidence})
    call.act(ev.ResponseStarted(f"r{n}"), ev.ToolCalled(f"r{n}", f"t{n}", "choose", arguments))
    call.tell(ev.ResponseDone(f"r{n}", "completed"))


def enters(call: Story, state: str) -> None:
    """This act entered a state: one update with its tools, its words, and a response asked for."""
    assert told(call)[-1] == says(state)
    assert call.did(do.OfferTools).detection is False
    assert call.did(do.RequestResponse)
    assert call.record.flow_state == state
    assert milestones(call)[-1 - milestones(call)[::-1].index(f"state_{state}")] == f"state_{state}"


def in_order(**more: Any) -> Story:
    """A call that has come to the state `order`, which was spoken."""
    call = hotline(**more)
    call.act(ev.KeyPressed("1"))
    call.says("r1", ("a1", 500))
    call.waits(600)
    return call


def presses(call: Story, keys: str) -> None:
    """Keys, one after the other, all within an act."""
    call.act(*(ev.KeyPressed(key) for key in keys))
