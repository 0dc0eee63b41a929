"""The stand-in's hearing: asks the recogniser's process what a turn of the caller's says, and never waits for it in the loop.

One process serves all calls, one turn after the other; it is started when first needed and again if it died. Where it cannot
run (pocketsphinx has no wheel for the platform) `available` turns False, which is logged once, and nothing is understood.
"""

import asyncio
import contextlib
import struct
import sys
from pathlib import Path

import msgspec
import structlog

from app.errors import SetupError
from app.sim.listening import Grammar, Heard, lexicon
from app.sim.recogniser import Lexicon, Ready, Sound, Words, framed

log = structlog.get_logger()

LEAST_SCORE = {1: -7.1, 2: -7.1}
LEAST_SCORE_OF_MANY = -5.1
ASKED_FOR = 1.0
"""So much worse may an answer fit that the caller was asked for."""
LEAST_WORST = -10.5
LEAST_COVERED = 0.78
"""Below these a guess counts as not understood: noise, and speech that is in no phrase. Measured with the recorded voices; in
one or two words (the keys of the table) the ends weigh more, so that they fit worse even where they are right."""
PATIENCE_SECONDS = 3.0
START_SECONDS = 20.0
QUEUED = 8
"""Turns that may wait for the worker; of more the next is not listened to. The patience counts from its own beginning."""
ROOT = Path(__file__).resolve().parents[2]


def credible(words: Words, grammar: Grammar) -> Heard:
    """What a guess means, if it is good enough to be taken for what was said; else nothing."""
    heard = grammar.meaning(words.text)
    least = LEAST_SCORE.get(len(words.text.split()), LEAST_SCORE_OF_MANY)
    least -= ASKED_FOR if heard.wish in grammar.asked else 0
    good = words.score >= least and words.worst >= LEAST_WORST and words.covered >= LEAST_COVERED
    return heard if good else Heard()


class Deaf(SetupError):
    """The recogniser does not run here: the stand-in follows scripts only."""


class Hearing:
    """Turns sound into meaning. `understand` may be called from any task of one loop; `close` ends the process."""

    def __init__(self, command: tuple[str, ...] = (sys.executable, "-m", "app.sim.recogniser")) -> None:
        self.available = True
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def understand(self, audio: bytes, grammar: Grammar) -> Heard:
        """What a turn (u-law) means; nothing, where it is noise, no phrase, or nobody can listen."""
        if not self.available or self._waiting >= QUEUED:
            return Heard()
        self._waiting += 1
        try:
            async with self._turn:
                words = await self._ask(Sound(audio, grammar.jsgf))
        except Deaf as why:
            self.available = False
            log.warning("stand-in: cannot listen here; callers without a script are answered as before", why=str(why))
            return Heard()
        except (OSError, EOFError, TimeoutError, msgspec.MsgspecError) as wrong:
            log.warning("stand-in: the recogniser failed; the turn is not understood", error=repr(wrong))
            await self.close()
            return Heard()
        finally:
            self._waiting -= 1
        return credible(words, grammar)

    async def wake(self) -> bool:
        """Start the process, so that the first turn need not wait for it; False if it cannot listen."""
        try:
            async with self._turn:
                await self._started()
        except Deaf as why:
            self.available = False
            log.warning("stand-in: cannot listen here; callers without a script are answered as before", why=str(why))
        except (OSError, EOFError, TimeoutError) as wrong:
            log.warning("stand-in: the recogniser did not start; it is tried again", error=repr(wrong))
            await self.close()
        return self.available

    async def close(self) -> None:
        """End the process. It starts again if it is needed."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ask(self, sound: Sound) -> Words:
        process = await self._started()
        return msgspec.msgpack.decode(await self._exchange(process, sound, PATIENCE_SECONDS), type=Words)

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        pipe = asyncio.subprocess.PIPE
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command, stdin=pipe, stdout=pipe, cwd=ROOT, start_new_session=True
        )
        ready = msgspec.msgpack.decode(
            await self._exchange(process, Lexicon(dict(lexicon())), START_SECONDS), type=Ready
        )
        if ready.error:
            await self.close()
            raise Deaf(ready.error)
        return process

    async def _exchange(self, process: asyncio.subprocess.Process, message: msgspec.Struct, seconds: float) -> bytes:
        """A message's answer, as bytes. Raises TimeoutError, EOFError if the process ended, OSError."""
        try:
            async with asyncio.timeout(seconds):
                return await _exchange(process, message)
        except asyncio.CancelledError:  # the answer comes all the same, and would be taken for the next caller's
            self._process = None
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise


async def _exchange(process: asyncio.subprocess.Process, message: msgspec.Struct) -> bytes:
    """Send a message, and wait for the answer's bytes. Raises EOFError if the process ended, OSError."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(framed(message))
    await process.stdin.drain()
    head = await process.stdout.readexactly(4)
    return await process.stdout.readexactly(struct.unpack(">I", head)[0])
