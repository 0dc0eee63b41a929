"""Texts of the keyless trial: they go to the carrier stand-in's REST door, in this process, and to nobody's telephone."""

import httpx
import structlog

from app.adapters.texted import Texted
from app.adapters.twilio_rest import TwilioRest
from app.sim.carrier import ACCOUNT_SID, Carrier
from app.sim.carrier_numbers import PhoneNumber
from app.sim.carrier_rest import rest_app

log = structlog.get_logger()

HERE = "https://carrier.invalid"
TOKEN = "of the stand-in alone"  # noqa: S105


class TrialTexts:
    """A `TextCarrier` (app/calls/texting.py). Only for a server that nobody outside of this machine can call."""

    def __init__(self, sender: str) -> None:
        """sender: E.164, the account's only number."""
        self.carrier = Carrier(auth_token=TOKEN, public_url=HERE, numbers=[PhoneNumber(sender)])
        self._transport = httpx.ASGITransport(rest_app(self.carrier.account))

    async def send_text(self, *, to: str, sender: str, body: str) -> Texted:
        """By the very code and the very form that Twilio would get it, and with its refusals."""
        async with httpx.AsyncClient(transport=self._transport) as client:
            rest = TwilioRest(HERE, ACCOUNT_SID, TOKEN, client)
            texted = await rest.send_text(to=to, sender=sender, body=body)
        log.warning("NO CARRIER ACCOUNT: the stand-in took a text, nobody gets it", state=texted.state, text=body)
        return texted
