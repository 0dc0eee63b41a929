"""What can befall the model's end of a call."""

import asyncio

from app.chaos.caller import GREETING, OPEN
from app.chaos.fault import THINKS_MS, Fault
from app.chaos.scene import Scene
from app.sim.model_faults import Faults

STILL = "a model that only stays silent may be thinking: the clip comes when a caller would ask"


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


def _breaks(where: str, how: str = "torn", *, at: int = 2, sessions: int | None = 1) -> Faults:
    return Faults(breaks_in=where, breaks_at=at, breaks_by=how, sessions=sessions)  # type: ignore[arg-type]


MODEL = (
    Fault(
        name="model-refused",
        group="model",
        does="nobody listens at the model's address",
        gone=True,
        heard="person",
        quick=True,
    ),
    Fault(
        name="model-401",
        group="model",
        does="the key is refused at the upgrade",
        model=Faults(refuse_key=True),
        everywhere=True,
        heard="person",
    ),
    Fault(
        name="model-403",
        group="model",
        does="the upgrade is answered 403",
        model=Faults(refuse_status=403),
        everywhere=True,
        heard="person",
    ),
    Fault(
        name="model-429",
        group="model",
        does="the upgrade is answered 429",
        model=Faults(refuse_status=429),
        everywhere=True,
        heard="person",
    ),
    Fault(
        name="model-503",
        group="model",
        does="the upgrade is answered 503",
        model=Faults(refuse_status=503),
        everywhere=True,
        heard="person",
    ),
    Fault(
        name="model-429-second-engine",
        group="model",
        does="the upgrade is answered 429; a second engine is there",
        model=Faults(refuse_status=429),
        everywhere=True,
        second=True,
    ),
    Fault(
        name="model-no-hello",
        group="model",
        does="the connection is taken, and nothing ever said",
        model=Faults(hang=True),
        everywhere=True,
        heard="person",
    ),
    Fault(
        name="model-no-configuration",
        group="model",
        does="every session.update is refused",
        model=Faults(refuse_config=True),
        heard="person",
    ),
    Fault(
        name="model-wrong-dialect",
        group="model",
        does="the server speaks the older dialect, and the settings say the newer one",
        dialect="flat",
        environment={"REALTIME_DIALECT": "ga"},
        heard="person",
    ),
    Fault(
        name="model-silent",
        group="model",
        does="every response is begun, and no sound of it comes",
        model=Faults(silent=True),
        heard="person",
    ),
    Fault(
        name="model-quota",
        group="model",
        does="no quota any more, in mid-call",
        model=_breaks("answer", "insufficient_quota", sessions=None),
        heard="person",
    ),
    Fault(
        name="model-quota-second-engine",
        group="model",
        does="no quota any more, in mid-call; a second engine is there",
        model=_breaks("answer", "insufficient_quota", sessions=None),
        second=True,
        quick=True,
    ),
    Fault(
        name="model-key-withdrawn",
        group="model",
        does="the key is no good any more, in mid-call; a second engine is there",
        model=_breaks("answer", "invalid_api_key", sessions=None),
        second=True,
    ),
    Fault(
        name="model-server-error",
        group="model",
        does="the session ends with server_error in an answer",
        model=_breaks("answer", "server_error"),
        limit_ms=THINKS_MS,
        why_longer=STILL,
    ),
    Fault(
        name="model-fails",
        group="model",
        does="every response of the first session fails",
        model=Faults(fails_with="server_error", sessions=1),
    ),
    Fault(
        name="model-rate-limit",
        group="model",
        does="every response of every session is refused: too many",
        model=Faults(fails_with="rate_limit_exceeded"),
        heard="person",
    ),
    Fault(
        name="model-stall",
        group="model",
        does="no event comes any more where an answer is due",
        model=_breaks("answer", "stall"),
        limit_ms=THINKS_MS,
        why_longer=STILL,
    ),
    Fault(
        name="model-deaf",
        group="model",
        does="nothing is read, and nothing said any more",
        model=_breaks("answer", "deaf"),
        limit_ms=THINKS_MS,
        why_longer=STILL,
    ),
    Fault(
        name="model-half-open",
        group="model",
        does="the TCP connection is half open from the middle of an answer on",
        act=half_open,
    ),
    Fault(
        name="model-garbage",
        group="model",
        does="half an event of JSON, in mid-word, then nothing",
        model=_breaks("word", "garbage"),
    ),
    Fault(name="model-close-1001", group="model", does="close 1001 in mid-word", model=_breaks("word", "1001")),
    Fault(name="model-close-1011", group="model", does="close 1011 in mid-word", model=_breaks("word", "1011")),
    Fault(
        name="model-close-4000",
        group="model",
        does="close 4000 in mid-word; a second engine is there",
        model=_breaks("word", "4000"),
        second=True,
    ),
    Fault(
        name="model-expires",
        group="model",
        does="the session's time is up in mid-word",
        model=_breaks("word", "session_expired"),
    ),
    Fault(
        name="model-dies-mid-word",
        group="model",
        does="the connection is torn in mid-word",
        model=_breaks("word"),
        quick=True,
    ),
    Fault(
        name="model-dies-twice",
        group="model",
        does="two sessions in a row are torn in mid-word",
        model=_breaks("word", at=1, sessions=2),
    ),
    Fault(
        name="model-dies-in-greeting", group="model", does="the connection is torn while it greets", act=greeting_torn
    ),
    Fault(
        name="model-dies-in-tool-call",
        group="model",
        does="the connection is torn within a tool call's arguments",
        model=_breaks("call", at=1),
    ),
    Fault(
        name="model-dies-in-tool",
        group="model",
        does="the connection is torn while the tool runs",
        model=_breaks("tool", at=1),
    ),
    Fault(
        name="model-dies-for-good",
        group="model",
        does="the connection is torn in mid-answer, and nobody listens there any more",
        act=both_engines_die,
        heard="person",
    ),
    Fault(
        name="model-slow",
        group="model",
        does="every first sound comes 3 s late",
        model=Faults(late_ms=3000),
        limit_ms=THINKS_MS,
        why_longer=STILL,
    ),
    Fault(
        name="model-held-up",
        group="model",
        does="its sound is held up for 1.5 s on the way, and comes at once",
        act=late_for_a_while,
    ),
    Fault(
        name="model-no-transcripts",
        group="model",
        does="the caller's words are never written down",
        model=Faults(transcription_fails=True),
        unheard=True,
    ),
    Fault(
        name="model-menu",
        group="model",
        does="nobody listens at the model's address of a mode with a keypad menu",
        gone=True,
        mode="ivr",
        heard="menu",
    ),
    Fault(
        name="model-voicemail",
        group="model",
        does="nobody listens there, and there is no person either",
        gone=True,
        environment={"HUMAN_TRANSFER_NUMBER": ""},
        heard="voicemail",
    ),
)
"""In the order in which they are listed."""
