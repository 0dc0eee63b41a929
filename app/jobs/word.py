"""Brings word of finished calls to the business as long as a house is open, where anybody wants it."""

from collections.abc import Mapping

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.deliveries import Deliveries
from app.adapters.endpoint import Endpoint, Known
from app.adapters.model_link import ModelSession
from app.adapters.opening import Opening
from app.adapters.store import CallStore
from app.mode import Mode
from app.settings import Settings
from app.wire.dialects import SessionPlan


async def bring_word(
    settings: Settings, engine: AsyncEngine, modes: Mapping[str, Mode], endpoint: Endpoint, known: Known
) -> None:
    """Until cancelled; at once over where there is no webhook, and no mode that completes its outcome.

    endpoint, known: the model's, for afterwords.
    """
    if not settings.webhooks and not any(mode.completes for mode in modes.values()):
        return
    from app.jobs.courier import Courier  # late: it brings in an HTTP client

    def text_session(mode: Mode) -> tuple[ModelSession, str]:
        """A session that is only asked in text, not dialled yet, and its model's name."""
        model = mode.model or settings.realtime_model
        plan = SessionPlan.of(mode, model=model, instructions="", transcription_model="")
        plan = msgspec.structs.replace(plan, tools=[])
        return ModelSession(endpoint, model, plan, Opening(), known=known), model

    courier = Courier(
        Deliveries(engine),
        CallStore(engine),
        settings.webhooks,
        modes=modes,
        public_url=settings.public_url,
        session=text_session,
        max_cost_usd=settings.max_call_cost_usd,
        prices=settings.prices,
    )
    await courier.run()
