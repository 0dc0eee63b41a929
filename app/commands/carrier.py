"""`./offhook carrier`: the carrier stand-in as a server of its own, with Twilio's REST API to place calls by."""

import asyncio

from app import settings as all_settings
from app.adapters.data_folder import kept_secret
from app.commands.own_server import find_running
from app.sim.carrier import ACCOUNT_SID, Carrier
from app.sim.carrier_numbers import PhoneNumber

NUMBER = "+14155550199"


async def stand(port: int) -> None:
    """Serve until cancelled. Calls placed by REST run the TwiML that they name, and reach whoever it streams to."""
    settings = all_settings.load()
    running = find_running(settings.data)
    token = (
        settings.twilio_auth_tokens[0]
        if settings.twilio_auth_tokens
        else kept_secret(settings.data, "twilio_auth_token")
    )
    sid = settings.twilio_account_sid or ACCOUNT_SID
    number = settings.twilio_phone_number or NUMBER
    carrier = Carrier(
        auth_token=token,
        account_sid=sid,
        public_url=settings.public_url,
        connect_to=running.url if running else None,
        numbers=[PhoneNumber(number)],
    )
    try:
        base = await carrier.start_rest(port)
        print(f"TWILIO_API_BASE={base}\nTWILIO_ACCOUNT_SID={sid}\nnumber {number}; Ctrl-C stops", flush=True)
        await asyncio.Event().wait()
    finally:
        await carrier.close()
