"""The stand-in account: its numbers, calls and messages, and how a call of it comes to be."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Literal
from urllib.parse import urljoin

from app.errors import SetupError
from app.sim.call_log import CallLog, Entry
from app.sim.caller_line import CallerLine
from app.sim.carrier_call import OVER, Callee, CarrierCall, MachineDetection, Progress
from app.sim.carrier_http import SignedHttp
from app.sim.carrier_leg import Leg, Source
from app.sim.carrier_numbers import PhoneNumber, new_sid
from app.sim.carrier_origin import Origin
from app.sim.carrier_quirks import Quirks
from app.sim.leg_script import DialResult, Script
from app.sim.people import People


class Account:
    """What REST and the callers share. The parameters are those of `carrier.Carrier`."""

    def __init__(
        self,
        *,
        auth_token: str,
        account_sid: str,
        origin: Origin,
        numbers: Sequence[PhoneNumber],
        api_keys: Mapping[str, str],
        verb_speed: float,
        keep_audio: bool,
        on_outbound: Callable[[str], Callee],
        heed: Callable[[Entry], None] | None,
    ) -> None:
        if not auth_token:
            raise SetupError("the carrier needs the account's auth token; everything it sends is signed with it")
        if verb_speed <= 0:
            raise SetupError(f"verb_speed must be above 0, got {verb_speed}")
        self.auth_token, self.account_sid, self.api_keys = auth_token, account_sid, api_keys
        self.kind: Literal["Full", "Trial"] = "Full"
        self.status: Literal["active", "suspended", "closed"] = "active"
        self.origin, self.http = origin, SignedHttp(origin, auth_token)
        self.numbers = {number.phone_number: number for number in numbers}
        self.calls: dict[str, CarrierCall] = {}
        self.messages: list[dict[str, object]] = []
        self.callees: dict[str, Callee] = {}
        self.opted_out: set[str] = set()
        self.landlines: set[str] = set()
        self.throttled = 0  # REST requests still to be refused with 429
        self._verb_speed, self._keep_audio = verb_speed, keep_audio
        self._on_outbound, self._heed = on_outbound, heed

    def as_json(self) -> dict[str, str]:
        """The resource as REST answers it."""
        return {"sid": self.account_sid, "friendly_name": "stand-in", "status": self.status, "type": self.kind}

    def url(self, path_or_url: str) -> str:
        """A URL under the server's public origin; "" stays ""."""
        return urljoin(self.origin.public_url + "/", path_or_url) if path_or_url else ""

    def live(self) -> list[CarrierCall]:
        """The calls that are not over."""
        return [call for call in self.calls.values() if call.status not in OVER]

    def call_in(
        self,
        from_number: str,
        to_number: str,
        line: CallerLine,
        *,
        webhook: str | None,
        webhook_method: str | None,
        fallback: str | None,
        status_callback: str | None,
        dial_results: Sequence[str | DialResult],
        gathers: Sequence[str],
        people: People | None,
        quirks: Quirks | None,
    ) -> CarrierCall:
        """Somebody calls the server; see `Carrier.dial`."""
        number = self.numbers.get(to_number) or PhoneNumber(to_number)
        first = self.url(number.voice_url or "/twilio/incoming" if webhook is None else webhook)
        if not first:
            raise SetupError("a call needs a webhook; pass None for the number's own")
        fallback_url = self.url(number.voice_fallback_url if fallback is None else fallback)
        told = self.url(number.status_callback or "/twilio/status" if status_callback is None else status_callback)
        results = (DialResult.of(result) for result in dial_results)
        leg = self._leg(
            from_number,
            to_number,
            "inbound",
            line,
            script=Script(deque(results), deque(gathers), people),
            quirks=quirks,
            fallback=Source(fallback_url, number.voice_fallback_method) if fallback_url else None,
        )
        progress = Progress(told, number.status_callback_method)
        return self._placed(CarrierCall(leg, Source(first, webhook_method or number.voice_method), progress=progress))

    def call_out(
        self,
        from_number: str,
        to_number: str,
        first: Source,
        *,
        progress: Progress,
        fallback: Source | None = None,
        detection: MachineDetection | None = None,
        time_limit: float | None = None,
    ) -> CarrierCall:
        """The server calls somebody, who is what `on_outbound` says."""
        callee = self.callees.get(to_number) or self._on_outbound(to_number)
        leg = self._leg(from_number, to_number, "outbound-api", callee.line, fallback=fallback)
        leg.status = "queued"
        call = CarrierCall(leg, first, progress=progress, callee=callee, detection=detection)
        if time_limit is not None:
            call.limit(time_limit)
        return self._placed(call)

    def _leg(
        self,
        from_number: str,
        to_number: str,
        direction: Literal["inbound", "outbound-api"],
        line: CallerLine | None,
        *,
        script: Script | None = None,
        quirks: Quirks | None = None,
        fallback: Source | None = None,
    ) -> Leg:
        call_sid = new_sid("CA")
        return Leg(
            account_sid=self.account_sid,
            from_number=from_number,
            to_number=to_number,
            direction=direction,
            http=self.http,
            log=CallLog(asyncio.get_running_loop().time, call_sid, self._heed),
            script=script or Script(),
            own_numbers=frozenset(self.numbers),
            line=line,
            quirks=quirks,
            verb_speed=self._verb_speed,
            keep_audio=self._keep_audio,
            call_sid=call_sid,
            fallback=fallback,
        )

    def _placed(self, call: CarrierCall) -> CarrierCall:
        self.calls[call.call_sid] = call
        return call
