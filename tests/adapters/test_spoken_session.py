"""A session whose model writes and whose answers a voice speaks: real sockets, both stand-ins."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import pytest

from app.adapters.endpoint import Endpoint
from app.adapters.spoken_session import SpokenSession
from app.adapters.tts_link import Cause, TtsServer
from app.core import effects as do
from app.rules.elevenlabs import ElevenLabs
from app.sim.model import ModelServer
from app.sim.tts import Faults, TtsStandIn
from app.sim.tts_voice import speech
from tests.adapters.sessions import PLAN, Ear, model_server, session, until
from tests.calls.conversations import GREETING

VOICE = ElevenLabs(voice_id="21m00Tcm4TlvDq8ikWAM", language="en", stability=0.4)
TEXTS = msgspec.structs.replace(PLAN, texts=True)
PIECES = ["Thank you for calling Lakeside Dental. ", "This is the digital assistant. ", "How can I help you today? "]


class Scene:
    """Both servers, and one session."""

    def __init__(self, model: ModelServer, endpoint: Endpoint, tts: TtsStandIn, url: str, **options: Any) -> None:
        self.model, self.tts = model, tts
        self.causes: list[Cause] = []
        inner = session(endpoint, plan=TEXTS, **options)
        self.session = SpokenSession(inner, TtsServer(url), VOICE, self.causes.append)
        self.ear = Ear()

    def starts(self) -> Ear:
        self.session.start()
        self.session.attach(self.ear)
        return self.ear

    @property
    def received(self) -> list[Any]:
        return self.model.sessions[-1].received

    def asked(self, kind: str) -> list[Any]:
        return [event for event in self.received if event["type"] == kind]

    def sound(self) -> bytes:
        return b"".join(
            base64.b64decode(event["delta"]) for event in self.ear.events if event["type"].endswith("audio.delta")
        )

    def words(self) -> list[tuple[str, int]]:
        return [
            (event["delta"], event["audio_end_ms"])
            for event in self.ear.events
            if event["type"].endswith("transcript.delta")
        ]

    def says(self, effect: do.Effect) -> None:
        for command in self.session.wire.commands(effect):
            self.session.send(command)


@asynccontextmanager
async def scene(dialect: Any = "ga", faults: Faults | None = None, **tts: Any) -> AsyncIterator[Scene]:
    stand_in = TtsStandIn(**{"pace": 0.0, "first_audio_ms": 0, **tts}, faults=faults)
    url = await stand_in.start()
    try:
        async with model_server(dialect=dialect) as (model, endpoint):
            it = Scene(model, endpoint, stand_in, url)
            try:
                yield it
            finally:
                it.session.close()
                await until(lambda: not stand_in.live)
    finally:
        await stand_in.close()


@pytest.mark.parametrize("dialect", ["ga", "flat"])
async def test_the_model_writes_and_the_voice_speaks_and_the_answer_ends_behind_its_sound(dialect: str) -> None:
    async with scene(dialect) as it:
        ear = it.starts()
        await ear.hears("response.done")
    (update,) = it.asked("session.update")
    assert update["session"].get("output_modalities", update["session"].get("modalities")) == ["text"]
    assert [context.heard for (tts,) in [it.tts.sessions] for context in tts.all] == ["".join(PIECES)]
    assert it.sound() == b"".join(speech(piece) for piece in PIECES)
    assert "".join(word for word, _ in it.words()) == GREETING
    ends = [ms for _, ms in it.words()]
    assert ends == sorted(ends)
    assert ends[-1] == len(it.sound()) // 8
    assert ear.types[-3:] == ["response.output_audio.done", "response.output_audio_transcript.done", "response.done"]
    usage = ear.events[-1]["response"]["usage"]
    assert usage["speech"] == {"model": "eleven_flash_v2_5", "characters": sum(len(piece.strip()) for piece in PIECES)}
    assert it.tts.asked[0].startswith("/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/multi-stream-input?")
    assert it.tts.sessions[0].all[0].settings == {"stability": 0.4}


async def test_a_greeting_is_spoken_before_anybody_listens_and_waits_in_order() -> None:
    async with scene() as it:
        it.session.start()
        await until(lambda: any(b'"response.done"' in text for text in it.session._kept))
        spent = it.session.spent_usd
        it.session.attach(it.ear)
        assert it.ear.ready == [True]
        assert it.ear.types[-1] == "response.done"
    assert it.sound() == b"".join(speech(piece) for piece in PIECES)
    assert spent > 0.06 * len(GREETING) / 1100


async def test_what_the_caller_heard_takes_the_place_of_what_was_written() -> None:
    async with scene() as it:
        ear = it.starts()
        await ear.hears("response.done")
        item = next(event["item_id"] for event in ear.events if event["type"].endswith("audio.delta"))
        until_there = next(
            ms for word, ms in it.words() if "".join(w for w, m in it.words() if m <= ms).endswith("Dental.")
        )
        it.says(do.Truncate(item, 0, until_there))
        await ear.hears("conversation.item.deleted")
        kept = [i for i in it.model.sessions[-1].conversation.items if i.data.get("role") == "assistant"]
        assert [i.data["content"] for i in kept] == [
            [{"type": "output_text", "text": "Thank you for calling Lakeside Dental."}]
        ]
        assert item not in [i.id for i in kept]


async def test_a_barge_in_drops_the_speech_and_what_was_not_heard_at_all_is_deleted() -> None:
    async with scene(pace=4.0) as it:
        ear = it.starts()
        first = await ear.hears("response.output_audio.delta")
        await until(lambda: bool(it.session._held.ends))
        it.says(do.DeleteItem(first["item_id"]))
        it.says(do.CancelResponse(first["response_id"]))
        await ear.hears("response.done")
        size = len(it.sound())
        await ear.hears("conversation.item.deleted")
        await until(lambda: it.tts.sessions[0].all[0].closing)
        await until(lambda: not it.tts.sessions[0].contexts)  # it speaks on to its end, and nobody hears it
        assert len(it.sound()) == size < len(b"".join(speech(piece) for piece in PIECES))
        assert [i for i in it.model.sessions[-1].conversation.items if i.data.get("role") == "assistant"] == []
        assert it.asked("response.cancel") == [], "the model was done long before"


@pytest.mark.parametrize(
    ("faults", "cause"),
    [
        (Faults(breaks="torn", breaks_after_ms=1000), "broken"),
        (Faults(breaks="closed", breaks_after_ms=1000), "broken"),
        (Faults(breaks="stall", breaks_after_ms=1000), "stalled"),
        (Faults(refuse=401), "refused"),
        (Faults(refuse=503), "unreachable"),
        (Faults(code="quota_exceeded"), "refused"),
    ],
)
async def test_a_voice_that_fails_gives_way_to_the_model_s_own_with_nothing_lost_or_said_twice(
    faults: Faults, cause: str
) -> None:
    async with scene(faults=faults) as it:
        ear = it.starts()
        begun = asyncio.get_running_loop().time()
        done = await ear.hears("response.done")
        if done["response"]["metadata"]:
            await ear.until(lambda: ear.types.count("response.done") == 2)
        assert asyncio.get_running_loop().time() - begun < 6
        await ear.hears("voice.lost")
        updates = it.asked("session.update")
        assert updates[-1]["session"] == {"type": "realtime", "output_modalities": ["audio"]}
        (read,) = [
            event["response"] for event in it.asked("response.create") if "instructions" in event.get("response", {})
        ]
        assert read["conversation"] == "none"
        left = read["instructions"].split('"')[1]
        voiced = GREETING[: GREETING.index(left)]
        assert (voiced + left, bool(voiced)) == (GREETING, bool(faults.breaks))
        own = speech(left)
        assert it.sound().endswith(own)
        assert {event["item_id"] for event in ear.events if event["type"].endswith("audio.delta")} == {
            ear.events[-2]["item_id"]
        }
        assert ear.types[-3:] == [
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.done",
        ]
        assert it.causes == [cause]
        assert len(it.model.sessions[-1].conversation.items) == 2, "the reading leaves no trace"


async def test_a_voice_that_does_not_say_where_its_words_end_is_heard_all_the_same() -> None:
    async with scene(faults=Faults(aligned=False)) as it:
        ear = it.starts()
        await ear.hears("response.done")
        assert "".join(word for word, _ in it.words()) == GREETING
        assert it.sound() == b"".join(speech(piece) for piece in PIECES)
        assert it.causes == []


async def test_a_socket_that_was_closed_because_it_idled_is_there_again_for_the_next_answer() -> None:
    async with scene(faults=Faults(idle_seconds=0.3)) as it:
        ear = it.starts()
        await ear.hears("response.done")
        await until(lambda: len(it.tts.sessions) >= 2 and it.tts.sessions[0].over is not False)
        it.session.send(msgspec.json.encode({"type": "response.create"}))
        await ear.until(lambda: ear.types.count("response.done") == 2 or bool(it.causes))
        assert it.causes == []
        assert sum(len(tts.all) for tts in it.tts.sessions) == 2


async def test_rapid_barge_ins_never_hold_more_contexts_than_the_server_allows() -> None:
    async with scene(pace=0.5) as it:
        ear = it.starts()
        heard: set[str] = set()
        for done in range(1, 8):
            await ear.until(lambda: bool(spoken_in(ear) - heard))
            (response,) = spoken_in(ear) - heard
            heard.add(response)
            it.says(do.CancelResponse(response))
            await ear.until(partial(ended, ear, done))
            it.session.send(msgspec.json.encode({"type": "response.create"}))
        assert it.causes == []
        assert len(it.tts.sessions) > 1
        assert not any("error" in str(tts.received) for tts in it.tts.sessions)


def spoken_in(ear: Ear) -> set[str]:
    """The responses of which something was heard."""
    return {event["response_id"] for event in ear.events if event["type"].endswith("audio.delta")}


def ended(ear: Ear, times: int) -> bool:
    return ear.types.count("response.done") == times


async def test_a_voice_that_stalls_is_given_up_though_the_model_writes_on_and_on() -> None:
    """The model's own words are no sign of life of the voice."""
    async with scene(faults=Faults(breaks="stall", breaks_after_ms=200)) as it:
        ear = it.starts()
        await ear.hears("response.output_audio.delta")
        line, loop = it.session._lines[0], asyncio.get_running_loop()
        due = it.session._stall
        assert due is not None
        when = due.when()
        await until(lambda: loop.time() > when - 1.2)
        for _ in range(5):
            it.session.from_model(
                msgspec.json.encode(
                    {
                        "type": "response.output_text.delta",
                        "response_id": line.response_id,
                        "item_id": line.item_id,
                        "delta": "",
                    }
                )
            )
        again = it.session._stall
        assert again is not None
        assert again.when() == when
