"""The wire of a session whose answers a voice speaks: the model's own, but for what concerns its speech."""

from typing import Any, Protocol

from app.core import effects as do
from app.mode import TurnDetection
from app.wire import voiced
from app.wire.engine_wire import EngineWire


class Speaker(Protocol):
    """Who has the answers spoken."""

    def cancel(self, response: str) -> list[bytes]:
        """Nothing more of a response is to be heard: what to tell the model."""
        ...

    def forget(self, item: str, heard_ms: int) -> list[bytes] | None:
        """The caller heard so much of an item: what to tell the model. None: it is none that a voice spoke."""
        ...


class SpokenWire:
    """An `EngineWire` around another."""

    def __init__(self, speaker: Speaker, inner: EngineWire) -> None:
        self._speaker = speaker
        self._inner = inner
        self.append = inner.append
        self.parse = voiced.reader(inner.parse)

    def offer(self, tools: list[dict[str, Any]], detection: TurnDetection | None, event_id: str) -> list[bytes]:
        """As the model's."""
        return self._inner.offer(tools, detection, event_id)

    def commands(self, effect: do.Effect) -> list[bytes]:
        """What to send for an effect; what is not to be heard any more is not spoken any more."""
        known: list[bytes] | None = None
        match effect:
            case do.CancelResponse(response_id=response):
                return self._speaker.cancel(response)
            case do.Truncate(item_id=item, heard_ms=heard_ms):
                known = self._speaker.forget(item, heard_ms)
            case do.DeleteItem(item_id=item):
                known = self._speaker.forget(item, 0)
        return self._inner.commands(effect) if known is None else known
