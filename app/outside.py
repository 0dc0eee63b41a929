"""What a house reaches outside of itself: the business's data, and the carrier's REST API; a trial's texts go to nobody."""

import contextlib

from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.business_pg import PgStore
from app.adapters.texted import Texted
from app.calls.dialler import Lines
from app.calls.texting import TextCarrier
from app.mode import Store
from app.settings import Settings


async def reach_outside(
    settings: Settings, engine: AsyncEngine, tokens: tuple[str, ...], stack: contextlib.AsyncExitStack
) -> tuple[Store, Lines | None, TextCarrier | None]:
    """The business's data and Twilio's REST API. An HTTP client is made only where one is configured: it takes 70 ms."""
    if not settings.business_api_base and not settings.twilio_account_sid:
        return PgStore(engine, settings.office), None, LateTrialTexts() if trial(settings) else None
    import httpx

    from app.adapters.business_http import HttpStore
    from app.adapters.kept_messages import KeptMessages
    from app.adapters.twilio_rest import TwilioRest

    client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
    store: Store = PgStore(engine, settings.office)
    rest = None
    if settings.business_api_base:
        store = KeptMessages(HttpStore(settings.business_api_base, client, traced=bool(settings.otlp_endpoint)), store)
    if settings.twilio_account_sid:
        rest = TwilioRest(settings.twilio_api_base, settings.twilio_account_sid, tokens[0], client)
    return store, rest, rest or (LateTrialTexts() if trial(settings) else None)


def trial(settings: Settings) -> bool:
    """Whether nobody outside of this machine can call: then even texts go to a stand-in."""
    return settings.stand_in and not settings.twilio_account_sid and settings.public_is_loopback


class LateTrialTexts:
    """`TrialTexts`, made with the first text: it brings in an HTTP client and the carrier stand-in."""

    async def send_text(self, *, to: str, sender: str, body: str) -> Texted:
        """To nobody's telephone."""
        from app.sim.trial_texts import TrialTexts

        return await TrialTexts(sender).send_text(to=to, sender=sender, body=body)
