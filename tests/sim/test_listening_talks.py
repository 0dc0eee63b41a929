"""A model stand-in that listens: whole talks without a script over recorded callers' audio, and what it does not understand."""

import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.sim import voices
from app.sim.hearing_worker import Hearing
from app.sim.script import Script, load, shipped
from tests.sim.realtime_client import SILENCE, Client, Event, flat, ga, serving, session

PROMPT = (
    "You answer the phone at Lakeside Dental. Today is Saturday, 2026-11-21.\n"
    "- A person: `put_through`. Desks: reception (anything else), billing (invoices and payments)."
)
TUESDAY = "2026-11-24"


def tool(name: str, **parameters: Any) -> Event:
    schema = {"type": "object", "properties": {}, **parameters}
    return {"type": "function", "name": name, "description": "A tool.", "parameters": schema}


RECEPTION = [
    tool(name)
    for name in (
        "put_through", "opening_hours", "free_slots", "known_name", "book_appointment", "text_confirmation",
        "cancel_appointment", "take_message", "end_call",
    )
]  # fmt: skip
MENU = [
    tool("put_through"),
    tool("opening_hours"),
    tool("choose", properties={"intent": {"type": "string", "enum": ["opening hours", "invoices and payments"]}}),
    tool("end_call"),
]
SERVICE = [tool(name) for name in ("put_through", "identify", "order_status", "return_item", "end_call")]
ANSWERS: dict[str, Any] = {
    "free_slots": {"day": TUESDAY, "slots": [f"{TUESDAY}T10:30", f"{TUESDAY}T11:00"]},
    "known_name": {"known": False, "next": "Have the name spelled."},
    "opening_hours": {"open_now": True, "hours": dict.fromkeys(
        ["monday", "tuesday", "wednesday", "thursday", "friday"], "08:00 to 17:00")},
    "order_status": {"order": "40342", "expected": "2026-11-24"},
}  # fmt: skip


class Talker:
    """A caller and the house in one: says lines, answers tools, and keeps what the agent said and called."""

    def __init__(self, client: Client, voice: str) -> None:
        self.client, self.voice = client, voice
        self.called: list[tuple[str, Any]] = []

    async def begins(self, tools: list[Event], dialect: str = "ga", prompt: str = PROMPT) -> str:
        answer = await self.client.configure((ga if dialect == "ga" else flat)(prompt, tools=tools))
        assert answer["type"] == "session.updated", answer
        await self.client.tell("(A caller is on the line. Greet them.)")
        await self.client.send("response.create")
        return await self.answer()

    async def says(self, line: str) -> str:
        return await self.sounds(voices.say(line, self.voice))

    async def sounds(self, audio: bytes) -> str:
        await self.client.hear(SILENCE * 20 + audio + SILENCE * 40)
        return await self.answer()

    async def answer(self) -> str:
        """All that the agent says until it has nothing more to do."""
        said = []
        while True:
            response = (await self.client.until("response.done"))["response"]
            assert response["status"] == "completed", response["status_details"]
            for item in response["output"]:
                if item["type"] == "message":
                    said.append(item["content"][0]["transcript"])
            calls = [item for item in response["output"] if item["type"] == "function_call"]
            self.called += [(call["name"], json.loads(call["arguments"])) for call in calls]
            if not calls or calls[0]["name"] in ("put_through", "end_call"):
                return " ".join(said)
            for call in calls:
                await self.client.give(call, ANSWERS.get(call["name"], {"ok": True}))
            await self.client.send("response.create")


@pytest.fixture
async def hearing() -> AsyncIterator[Hearing]:
    hearing = Hearing()
    yield hearing
    await hearing.close()


@pytest.mark.parametrize("dialect", ["ga", "flat"])
async def test_a_caller_without_a_script_books_an_appointment(hearing: Hearing, dialect: str) -> None:
    async with serving(voices=voices, dialect=dialect, hearing=hearing) as (server, url), session(url) as client:
        caller = Talker(client, "carl")
        assert "How can I help you today?" in await caller.begins(RECEPTION, dialect)
        assert await caller.says("I would like to leave a message.") == "What is the message?"
        assert "What day would suit you?" in await caller.says("I have a toothache.")
        heard = await caller.says("Do you have anything on Tuesday?")
        assert heard == "Let me have a look. On Tuesday I have ten thirty. Shall I book that for you?"
        assert await caller.says("That is too late.") == (
            "I have nothing free on that day. Would another day suit you?"
        )
        assert "ten thirty" in await caller.says("What about Tuesday?")
        assert await caller.says("Yes please.") == "May I have your last name?"
        assert "Please spell it for me." in await caller.says("My name is Parker.")
        assert await caller.says("P, A, R, K, E, R.") == "P, A, R, K, E, R. Is that right?"
        assert "You are booked for Tuesday at ten thirty." in await caller.says("Yes, that is right.")
        assert "I have sent you a text." in await caller.says("Yes please.")
        assert await caller.says("No, that is all. Thank you, goodbye.") == "Thank you for calling. Goodbye."
        booked = {"name": "Parker", "start": f"{TUESDAY}T10:30", "reason": "toothache"}
        assert caller.called == [
            ("free_slots", {"day": TUESDAY}),
            ("free_slots", {"day": TUESDAY}),
            ("known_name", {"name": "Parker"}),
            ("book_appointment", booked),
            ("text_confirmation", {}),
            ("end_call", {"reason": "the caller said goodbye"}),
        ]
        assert next(note for note in server.sessions[0].log if note["type"] == "heard")["text"] == (
            "i would like to leave a message"
        )


