"""The caller's end of a stand-in line: speaks when a test says so, and lets the test wait for what it hears."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

from app.sim.loudness import VOICED, loudness
from app.sim.playout import FRAME_BYTES, SILENCE

PATIENCE = 20.0


class Line:
    """A `CallerLine`. Counts of voiced frames are kept for each stream: `heard_on[0]` is the first stream's."""

    def __init__(self) -> None:
        self.verbs: list[str] = []
        self.said: list[str] = []
        """Texts of <Say>."""
        self.dialled: list[Mapping[str, str]] = []
        """Attributes of each <Dial>."""
        self.heard_on: list[int] = []
        self.live = False
        self._speech: deque[bytes] = deque()
        self._news = asyncio.Event()

    def say(self, audio: bytes) -> None:
        """Speak, from the next frame on."""
        self._speech.extend(audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES))
        self._news.set()

    async def until(self, check: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
        """Wait until something is so; it is looked at with every frame, stream and verb."""
        try:
            async with asyncio.timeout(seconds):
                while not check():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(
                f"expected {what} within {seconds:g} s; verbs {self.verbs}, heard {self.heard_on}"
            ) from None

    async def hears(self, ms: int = 300, stream: int = 1) -> None:
        """Wait until so much voice was heard on the n-th stream."""
        await self.until(
            lambda: len(self.heard_on) >= stream and self.heard_on[stream - 1] * 20 >= ms,
            f"{ms} ms of voice on stream {stream}",
        )

    async def hears_more(self, ms: int = 300) -> None:
        """Wait for so much more voice on the stream that is live."""
        stream = len(self.heard_on)
        await self.hears(self.heard_on[-1] * 20 + ms, stream)

    async def hears_silence(self, ms: int = 600) -> None:
        """Wait until the agent has been silent for so long."""
        quiet, last = 0, -1

        def silent() -> bool:
            nonlocal quiet, last
            quiet, last = (quiet + 20, last) if self.heard_on[-1] == last else (0, self.heard_on[-1])
            return quiet >= ms

        await self.until(silent, f"{ms} ms of silence")

    # --- CallerLine -------------------------------------------------------------------------------------------------

    def next_frame(self) -> bytes:
        return self._speech.popleft() if self._speech else SILENCE

    def heard(self, frame: bytes, at_ms: int) -> None:
        self.heard_on[-1] += loudness(frame) >= VOICED
        self._news.set()

    def stream_started(self, stream_sid: str) -> None:
        self.heard_on.append(0)
        self.live = True
        self._news.set()

    def stream_ended(self, why: str) -> None:
        self.live = False
        self._news.set()

    def verb(self, name: str, attributes: Mapping[str, str], text: str) -> None:
        self.verbs.append(name)
        if name == "Say":
            self.said.append(text)
        if name == "Dial":
            self.dialled.append(attributes)
        self._news.set()
