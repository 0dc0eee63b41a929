"""A toolbox on a desk: what it reports is kept, the caller's turns are counted by hand, and a tool can be held at its gate."""

import asyncio
import json
from typing import Any

from app.calls.toolbox import Toolbox
from app.core import effects as do
from app.core import events as ev
from app.mode import CallContext, Flow, Mode
from tests.house.test_toolbox import context as plain_context


class Desk:
    """A toolbox, what it reports, and a caller whose turns are counted by hand."""

    def __init__(self, *tools: Any, flow: Flow | None = None) -> None:
        self.turns = 1
        self.keys: list[str] = []
        self.reports: asyncio.Queue[ev.Event] = asyncio.Queue()
        self.box = Toolbox(Mode(name="some", prompt="some.md", tools=tools, flow=flow), self._context)
        self.box.report = self.reports.put_nowait
        self.count = 0

    def _context(self, key: str) -> CallContext:
        if key:
            self.keys.append(key)
        known = plain_context(key)
        known.caller_turns = self.turns
        return known

    async def call(self, name: str, **values: Any) -> ev.ToolReturned:
        return await self.box.run(self.order(name, **values))

    def order(self, name: str, **values: Any) -> do.RunTool:
        self.count += 1
        return do.RunTool(call_id=f"c{self.count}", name=name, arguments=json.dumps(values))

    async def reported(self) -> ev.Event:
        return await asyncio.wait_for(self.reports.get(), 5)


class Gate:
    """A tool's inside, held until a test lets it go on."""

    def __init__(self) -> None:
        self.entered, self.open = asyncio.Event(), asyncio.Event()
        self.runs = 0

    async def __call__(self) -> str:
        self.runs += 1
        self.entered.set()
        await self.open.wait()
        return "found"


def error(returned: ev.ToolReturned) -> str:
    """What the model was told of a refusal."""
    assert returned.status == "refused"
    return str(json.loads(returned.output)["error"])