async def test_a_menu_is_told_what_the_caller_wants(hearing: Hearing) -> None:
    async with serving(voices=voices, hearing=hearing) as (_, url), session(url) as client:
        caller = Talker(client, "anna")
        await caller.begins(MENU)
        answer = await caller.says("What are your opening hours?")
        assert answer == "We are open Monday to Friday, from eight o'clock to five o'clock. Is there anything else?"
        asked = await caller.says("I have a question about my invoice.")
        assert asked == "Is it about an account, or for somebody in billing?"
        assert caller.called == [
            ("choose", {"intent": "opening hours", "confidence": 0.9}),
            ("opening_hours", {}),
            ("choose", {"intent": "invoices and payments", "confidence": 0.9}),
        ]


async def test_a_customer_is_identified_by_digits_that_are_read_back(hearing: Hearing) -> None:
    async with serving(voices=voices, hearing=hearing) as (_, url), session(url) as client:
        caller = Talker(client, "ben")
        await caller.begins(SERVICE)
        assert "phone number on your account" in await caller.says("I would like to return something.")
        assert (
            await caller.says("It is 4, 1, 5, 5, 5, 5, 0, 1, 8, 2.") == "4, 1, 5, 5, 5, 5, 0, 1, 8, 2. Is that right?"
        )
        assert "What is the order number?" in await caller.says("Yes, that is right. Please.")
        assert await caller.says("4, 0, 3, 4, 2.") == "4, 0, 3, 4, 2. Is that right?"
        assert "Which article is it?" in await caller.says("Yes please.")
        assert caller.called[0] == ("identify", {"phone": "4155550182", "order_number": "40342"})


async def test_a_caller_is_put_through_to_a_desk_that_the_prompt_names(hearing: Hearing) -> None:
    async with serving(voices=voices, hearing=hearing) as (_, url), session(url) as client:
        caller = Talker(client, "anna")
        await caller.begins(RECEPTION)
        await caller.says("Can I speak to someone in billing please?")
        assert caller.called == [("put_through", {"desk": "billing", "reason": "asked for a person"})]


async def test_only_a_tool_on_offer_is_called(hearing: Hearing) -> None:
    async with serving(voices=voices, hearing=hearing) as (_, url), session(url) as client:
        caller = Talker(client, "anna")
        await caller.begins([tool("put_through"), tool("take_message")])
        assert "leave a message" in await caller.says("Where is my order?")
        assert caller.called == []


async def test_noise_and_unknown_words_are_not_understood_and_it_says_what_is(hearing: Hearing) -> None:
    async with serving(voices=voices, hearing=hearing) as (_, url), session(url) as client:
        caller = Talker(client, "anna")
        await caller.begins(RECEPTION)
        wanted = "I am sorry, I did not catch that. You can ask for a person. You can ask for our opening hours."
        assert await caller.sounds(bytes([0x30, 0xB0, 0x22, 0xA1]) * 2000) == wanted
        unknown = voices.say("Is it about an account, or for somebody in billing?", "agent")
        assert await caller.sounds(unknown) == wanted
        assert caller.called == []


async def test_a_mode_it_does_not_know_is_greeted_and_its_tools_are_offered_by_name(hearing: Hearing) -> None:
    async with serving(voices=voices, hearing=hearing) as (_, url), session(url) as client:
        caller = Talker(client, "anna")
        needs = {"type": "object", "properties": {"name": {}}, "required": ["name"]}
        tools = [tool("how_much_does_it_cost"), tool("today_from_two"), tool("where_are_you", **needs)]
        assert await caller.begins(tools, prompt="A shop.") == (
            "Hello. This is the digital assistant. How can I help you today?"
        )
        answer = await caller.says("I would like to leave a message.")
        assert "I understand only a few sentences. You can ask for, H, O, W," in answer
        assert "You can ask for, today, from, two." in answer
        assert await caller.says("How much does it cost?") == "One moment please. All right. Is there anything else?"
        assert await caller.says("Where are you?") == "I cannot do that without a script."
        assert caller.called == [("how_much_does_it_cost", {})]


async def test_a_caller_of_a_script_is_heard_by_the_script_alone(hearing: Hearing) -> None:
    script: Script = load(shipped()["booking"])
    async with serving(voices=voices, scripts=[script], hearing=hearing) as (_, url), session(url) as client:
        caller = Talker(client, script.caller.voice)
        await caller.begins(RECEPTION, prompt=f"The caller's number is {script.caller.number}. {PROMPT}")
        assert await caller.says("What are your opening hours?") == "I am sorry, I did not catch that."


async def test_without_a_recogniser_it_answers_as_it_does_without_ears() -> None:
    script: Script = load(shipped()["booking"])
    hearing = Hearing((sys.executable, "-c", NO_RECOGNISER))
    async with serving(voices=voices, scripts=[script], hearing=hearing) as (_, url), session(url) as client:
        caller = Talker(client, script.caller.voice)
        await caller.begins(RECEPTION)
        assert "What day would suit you?" in await caller.says("Hi, I would like to book an appointment please.")
        assert not hearing.available


async def test_a_recogniser_that_died_is_started_again(hearing: Hearing) -> None:
    async with serving(voices=voices, hearing=hearing) as (_, url), session(url) as client:
        caller = Talker(client, "anna")
        await caller.begins(RECEPTION)
        assert await hearing.wake()
        await hearing.close()  # as if it had died
        await caller.says("I would like to leave a message.")
        assert await caller.says("I would like to leave a message.") == "What is the message?"


NO_RECOGNISER = """
import sys
sys.modules["pocketsphinx"] = None
from app.sim.recogniser import main
main(sys.stdin.buffer, sys.stdout.buffer)
"""
