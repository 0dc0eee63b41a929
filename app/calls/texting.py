"""Texts to callers: to the number that calls and to no other, each once, and what became of it told as it is.

Whether the caller wants one is the mode's to ask. What was done is kept as a milestone of the call: `text_sent`,
`text_unknown`, or `text_refused_21610` with Twilio's code (0: the carrier could not be reached).

Each once, over all processes: before the carrier is asked, the books are (app/adapters/text_claims.py). If they do not answer, the
process that the call began in sends what it has not sent itself: nobody else can have, and the caller waits for it. One that took
the call up does not: whether a text was sent before is not known then, and that is what the caller is told, with the details read
out. A second text costs money and makes a caller doubt the first; a text that is missing was never promised.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Literal, Protocol

import phonenumbers
import structlog
from phonenumbers import PhoneNumberType

from app.adapters.texted import Texted
from app.core.rows import CallInfo, Milestone
from app.errors import ToolError
from app.rules.office import E164

log = structlog.get_logger()

MAX_CHARACTERS = 480
"""Three parts of GSM-7: what is longer is not for a text."""
TRIES = 4
"""How often a call may ask the carrier: nobody's number is flooded by way of a call."""
REMEMBERED_CALLS = 2000
SETTLE_SECONDS = 1.0
DEAR = (
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.UAN,
    PhoneNumberType.PAGER,
)
"""Kinds of numbers that are called for money, or are no telephone."""

NOT_SET_UP = "No text was sent: texts are not set up here. Say so, and read the details out instead."
NO_NUMBER = (
    "No text was sent: the caller's number is withheld, or takes no texts. Say so, and read the details out instead."
)
TOO_LONG = f"No text was sent: it may have {MAX_CHARACTERS} characters, and must not be empty."
TOO_MANY = "No text was sent: this call has tried often enough. Say so, and read the details out instead."
UNKNOWN = "It is not known whether the text was sent. Say so, do not try again, and read the details out."
OPTED_OUT = "No text was sent: that number has opted out of our texts. Say so, and read the details out instead."
NO_MOBILE = "No text was sent: that number cannot take texts. Say so, and read the details out instead."
NOT_NOW = "No text was sent: the carrier did not take it. Say so, and read the details out instead."
BUSY = "No text was sent: the carrier is busy. Say so; you may try once more, or read the details out instead."
WORDS = {21610: OPTED_OUT, 21211: NO_MOBILE, 21408: NO_MOBILE, 21612: NO_MOBILE, 21614: NO_MOBILE, 20429: BUSY}
"""By Twilio's code; the others are faults of ours or of the account (20003, 21606, 21608), and no caller's business."""


class TextCarrier(Protocol):
    """Sends a text; Twilio's REST API."""

    async def send_text(self, *, to: str, sender: str, body: str) -> Texted:
        """What became of it. Never raises but when cancelled."""
        ...


class TextBook(Protocol):
    """Knows what any process has asked for: `app.adapters.text_claims.TextClaims`."""

    async def claim(self, call_sid: str, words: str) -> Literal["mine"] | Texted | None:
        """Whether a text may be asked for, or what became of it elsewhere. None: it is not known."""
        ...

    async def settle(self, call_sid: str, words: str, texted: Texted) -> bool:
        """Write down what became of it; whether that could be done."""
        ...


class Texting:
    """All texts of this process. `put` writes a row to the journal."""

    def __init__(
        self, carrier: TextCarrier | None, sender: str, put: Callable[[Milestone], None], book: TextBook | None = None
    ) -> None:
        """carrier None, or sender (E.164, ours) empty: none is sent. book: None where there is no other process."""
        self._carrier = carrier
        self._sender = sender
        self._put = put
        self._book = book
        self._settling: set[asyncio.Task[bool]] = set()
        self._asked: dict[str, dict[str, asyncio.Task[Texted]]] = {}
        """What each call has asked for, by text."""
        self._tries: dict[str, int] = {}

    def to(self, call: CallInfo, *, taken_up: bool = False) -> Callable[[str], Awaitable[None]]:
        """What `CallContext.text` is: sends a text to whoever calls. Raises ToolError, in words for the model.

        taken_up: another process has had the call.
        """

        async def text(words: str) -> None:
            await self._text(call, words, taken_up)

        return text

    async def close(self) -> None:
        """Wait for what the carrier was asked for and has not answered yet; it does so within its own deadline."""
        running = [task for asked in self._asked.values() for task in asked.values() if not task.done()]
        await asyncio.gather(*running, return_exceptions=True)
        if self._settling:
            await asyncio.wait(self._settling, timeout=SETTLE_SECONDS)
        for settling in list(self._settling):
            settling.cancel()

    async def _text(self, call: CallInfo, words: str, taken_up: bool) -> None:
        if self._carrier is None or not self._sender:
            raise ToolError(NOT_SET_UP)
        if not takes_texts(call.caller) or call.caller == self._sender:
            raise ToolError(NO_NUMBER)
        if not words.strip() or len(words) > MAX_CHARACTERS:
            raise ToolError(TOO_LONG)
        # A tool may be given up at its deadline while the carrier works: what is asked for runs on, and is asked for once.
        texted = await asyncio.shield(self._once(self._carrier, call, words, taken_up))
        if texted.state == "unknown":
            raise ToolError(UNKNOWN)
        if texted.state == "refused":
            raise ToolError(WORDS.get(texted.code, NOT_NOW))

    def _once(self, carrier: TextCarrier, call: CallInfo, words: str, taken_up: bool) -> asyncio.Task[Texted]:
        """The one task of a text in a call. A refused one may be asked for again: nothing went out."""
        asked = self._asked.setdefault(call.call_sid, {})
        task = asked.get(words)
        if task is not None and not (task.done() and task.result().state == "refused"):
            return task
        tries = self._tries.get(call.call_sid, 0)
        if tries >= TRIES:
            raise ToolError(TOO_MANY)
        self._tries[call.call_sid] = tries + 1
        asked[words] = task = asyncio.create_task(
            self._send(carrier, call, words, taken_up, again=task is not None), name="text"
        )
        if len(self._asked) > REMEMBERED_CALLS:
            oldest = next(iter(self._asked))
            del self._asked[oldest]
            del self._tries[oldest]
        return task

    async def _send(self, carrier: TextCarrier, call: CallInfo, words: str, taken_up: bool, *, again: bool) -> Texted:
        """again: the carrier has refused it here, so that the claim is ours."""
        if self._book is not None and not again:
            claim = await self._book.claim(call.call_sid, words)
            if claim is None and taken_up:
                claim = Texted("unknown")
            if isinstance(claim, Texted):
                log.info("a text is not asked for", call_sid=call.call_sid, elsewhere=claim.state)
                return claim
        texted = await carrier.send_text(to=call.caller, sender=self._sender, body=words)
        name = f"text_{texted.state}" + (f"_{texted.code}" if texted.state == "refused" else "")
        self._put(Milestone(call_sid=call.call_sid, name=name, at=datetime.now(UTC)))
        if self._book is not None:
            settling = asyncio.create_task(self._book.settle(call.call_sid, words, texted), name="text settles")
            self._settling.add(settling)
            settling.add_done_callback(self._settling.discard)
        log.info("text", call_sid=call.call_sid, state=texted.state, code=texted.code)
        return texted


def takes_texts(number: str) -> bool:
    """Whether a number may be texted: a real one in E.164, no keypad word for a hidden one (+266696687), none that costs."""
    if not E164.fullmatch(number):
        return False
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(parsed) and phonenumbers.number_type(parsed) not in DEAR
