"""A rehearsal's call that the server places: asked for by its API, answered at the carrier stand-in by the script's caller."""

import asyncio
import secrets
from datetime import date, datetime

import httpx
import msgspec
from sqlalchemy.dialects.postgresql import insert

from app.adapters.api_tokens import ApiTokens
from app.adapters.business_pg import new_reference
from app.adapters.business_tables import bookings
from app.adapters.store import CallStore
from app.errors import SetupError
from app.sim.caller_line import CallerLine
from app.sim.carrier import Carrier
from app.sim.carrier_call import Callee, CarrierCall
from app.sim.script import Script
from app.sim.script_words import render_all

RING_SECONDS = 20.0
"""Until it rings: the server looks for calls once a second, and has others to place."""
RESULT_SECONDS = 10.0
LOOK_SECONDS = 0.05


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The server to call. `url` is where it is, `public_url` what it believes to be; `model`: our stand-in, if it has one."""

    url: str
    public_url: str
    auth_token: str
    account_sid: str
    model: str = ""
    carrier: Carrier | None = None
    """The carrier stand-in whose REST API the server has: for calls that it places. None: it places none."""
    phone_number: str = ""
    """The account's own number, if the server is configured with one: the caller id of its transfers."""


class Placing:
    """One such call, from asking for it to what the server says became of it."""

    def __init__(
        self,
        script: Script,
        target: Target,
        store: CallStore | None,
        *,
        number: str,
        mode: str,
        line: CallerLine,
        today: date,
    ) -> None:
        """Raises SetupError where the server cannot place calls to the stand-in, or its database is out of reach."""
        assert script.outbound is not None
        if target.carrier is None or store is None:
            raise SetupError(
                f"{script.title!r} is a call that the server places: expected one that `call` starts for it, without --to"
            )
        self.callee, self.carrier, self.store, self.target = script.outbound, target.carrier, store, target
        self.number, self.mode, self.line = number, mode, line
        self.fields = render_all(dict(self.callee.fields), script.variables(today))
        self._headers: dict[str, str] = {}
        self._url = ""

    async def ask(self) -> CarrierCall:
        """Have it placed, and wait until it rings. Raises SetupError if the server refuses."""
        if self.callee.booked:
            await self._book()
        before = set(self.carrier.calls)
        self.carrier.expects(
            self.number,
            Callee(
                line=self.line,
                result=self.callee.result,
                answered_by=self.callee.answered_by,
                verdict_seconds=self.callee.verdict_ms / 1000,
            ),
        )
        token = await ApiTokens(self.store.engine).make("a rehearsal")
        self._headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": secrets.token_hex(8)}
        wish = {"to": self.number, "mode": self.mode, "fields": self.fields, "max_attempts": 1}
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(f"{self.target.url}/calls", json=wish, headers=self._headers)
        if answer.status_code != 201:
            raise SetupError(f"expected the server to place a call, it answered {answer.status_code}: {answer.text}")
        self._url = self.target.url + answer.headers["location"]
        try:
            async with asyncio.timeout(RING_SECONDS):
                while True:
                    for call_sid, call in self.carrier.calls.items():
                        if call_sid not in before and call.leg.to_number == self.number:
                            return call
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            raise SetupError(
                f"expected {self.number} to ring within {RING_SECONDS:g} s; see the server's log"
            ) from None

    async def result(self) -> str:
        """What the server says became of the attempt; empty if it does not know in time."""
        told = ""
        async with httpx.AsyncClient(trust_env=False) as http:
            for _ in range(round(RESULT_SECONDS / LOOK_SECONDS)):
                attempts = (await http.get(self._url, headers=self._headers)).json()["attempts"]
                if attempts and (told := str(attempts[-1]["result"])):
                    break
                await asyncio.sleep(LOOK_SECONDS)
        return told

    async def _book(self) -> None:
        """Have the appointment on record that the call is about, however often it is asked for."""
        start = datetime.fromisoformat(self.fields["start"])
        row = {
            "reference": new_reference(), "key": f"rehearsal-{secrets.token_hex(8)}", "name": self.fields["name"],
            "start": start, "reason": self.fields.get("reason", ""), "phone": self.number,
        }  # fmt: skip
        async with self.store.engine.begin() as connection:
            await connection.execute(insert(bookings).values(row).on_conflict_do_nothing())
