"""Asks the model for an afterword: a session of its own, one question in text, one answer, closed."""

import asyncio

from app.adapters.model_link import ModelSession
from app.errors import LinkClosed, ModelRefused, PeerError
from app.wire.afterword import Afterword, answer
from app.wire.afterword import ask as asks

SECONDS = 25.0
"""For all of it: the session takes a second, an answer of TOKENS tokens a few."""
TOKENS = 800


class _Ear:
    """Listens on a session until the answer is there."""

    def __init__(self, session: ModelSession, instructions: str, talk: str) -> None:
        self.session, self.instructions, self.talk = session, instructions, talk
        self.said: asyncio.Future[Afterword] = asyncio.get_running_loop().create_future()

    def model_ready(self, *, opening: bool) -> None:
        if self.session.dialect.name == "hybrid":  # an engine that nobody named, and which proves to be of this kind
            self._fail(ModelRefused("a server of the hybrid dialect answers nothing out of band"))
            return
        try:
            self.session.send(asks(self.session.dialect, self.instructions, self.talk, TOKENS))
        except PeerError as wrong:
            self._fail(wrong)

    def from_model(self, text: bytes) -> None:
        try:
            said = answer(text)
        except PeerError as wrong:
            self._fail(wrong)
            return
        if said is not None and not self.said.done():
            self.said.set_result(said)

    def model_lost(self, why: str) -> None:
        self._fail(LinkClosed(why))

    def _fail(self, wrong: PeerError) -> None:
        if not self.said.done():
            self.said.set_exception(wrong)


async def ask(session: ModelSession, instructions: str, talk: str, *, seconds: float = SECONDS) -> Afterword:
    """Ask on a session that is not dialled yet, and close it. Raises PeerError, TimeoutError."""
    if not session.engine.out_of_band:
        raise ModelRefused(f"the engine {session.engine.name!r} answers nothing out of band")
    ear = _Ear(session, instructions, talk)
    session.start()
    session.attach(ear)
    try:
        async with asyncio.timeout(seconds):
            return await ear.said
    finally:
        session.close()
