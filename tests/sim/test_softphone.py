"""The softphone on the line: the microphone, recorded sentences, keys, and a person at a desk who decides for themselves."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from datetime import date
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from app.sim import softphone_orders as orders
from app.sim.mic_buffer import MOST_FRAMES, START_FRAMES, MicBuffer
from app.sim.people import Pickup
from app.sim.playout import SILENCE
from app.sim.script import load, shipped
from app.sim.softphone import Softphone
from app.sim.softphone_server import Server
from app.sim.voices import say
from tests.sim.carrier_stage import CALLER, OURS, TOKEN, MediaEnd, Stage, stage

ACCOUNT = "AC" + "0" * 31 + "1"
DESK = "+14155550177"
WHISPER = (
    '<Response><Gather numDigits="1" finishOnKey="" timeout="8" action="/key" actionOnEmptyResult="true">'
    "<Say>Call from Baker.</Say><Say>Press 1 to take it.</Say></Gather></Response>"
)
DIAL = (
    '<Response><Dial action="/dialed" timeout="25" answerOnBridge="true">'
    f'<Number url="/whisper">{DESK}</Number></Dial></Response>'
)
DAY = date(2026, 11, 23)


class Page:
    """A page that remembers."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.frames: list[bytes] = []
        self._news = asyncio.Event()

    def audio(self, frame: bytes) -> None:
        self.frames.append(frame)
        self._news.set()

    def tell(self, kind: str, **what: Any) -> None:
        self.told.append({"kind": kind, **what})
        self._news.set()

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [told for told in self.told if told["kind"] == kind]

    async def until(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(15):
            while not check():
                self._news.clear()
                await self._news.wait()

    async def desk(self, state: str) -> None:
        """Wait until the desk's phone is in a state."""
        await self.until(lambda: bool(self.of("desk")) and self.of("desk")[-1]["state"] == state)


@pytest_asyncio.fixture
async def it() -> AsyncIterator[Stage]:
    async with stage() as made:
        yield made


@pytest.fixture
def page() -> Page:
    return Page()


@pytest_asyncio.fixture
async def phone(it: Stage, page: Page) -> AsyncIterator[Softphone]:
    server = Server(
        url=it.base, public_url=it.public_url, auth_token=TOKEN, account_sid=ACCOUNT, desks={DESK: "billing"}
    )
    made = Softphone(server, page, verb_speed=20)
    yield made
    await made.close()


async def dialled(it: Stage, phone: Softphone, twiml: str, **more: Any) -> None:
    it.answers["/twilio/incoming"] = twiml
    await phone.dial(caller=CALLER, dialled=OURS, today=DAY, **more)


# --- the microphone -----------------------------------------------------------------------------------------------------


def frames(count: int) -> list[bytes]:
    return [bytes([n]) * 160 for n in range(count)]


def test_a_microphone_is_kept_back_a_little_and_then_passes_frame_by_frame() -> None:
    mic, spoken = MicBuffer(), frames(START_FRAMES + 2)
    for frame in spoken[: START_FRAMES - 1]:
        mic.add(frame)
    assert mic.next() == SILENCE
    for frame in spoken[START_FRAMES - 1 :]:
        mic.add(frame)
    assert [mic.next() for _ in spoken] == spoken
    assert (mic.underruns, mic.dropped) == (0, 0)


def test_a_microphone_that_ran_dry_is_silence_counted_once_and_is_kept_back_anew() -> None:
    mic = MicBuffer()
    for frame in frames(START_FRAMES):
        mic.add(frame)
    for _ in range(START_FRAMES):
        mic.next()
    assert [mic.next(), mic.next()] == [SILENCE, SILENCE]
    mic.add(frames(1)[0])
    assert mic.next() == SILENCE
    assert mic.underruns == 1


def test_of_a_burst_only_the_newest_frames_are_kept() -> None:
    mic, spoken = MicBuffer(), frames(MOST_FRAMES + 1)
    for frame in spoken:
        mic.add(frame)
    assert [mic.next() for _ in range(START_FRAMES)] == spoken[-START_FRAMES:]
    assert mic.dropped == MOST_FRAMES + 1 - START_FRAMES


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 160 bytes of mu-law, 20 ms, got 3"):
        MicBuffer().add(b"abc")


# --- the line -----------------------------------------------------------------------------------------------------------


async def test_the_call_comes_by_the_signed_door_with_the_mode_that_was_chosen(
    it: Stage, phone: Softphone, page: Page
) -> None:
    await dialled(it, phone, "<Response><Say>Good morning.</Say></Response>", mode="receptionist")
    await phone.ended.wait()
    (asked,) = it.to("/twilio/incoming")
    assert asked.signed
    assert (asked.fields["From"], asked.fields["To"]) == (CALLER, OURS)
    assert page.of("says") == [{"kind": "says", "who": "carrier", "text": "Good morning."}]
    assert page.told[-1]["kind"] == "ended"
    assert (page.told[-1]["by"], page.told[-1]["status"]) == ("server", "completed")


async def test_microphone_keys_and_recorded_sentences_go_up_and_what_comes_down_is_heard(
    it: Stage, phone: Softphone, page: Page
) -> None:
    tone = bytes(range(160))

    async def agent(end: MediaEnd) -> None:
        await end.audio(tone * 5)
        await end.next("dtmf")
        await end.drained()

    it.phone = agent
    await dialled(it, phone, it.connect())
    await page.until(lambda: page.frames.count(tone) == 5)
    spoken = frames(5)
    for frame in spoken:
        phone.hear(frame)
    phone.obey(orders.Press("7"))
    phone.obey(orders.Say("Yes please.", "ben"))
    await page.until(lambda: bool(page.of("key")))
    heard = len(page.frames)
    await page.until(lambda: len(page.frames) > heard + 60)
    phone.obey(orders.HangUp())
    await phone.ended.wait()

    up = [base64.b64decode(message["media"]["payload"]) for message in it.phones[0].of("media")]
    assert b"".join(up).find(say("Yes please.", "ben")) >= 0
    assert [message["dtmf"]["digit"] for message in it.phones[0].of("dtmf")] == ["7"]
    assert page.of("stream") == [{"kind": "stream", "live": True}, {"kind": "stream", "live": False}]
    assert page.told[-1]["by"] == "caller"


async def test_what_cannot_be_done_is_said_and_changes_nothing(it: Stage, phone: Softphone, page: Page) -> None:
    await dialled(it, phone, '<Response><Pause length="60"/></Response>')
    for order in (
        orders.Press("x"),
        orders.Press(""),
        orders.Press("1" * 33),
        orders.Say("A sentence that nobody ever recorded."),
        orders.Say("Hello.", "nobody"),
        orders.Answer("busy"),
        orders.DeskPresses("1"),
        orders.DeskHangsUp(),
    ):
        phone.obey(order)
    whys = [told["why"] for told in page.of("refused")]
    assert len(whys) == 8
    assert "keys of 0-9" in whys[0]
    assert "nobody recorded" in whys[3]
    assert not phone.ended.is_set()


async def test_a_recorded_caller_talks_by_themselves(it: Stage, phone: Softphone, page: Page) -> None:
    async def agent(end: MediaEnd) -> None:
        await end.audio(say("Hello, how can I help you?", "agent"))
        await end.drained()

    it.phone = agent
    await dialled(it, phone, it.connect(), script=load(shipped()["human"]))
    await page.until(lambda: bool(page.of("says")))
    assert page.of("says")[0]["who"] == "you"


async def test_keys_that_the_line_waits_for_are_asked_for_and_shown(it: Stage, phone: Softphone, page: Page) -> None:
    it.answers["/menu"] = "<Response/>"
    await dialled(it, phone, '<Response><Gather numDigits="1" action="/menu"><Say>Press 3.</Say></Gather></Response>')
    await page.until(lambda: bool(page.of("keys")))
    phone.obey(orders.Press("3"))
    await phone.ended.wait()
    assert page.of("keys") == [{"kind": "keys", "wanted": True}, {"kind": "keys", "wanted": False, "pressed": "3"}]
    assert it.to("/menu")[0].fields["Digits"] == "3"


# --- a person at a desk ---------------------------------------------------------------------------------------------------


async def rings(it: Stage, phone: Softphone, page: Page, *, joins: bool = False) -> None:
    it.answers["/whisper"] = WHISPER
    it.answers["/key"] = "<Response/>" if joins else "<Response><Hangup/></Response>"
    it.answers["/dialed"] = "<Response><Say>Back again.</Say></Response>"
    await dialled(it, phone, DIAL)
    await page.desk("rings")


async def test_a_person_answers_hears_the_whisper_takes_the_call_and_hangs_up_when_they_like(
    it: Stage, phone: Softphone, page: Page
) -> None:
    await rings(it, phone, page, joins=True)
    assert page.of("desk")[-1] == {
        "kind": "desk", "state": "rings", "number": DESK, "desk": "billing", "seconds": 30.0,
    }  # fmt: skip
    phone.obey(orders.Answer("answered"))
    await page.desk("whisper")
    await page.until(lambda: len(page.of("says")) == 2)
    assert [(said["who"], said["text"]) for said in page.of("says")] == [
        ("whisper", "Call from Baker."),
        ("whisper", "Press 1 to take it."),
    ]
    phone.obey(orders.DeskPresses("1"))
    await page.desk("talks")
    assert it.to("/key")[0].fields["Digits"] == "1"
    assert page.of("keys") == []  # they were the person's, not the caller's
    phone.obey(orders.DeskHangsUp())
    await phone.ended.wait()
    (dialed,) = it.to("/dialed")
    assert (dialed.fields["DialCallStatus"], dialed.fields["DialBridged"]) == ("completed", "true")
    assert [told["state"] for told in page.of("desk")] == ["rings", "whisper", "talks", "gone", "gone"]


@pytest.mark.parametrize(("how", "status"), [("busy", "busy"), ("no-answer", "no-answer")])
async def test_a_person_who_does_not_pick_up_sends_the_caller_back(
    it: Stage, phone: Softphone, page: Page, how: Pickup, status: str
) -> None:
    await rings(it, phone, page)
    phone.obey(orders.Answer(how))
    await phone.ended.wait()
    assert it.to("/dialed")[0].fields["DialCallStatus"] == status
    assert it.to("/whisper") == []
    assert page.of("says")[-1]["text"] == "Back again."


@pytest.mark.parametrize(
    ("reaction", "status"),
    [(orders.DeskPresses("2"), "no-answer"), (orders.DeskHangsUp(), "no-answer"), (None, "completed")],
)
async def test_a_person_who_declines_in_the_whisper_is_told_from_a_machine(
    it: Stage, phone: Softphone, page: Page, reaction: orders.Order | None, status: str
) -> None:
    await rings(it, phone, page)
    phone.obey(orders.Answer("answered"))
    await page.until(lambda: len(page.of("says")) == 2)
    if reaction is not None:
        phone.obey(reaction)
    await phone.ended.wait()
    (dialed,) = it.to("/dialed")
    assert (dialed.fields["DialCallStatus"], dialed.fields["DialBridged"]) == (status, "false")


async def test_a_caller_who_gives_up_while_it_rings_stops_the_ringing(it: Stage, phone: Softphone, page: Page) -> None:
    await rings(it, phone, page)
    phone.obey(orders.HangUp())
    await phone.ended.wait()
    assert page.of("desk")[-1]["state"] == "gone"
    phone.obey(orders.Answer("answered"))
    assert page.told[-1] == {"kind": "refused", "why": "no desk's phone rings"}


async def test_a_person_who_is_joined_hears_what_the_recorded_caller_says(
    it: Stage, phone: Softphone, page: Page
) -> None:
    await rings(it, phone, page, joins=True)
    phone.obey(orders.Answer("answered"))
    await page.until(lambda: len(page.of("says")) == 2)
    assert page.frames == []
    phone.obey(orders.DeskPresses("1"))
    await page.desk("talks")
    for frame in frames(START_FRAMES):
        phone.hear(frame)
    phone.obey(orders.Say("Yes please.", "ben"))
    words = say("Yes please.", "ben")
    await page.until(lambda: words in b"".join(page.frames))
    assert not set(frames(START_FRAMES)) & set(page.frames)  # one's own voice would be an echo
    phone.obey(orders.DeskHangsUp())
    await phone.ended.wait()
    heard = len(page.frames)
    phone.obey(orders.Say("Yes please.", "ben"))
    await asyncio.sleep(0)
    assert len(page.frames) == heard


async def test_a_caller_who_hangs_up_leaves_the_person(it: Stage, phone: Softphone, page: Page) -> None:
    await rings(it, phone, page, joins=True)
    phone.obey(orders.Answer("answered"))
    await page.desk("whisper")
    await page.until(lambda: len(page.of("says")) == 2)
    phone.obey(orders.DeskPresses("1"))
    await page.desk("talks")
    await phone.close()
    assert page.told[-1]["by"] == "caller"
    phone.obey(orders.DeskHangsUp())
    assert page.told[-1] == {"kind": "refused", "why": "nobody at a desk is on the phone"}


# --- orders ---------------------------------------------------------------------------------------------------------------


def test_orders_are_read_from_json_and_anything_else_is_refused() -> None:
    assert orders.read('{"do": "press", "keys": "12#"}') == orders.Press("12#")
    assert orders.read('{"do": "desk-answers", "how": "busy"}') == orders.Answer("busy")
    for text in (
        "",
        "[]",
        '{"do": "fly"}',
        '{"do": "press"}',
        '{"do": "press", "keys": "1", "more": 1}',
        '{"do": "desk-answers", "how": "perhaps"}',
        '{"do": "say", "text": "' + "x" * 401 + '"}',
    ):
        with pytest.raises(msgspec.DecodeError):
            orders.read(text)
