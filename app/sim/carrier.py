"""A Twilio stand-in that calls a real server: signed webhooks, TwiML, real-time media streams, REST.

It speaks the protocol in full and refuses what Twilio refuses; every refusal is in the call's log under Twilio's code.

    carrier = Carrier(auth_token="...", public_url="http://127.0.0.1:8000")
    call = await carrier.dial(from_number="+14155550133", to_number="+14155550199", line=line)
    await call.finished()
    await carrier.close()
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from app.sim.call_log import Entry
from app.sim.caller_line import CallerLine
from app.sim.carrier_account import Account
from app.sim.carrier_call import Callee, CarrierCall
from app.sim.carrier_numbers import PhoneNumber
from app.sim.carrier_origin import Origin
from app.sim.carrier_quirks import Quirks
from app.sim.carrier_rest import rest_app
from app.sim.leg_script import DialResult
from app.sim.people import People
from app.sim.rest_server import RestServer

ACCOUNT_SID = "AC" + "0" * 31 + "1"
CLOSE_SECONDS = 5.0


class Carrier:
    """One account of the stand-in, its calls and its REST door.

    public_url: the origin that the server believes to be its own; signatures are over it. connect_to: where it really
    is (None: the same). numbers: those of the account; a call to another one works, by the defaults. api_keys: SID to
    secret, accepted by REST. verb_speed: how many times faster than life Say, Pause, ringing and other waits pass;
    audio frames are always in real time. on_outbound: who is there when the server calls a number (default: a silent
    person). heed: called with each log entry of each call. Raises SetupError.
    """

    def __init__(
        self,
        *,
        auth_token: str,
        account_sid: str = ACCOUNT_SID,
        public_url: str,
        connect_to: str | None = None,
        numbers: Sequence[PhoneNumber] = (),
        api_keys: Mapping[str, str] | None = None,
        verb_speed: float = 1.0,
        keep_audio: bool = True,
        on_outbound: Callable[[str], Callee] | None = None,
        heed: Callable[[Entry], None] | None = None,
    ) -> None:
        self.account = Account(
            auth_token=auth_token,
            account_sid=account_sid,
            origin=Origin(public_url, connect_to),
            numbers=numbers,
            api_keys=api_keys or {},
            verb_speed=verb_speed,
            keep_audio=keep_audio,
            on_outbound=on_outbound or _silent_person,
            heed=heed,
        )
        self._rest: RestServer | None = None

    @property
    def calls(self) -> Mapping[str, CarrierCall]:
        """All calls, by their SIDs: those dialled here and those that the server placed by REST."""
        return self.account.calls

    @property
    def messages(self) -> Sequence[Mapping[str, object]]:
        """The text messages that the server sent, as REST resources."""
        return self.account.messages

    def expects(self, number: str, callee: Callee) -> None:
        """Say who is there when the server calls a number, instead of `on_outbound`."""
        self.account.callees[number] = callee

    def takes_no_texts(self, number: str, *, landline: bool = False) -> None:
        """Refuse texts to a number: it has opted out (21610), or is no mobile (21614)."""
        (self.account.landlines if landline else self.account.opted_out).add(number)

    def throttle(self, requests: int) -> None:
        """Refuse so many REST requests with 429, code 20429."""
        self.account.throttled = requests

    async def start_rest(self, port: int = 0) -> str:
        """Listen on 127.0.0.1 and return the base URL that stands for https://api.twilio.com."""
        self._rest = RestServer(rest_app(self.account))
        return await self._rest.start(port)

    async def dial(
        self,
        *,
        from_number: str,
        to_number: str,
        line: CallerLine,
        webhook: str | None = None,
        webhook_method: str | None = None,
        fallback: str | None = None,
        status_callback: str | None = None,
        dial_results: Sequence[str | DialResult] = (),
        gathers: Sequence[str] = (),
        people: People | None = None,
        quirks: Quirks | None = None,
    ) -> CarrierCall:
        """Call the server; returns while it rings.

        webhook, fallback, status_callback: paths or URLs; None takes the dialled number's settings, and where those
        are empty `/twilio/incoming`, no fallback and `/twilio/status`; "" means none. dial_results: what becomes of
        each <Dial>, in order (`completed`, `busy`, `no-answer`, `failed`); gathers: what the caller presses, or says,
        in each <Gather>, "" for nothing. people: decide each <Dial> instead.
        """
        return self.account.call_in(
            from_number,
            to_number,
            line,
            webhook=webhook,
            webhook_method=webhook_method,
            fallback=fallback,
            status_callback=status_callback,
            dial_results=dial_results,
            gathers=gathers,
            people=people,
            quirks=quirks,
        )

    async def close(self) -> None:
        """End all calls, wait for their last callbacks (5 s at most), stop REST."""
        for call in self.account.live():
            call.end("carrier")
        endings = {call.task for call in self.calls.values()}
        if endings:
            _, late = await asyncio.wait(endings, timeout=CLOSE_SECONDS)
            for ending in late:
                ending.cancel()
            await asyncio.gather(*endings, return_exceptions=True)
        if self._rest is not None:
            await self._rest.stop()
        await self.account.http.close()


def _silent_person(number: str) -> Callee:
    return Callee()
