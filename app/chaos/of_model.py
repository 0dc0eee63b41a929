"""What can befall the model's end of a call."""

import asyncio
from typing import Any

from app.chaos.fault import THINKS_MS, of
from app.chaos.scene import Scene
from app.chaos.talks import BOOKS, GREETING, OPEN
from app.sim.model_faults import Faults

STILL: dict[str, Any] = {
    "limit_ms": THINKS_MS,
    "why_longer": "a model that only stays silent may be thinking: the clip comes when a caller would ask",
}
HELD_SECONDS = 1.2


async def half_open(scene: Scene) -> None:
    """The network between us and the model takes nothing any more in mid-answer, and tells neither end."""
    await scene.caller.begins(OPEN)
    scene.to_model.freeze()


async def both_engines_die(scene: Scene) -> None:
    """The session is torn in mid-answer, and nobody listens where it was."""
    await scene.caller.begins(OPEN)
    await scene.to_model.close()


async def late_for_a_while(scene: Scene) -> None:
    """What the model says is held up on its way for 1.5 s, and then comes at once."""
    await scene.caller.begins(OPEN)
    scene.to_model.down.clear()
    await asyncio.sleep(1.5)
    scene.to_model.down.set()


async def greeting_torn(scene: Scene) -> None:
    """The session is torn while the greeting is said."""
    await scene.caller.begins(GREETING)
    for session in scene.sessions:
        session.die()


async def dies_as_it_books(scene: Scene) -> None:
    """The session is torn while the business takes its time to say that it has booked."""
    scene.backend.holds_seconds = HELD_SECONDS
    await scene.backend.is_asked()
    for session in scene.sessions:
        session.die()


def _breaks(where: str, how: str = "torn", *, at: int = 2, sessions: int | None = 1) -> Faults:
    return Faults(breaks_in=where, breaks_at=at, breaks_by=how, sessions=sessions)  # type: ignore[arg-type]


MODEL = (
    of("model", "refused", "nobody listens at the model's address", gone=True, heard="person", quick=True),
    of(
        "model",
        "401",
        "the key is refused at the upgrade",
        model=Faults(refuse_key=True),
        everywhere=True,
        heard="person",
    ),
    of("model", "403", "the upgrade is answered 403", model=Faults(refuse_status=403), everywhere=True, heard="person"),
    of("model", "429", "the upgrade is answered 429", model=Faults(refuse_status=429), everywhere=True, heard="person"),
    of("model", "503", "the upgrade is answered 503", model=Faults(refuse_status=503), everywhere=True, heard="person"),
    of(
        "model",
        "429-second-engine",
        "the upgrade is answered 429; a second engine is there",
        model=Faults(refuse_status=429),
        everywhere=True,
        second=True,
    ),
    of(
        "model",
        "no-hello",
        "the connection is taken, and nothing ever said",
        model=Faults(hang=True),
        everywhere=True,
        heard="person",
    ),
    of(
        "model", "no-configuration", "every session.update is refused", model=Faults(refuse_config=True), heard="person"
    ),
    of(
        "model",
        "wrong-dialect",
        "the server speaks the older dialect, and the settings say the newer one",
        dialect="flat",
        environment={"REALTIME_DIALECT": "ga"},
        heard="person",
    ),
    of(
        "model",
        "silent",
        "every response is begun, and no sound of it comes",
        model=Faults(silent=True),
        heard="person",
    ),
    of(
        "model",
        "quota",
        "no quota any more, in mid-call",
        model=_breaks("answer", "insufficient_quota", sessions=None),
        heard="person",
    ),
    of(
        "model",
        "quota-second-engine",
        "no quota any more, in mid-call; a second engine is there",
        model=_breaks("answer", "insufficient_quota", sessions=None),
        second=True,
        quick=True,
    ),
    of(
        "model",
        "key-withdrawn",
        "the key is no good any more, in mid-call; a second engine is there",
        model=_breaks("answer", "invalid_api_key", sessions=None),
        second=True,
    ),
    of(
        "model",
        "server-error",
        "the session ends with server_error in an answer",
        model=_breaks("answer", "server_error"),
        **STILL,
    ),
    of(
        "model",
        "fails",
        "every response of the first session fails",
        model=Faults(fails_with="server_error", sessions=1),
    ),
    of(
        "model",
        "rate-limit",
        "every response of every session is refused: too many",
        model=Faults(fails_with="rate_limit_exceeded"),
        heard="person",
    ),
    of("model", "stall", "no event comes any more where an answer is due", model=_breaks("answer", "stall"), **STILL),
    of("model", "deaf", "nothing is read, and nothing said any more", model=_breaks("answer", "deaf"), **STILL),
    of("model", "half-open", "the TCP connection is half open from the middle of an answer on", act=half_open),
    of("model", "garbage", "half an event of JSON, in mid-word, then nothing", model=_breaks("word", "garbage")),
    of("model", "close-1001", "close 1001 in mid-word", model=_breaks("word", "1001")),
    of("model", "close-1011", "close 1011 in mid-word", model=_breaks("word", "1011")),
    of(
        "model",
        "close-4000",
        "close 4000 in mid-word; a second engine is there",
        model=_breaks("word", "4000"),
        second=True,
    ),
    of("model", "expires", "the session's time is up in mid-word", model=_breaks("word", "session_expired")),
    of("model", "dies-mid-word", "the connection is torn in mid-word", model=_breaks("word"), quick=True),
    of("model", "dies-twice", "two sessions in a row are torn in mid-word", model=_breaks("word", at=1, sessions=2)),
    of("model", "dies-in-greeting", "the connection is torn while it greets", act=greeting_torn),
    of(
        "model",
        "dies-in-tool-call",
        "the connection is torn within a tool call's arguments",
        model=_breaks("call", at=1),
    ),
    of("model", "dies-in-tool", "the connection is torn while the tool runs", model=_breaks("tool", at=1)),
    of(
        "model",
        "dies-as-it-books",
        "the connection is torn while the business has booked and has not said so",
        talk=BOOKS,
        act=dies_as_it_books,
    ),
    of(
        "model",
        "dies-for-good",
        "the connection is torn in mid-answer, and nobody listens there any more",
        act=both_engines_die,
        heard="person",
    ),
    of("model", "slow", "every first sound comes 3 s late", model=Faults(late_ms=3000), **STILL),
    of("model", "held-up", "its sound is held up for 1.5 s on the way, and comes at once", act=late_for_a_while),
    of(
        "model",
        "no-transcripts",
        "the caller's words are never written down",
        model=Faults(transcription_fails=True),
        unheard=True,
    ),
    of(
        "model",
        "menu",
        "nobody listens at the model's address of a mode with a keypad menu",
        gone=True,
        mode="ivr",
        heard="menu",
    ),
    of(
        "model",
        "voicemail",
        "nobody listens there, and there is no person either",
        gone=True,
        environment={"HUMAN_TRANSFER_NUMBER": ""},
        heard="voicemail",
    ),
)
"""In the order in which they are listed."""
