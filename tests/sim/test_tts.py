"""The text-to-speech stand-in: what it speaks, and what it refuses as the real one does."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.sim.tts import Faults, TtsStandIn
from app.sim.tts_voice import speech

QUERY = "model_id=eleven_flash_v2_5&output_format=ulaw_8000&auto_mode=true"
PATH = "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/multi-stream-input"


@asynccontextmanager
async def talking(
    query: str = QUERY, path: str = PATH, key: str = "", **options: Any
) -> AsyncIterator[ClientConnection]:
    server = TtsStandIn(**{"pace": 0.0, "first_audio_ms": 0, **options})
    url = await server.start()
    try:
        async with connect(f"{url}{path}?{query}", additional_headers={"xi-api-key": key} if key else {}) as socket:
            yield socket
    finally:
        await server.close()


async def says(socket: ClientConnection, **fields: Any) -> None:
    await socket.send(msgspec.json.encode(fields), text=True)


async def hears(socket: ClientConnection) -> dict[str, Any]:
    heard: dict[str, Any] = msgspec.json.decode(await socket.recv())
    return heard


async def spoken(socket: ClientConnection) -> tuple[bytes, str, str]:
    """Sound and aligned characters of a context, to its end."""
    audio, characters = b"", ""
    while not (message := await hears(socket)).get("isFinal"):
        audio += base64.b64decode(message["audio"])
        alignment = message["alignment"]
        assert len({len(alignment[key]) for key in alignment}) == 1
        characters += "".join(alignment["chars"])
    return audio, characters, message["contextId"]


async def test_what_is_flushed_is_spoken_and_the_end_comes_only_with_the_close() -> None:
    async with talking() as socket:
        await says(socket, text="Thank you for calling. ", context_id="a", flush=True)
        await says(socket, text="Zyxo plim! ", context_id="a", flush=True)
        await says(socket, context_id="a", close_context=True)
        audio, characters, context = await spoken(socket)
    assert audio == speech("Thank you for calling.") + speech("Zyxo plim!")
    assert (characters, context) == ("Thank you for calling. Zyxo plim! ", "a")
    assert speech("Zyxo plim!") != speech("Zyxo plum!"), "one text can be told from another"
    assert len(speech("Zyxo plim!")) % 160 == 0
    assert speech("...") == b""


async def test_without_auto_mode_a_text_waits_for_its_flush_and_a_close_loses_it() -> None:
    async with talking(QUERY.replace("true", "false")) as socket:
        await says(socket, text="Thank you. ", context_id="a")
        await says(socket, context_id="a", close_context=True)
        assert await spoken(socket) == (b"", "", "a")


@pytest.mark.parametrize(
    "message",
    [
        {"text": "No space at its end.", "context_id": "a"},
        {"text": 5, "context_id": "a"},
        {"context_id": "a"},
        {"text": "Hello. ", "context": "a"},
        {"text": "Hello. ", "context_id": "a", "voice_settings": {"loudness": 1}},
        {"text": "Hello. ", "context_id": "a", "voice_settings": {"speed": 3}},
        ["text"],
    ],
)
async def test_what_the_reference_does_not_list_is_refused_and_the_socket_closed(message: Any) -> None:
    async with talking() as socket:
        await socket.send(msgspec.json.encode(message), text=True)
        assert (await hears(socket))["error"]
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


async def test_a_sixth_context_is_one_too_many_though_four_were_closed_and_still_speak() -> None:
    async with talking(pace=0.5) as socket:
        for name in "abcdef":
            await says(socket, text="Thank you for calling. ", context_id=name, flush=True)
            if name < "e":
                await says(socket, context_id=name, close_context=True)
        while "error" not in (message := await hears(socket)):
            pass
        assert message["error"] == "max_active_conversations"


@pytest.mark.parametrize(
    ("query", "path", "status"),
    [
        (QUERY, PATH.replace("multi-", ""), 404),
        (QUERY.replace("ulaw_8000", "wav"), PATH, 400),
        (QUERY + "&voice=x", PATH, 400),
        (QUERY + "&inactivity_timeout=181", PATH, 400),
        (QUERY.replace("eleven_flash_v2_5", "eleven_v3"), PATH, 400),
        (QUERY, PATH, 401),
    ],
)
async def test_a_wrong_address_parameter_or_key_is_no_upgrade(query: str, path: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with talking(query, path, key="wrong" if status == 401 else "right", api_key="right"):
            pass
    assert refused.value.response.status_code == status


async def test_a_socket_on_which_nothing_is_said_is_closed_in_words() -> None:
    async with talking(faults=Faults(idle_seconds=0.05)) as socket:
        assert (await hears(socket))["error"] == "input_timeout_exceeded"
