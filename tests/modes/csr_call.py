"""CsrCall: a call to customer service as its tools see it, over a real Postgres: the real toolbox, the real tables."""

import itertools
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.adapters.sessions import Sessions, sessions
from app.calls.toolbox import Toolbox
from app.core import effects as do
from app.core.events import ToolReturned
from app.mode import CallContext, Office, ToolError
from modes.csr.demo import put_demo_rows
from modes.csr.mode import mode
from modes.csr.tables import Customer
from tests.modes.ledger_store import OFFICE, LedgerStore

EMMA, DANIEL, LAURA, ROBERT = "+14155550181", "+14155550182", "+14155550183", "+14155550184"
"""Customers of the demo rows; their postal codes are 60614, 60610, 60201, 60604."""
STRANGER = "+14155550123"

ALWAYS_OPEN = msgspec.structs.replace(OFFICE, hours={})

_sids = itertools.count(1)


class CsrCall:
    """One call. `turns`: how often the caller has spoken; `late`: how far its clock is ahead."""

    def __init__(
        self,
        engine: AsyncEngine,
        caller: str = STRANGER,
        *,
        call_sid: str = "",
        office: Office = ALWAYS_OPEN,
        opens: Sessions | None = None,
    ) -> None:
        self.call_sid = call_sid or f"CA{next(_sids):032x}"
        self.caller, self.office = caller, office
        self.outcome: dict[str, Any] = {}
        self.turns = 0
        self.late = timedelta(0)
        self.last: ToolReturned | None = None
        self._sessions = opens or sessions(engine)
        self.toolbox = Toolbox(mode, self._context)
        self._count = itertools.count(1)

    async def does(self, name: str, /, **arguments: Any) -> Any:
        """What the model is told of one tool call."""
        words = msgspec.json.encode(arguments).decode()
        self.last = await self.toolbox.run(do.RunTool(f"call-{next(self._count)}", name, words))
        assert self.last.status in ("ok", "refused"), self.last
        return msgspec.json.decode(self.last.output)

    async def agrees(self, name: str, /, **arguments: Any) -> Any:
        """The same for a tool that writes: proposed, agreed to by the caller, and then called again."""
        assert "Nothing was done yet" in (await self.does(name, **arguments))["error"]
        self.turns += 1
        return await self.does(name, **arguments)

    async def proves(self, phone: str, postal_code: str) -> "CsrCall":
        """A caller who knows both."""
        assert await self.does("identify", phone=phone, postal_code=postal_code) == {"identified": True}
        return self

    def session(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A look behind."""
        return self._sessions()

    async def rows(self, query: Select[Any]) -> list[Any]:
        """What the tables have."""
        async with self.session() as session:
            return list((await session.execute(query)).scalars())

    def _context(self, key: str) -> CallContext:
        now = datetime.now(UTC) + self.late
        return CallContext(
            call_sid=self.call_sid,
            caller=self.caller,
            dialled="+14155550199",
            office=self.office,
            store=LedgerStore(),
            now=self.office.now(now),
            key=f"{self.call_sid}-{key}",
            outcome=self.outcome,
            open_now=True,
            caller_turns=self.turns,
            text=no_text,
            session=self._sessions,
        )


async def no_text(words: str) -> None:
    """`CallContext.text` of a house that sends none."""
    raise ToolError("No SMS can be sent from here.")


async def with_demo_rows(engine: AsyncEngine) -> AsyncEngine:
    """An engine on a database that has the demo's customers and orders."""
    async with sessions(engine)() as session:
        await put_demo_rows(session)
        assert await session.get(Customer, 1001)
    return engine
