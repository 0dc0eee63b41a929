"""The floor where there is no compiler: a relay on our own links that rewrites JSON and does nothing else.

It speaks the language of all relays of the bench: `--port P --model-url URL`, and says `ready` once it listens.
"""

import argparse
import asyncio
import contextlib
import json

import msgspec
import uvloop

from app.adapters.link import WireLink
from app.errors import PeerError
from bench.links import dial, listen

SESSION = msgspec.json.encode(
    {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "output_modalities": ["audio"],
            "audio": {"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcmu"}}},
        },
    }
)


class _Payload(msgspec.Struct):
    payload: str


class _Start(msgspec.Struct):
    event: str
    media: _Payload | None = None
    streamSid: str = ""  # noqa: N815 - the carrier's word


class _Delta(msgspec.Struct, tag_field="type", tag="response.output_audio.delta"):
    delta: str


_FROM_CALLER = msgspec.json.Decoder(_Start)
_FROM_MODEL = msgspec.json.Decoder(_Delta)


class Call:
    """One call: the listener of the phone's link."""

    def __init__(self, caller: WireLink, model_url: str) -> None:
        self.caller = caller
        self.model: WireLink | None = None
        self.head = b""
        self._dialling = asyncio.get_running_loop().create_task(self._dial(model_url))

    async def _dial(self, url: str) -> None:
        try:
            self.model = await dial(url, Model(self))
            self.model.send(SESSION)
        except (OSError, PeerError):
            self.caller.close(1011, "no model")

    def heard(self, text: bytes) -> None:
        """A message of the carrier's."""
        message = _FROM_CALLER.decode(text)
        if message.media is not None:
            if self.model is not None:
                with contextlib.suppress(PeerError):  # its own end is told by `closed`
                    self.model.send(
                        b'{"type":"input_audio_buffer.append","audio":"%b"}' % message.media.payload.encode()
                    )
        elif message.event == "start":
            self.head = b'{"event":"media","streamSid":"%b","media":{"payload":"' % message.streamSid.encode()

    def closed(self, code: int, reason: str) -> None:
        """The caller is gone."""
        if self.model is not None:
            self.model.close()


class Model:
    """The listener of the model's link."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def heard(self, text: bytes) -> None:
        """A message of the model's: audio goes down, the rest is nobody's."""
        try:
            delta = _FROM_MODEL.decode(text).delta
        except msgspec.ValidationError:
            return
        with contextlib.suppress(PeerError):
            self.call.caller.send(self.call.head + delta.encode() + b'"}}')

    def closed(self, code: int, reason: str) -> None:
        """The model is gone."""
        self.call.caller.close()


async def _serve(port: int, model_url: str) -> None:
    found = await listen(port, lambda link: Call(link, model_url))
    print(json.dumps({"event": "ready", "port": found}), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Until SIGTERM."""
    parser = argparse.ArgumentParser(description="A bare relay on the product's links.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model-url", required=True)
    chosen = parser.parse_args()
    uvloop.run(_serve(chosen.port, chosen.model_url))


if __name__ == "__main__":
    main()
