"""Talks of the listening stand-in: what it asks, in which order, and which tools it calls with what it was told.

A talk is a generator. It yields an `Ask` (says something; gets what the caller meant) or a `Use` (calls a tool; gets its answer,
an object with "error" if it was refused), and returns its last words. Tools are named as the shipped modes name them.
"""

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from app.rules.office import WEEKDAYS
from app.sim.listening import LETTER, Heard
from app.sim.script_words import resolve_day, spell, spoken_time

ANYTHING_ELSE = "Is there anything else?"
NOT_WORKED = "I am sorry, that did not work."
DONE = "All right. Is there anything else?"
HOURS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
         "eleven": 11, "twelve": 12}  # fmt: skip
MINUTES = {"": 0, "o'clock": 0, "fifteen": 15, "thirty": 30, "forty five": 45}
DIGITS = {word: str(number) for number, word in enumerate(
    ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))}  # fmt: skip


class Ask(msgspec.Struct, frozen=True):
    """Say this and wait for the caller. `wants`: names of wishes that answer it."""

    says: str
    wants: frozenset[str]


class Use(msgspec.Struct, frozen=True):
    """Call a tool, and say something with it."""

    tool: str
    arguments: dict[str, Any]
    says: str = ""


class Scene(msgspec.Struct, frozen=True):
    """What a talk may know: the tools on offer, the day, and the prompt."""

    tools: Mapping[str, Mapping[str, Any]]
    today: date
    prompt: str

    def desk(self, wanted: str = "") -> str:
        """A desk of the prompt's list; the first, if none is wanted or there is no such one."""
        listed = re.search(r"Desks: (.+)", self.prompt)
        names = re.findall(r"([\w-]+) \(", listed[1]) if listed else []
        return wanted if wanted in names or not names else names[0]


Talk = Generator[Ask | Use, Any, str]
Start = Callable[[Heard, Scene], Talk]


def ask(says: str, *wants: str) -> Ask:
    """A question, and the wishes that answer it."""
    return Ask(says, frozenset(wants))


def refused(answer: Any) -> bool:
    """Whether a tool would not have it."""
    return isinstance(answer, dict) and "error" in answer


def book(heard: Heard, scene: Scene) -> Talk:
    """Find a free time, the name and the reason, and book."""
    reason = heard.slots.get("reason", "")
    start = yield from _free_time(heard, scene)
    if not start:
        return DONE
    name = yield from _name(scene)
    if not name:
        return f"{NOT_WORKED} {ANYTHING_ELSE}"
    if not reason:
        told: Heard = yield ask("What is the visit for?", "reason", "no", "yes")
        reason = told.slots.get("reason", "not said")
    arguments = {"name": name, "start": start, "reason": reason}
    booked = yield Use("book_appointment", arguments, "One moment please.")
    if refused(booked):
        return "That time is taken. Would another day suit you?" if "taken" in str(booked) else NOT_WORKED
    done = f"You are booked for {_day_name(start)} at {spoken_time(start)}."
    if "text_confirmation" not in scene.tools:
        return f"{done} {ANYTHING_ELSE}"
    told = yield ask(f"{done} Shall I text you a confirmation?", "yes", "no")
    if told.wish != "yes":
        return DONE
    sent = yield Use("text_confirmation", {}, "One moment please.")
    return f"{NOT_WORKED} {ANYTHING_ELSE}" if refused(sent) else f"I have sent you a text. {ANYTHING_ELSE}"


def cancel(_: Heard, scene: Scene) -> Talk:
    """Give an appointment back: its day, time and name; the house has the caller asked once more."""
    told: Heard = yield ask("What day was it?", "day")
    day = on_day(told, scene.today)
    told = yield ask("What time was it?", "time")
    start = f"{day.isoformat()}T{_clock(told.slots)}"
    name = yield from _name(scene)
    arguments = {"name": name, "start": start}
    answer = yield Use("cancel_appointment", arguments)
    if refused(answer) and "no " not in str(answer).lower()[:60]:
        told = yield ask(
            f"Your appointment is on {_day_name(start)}, at {spoken_time(start)}. Is that right?", "yes", "no"
        )
        if told.wish != "yes":
            return DONE
        answer = yield Use("cancel_appointment", arguments)
    if refused(answer):
        return f"I could not find that appointment. {ANYTHING_ELSE}"
    return f"Your appointment is cancelled. {ANYTHING_ELSE}"


def message(heard: Heard, scene: Scene) -> Talk:
    """Write a message down: of all that a caller may want to say, only that they want to be called back is understood."""
    if heard.wish == "message":
        heard = yield ask("What is the message?", "ring_back")
    text = f"{heard.text[:1].upper()}{heard.text[1:]}."
    name = yield from _name(scene)
    if not name:
        return f"{NOT_WORKED} {ANYTHING_ELSE}"
    saved = yield Use("take_message", {"name": name, "message": text}, "One moment please.")
    if refused(saved):
        return f"{NOT_WORKED} {ANYTHING_ELSE}"
    return f"I have written that down. Somebody will call you back. {ANYTHING_ELSE}"


def hours(_: Heard, scene: Scene) -> Talk:
    """Tell when the office is open."""
    answer = yield Use("opening_hours", {})
    week = answer.get("hours", answer) if isinstance(answer, dict) else {}
    days = {day: week[day] for day in WEEKDAYS if isinstance(week.get(day), str)}
    if refused(answer) or not days:
        return f"{NOT_WORKED} {ANYTHING_ELSE}"
    if list(days) == list(WEEKDAYS[:5]) and len(set(days.values())) == 1:
        return f"We are open Monday to Friday, from {_span(days['monday'])}. {ANYTHING_ELSE}"
    each = ", ".join(f"{day.capitalize()}, from, {_span(span)}" for day, span in days.items())
    return f"We are open, {each}. {ANYTHING_ELSE}"


def person(heard: Heard, scene: Scene) -> Talk:
    """Put the caller through."""
    billing = heard.wish == "billing"
    desk = scene.desk("billing" if billing else "")
    if not desk:
        return f"Nobody is free right now. {ANYTHING_ELSE}"
    says = (
        "Of course. I will put you through to billing."
        if desk == "billing"
        else "Of course. I will put you through now."
    )
    answer = yield Use("put_through", {"desk": desk, "reason": "asked for a person"}, says)
    return f"Nobody is free right now. {ANYTHING_ELSE}" if refused(answer) else "I will put you through now."


def goodbye(_: Heard, scene: Scene) -> Talk:
    """Say goodbye and hang up."""
    if "end_call" in scene.tools:
        yield Use("end_call", {"reason": "the caller said goodbye"}, "Thank you for calling. Goodbye.")
    return "Goodbye."


def _free_time(heard: Heard, scene: Scene) -> Generator[Ask | Use, Any, str]:
    """A free time that the caller took, as `free_slots` writes it; empty if they want none."""
    while True:
        while "day" not in heard.slots:
            if heard.wish == "no":
                return ""
            heard = yield ask("Of course. What day would suit you?", "day", "no")
        day = on_day(heard, scene.today)
        answer = yield Use("free_slots", {"day": day.isoformat()}, "Let me have a look.")
        free: Sequence[str] = [] if refused(answer) else answer.get("slots", [])
        at = 0
        while at < len(free):
            offer = f"On {_day_name(free[at])} I have {spoken_time(free[at])}. Shall I book that for you?"
            heard = yield ask(offer, "yes", "no", "other", "time", "day")
            match heard.wish:
                case "yes":
                    return str(free[at])
                case "time":
                    at = _fitting(free, heard.slots, at)
                case "other":
                    at += 4
                case _:
                    break
        else:
            heard = yield ask("I have nothing free on that day. Would another day suit you?", "day", "yes", "no")
        if heard.wish == "no" and "day" not in heard.slots:
            heard = yield ask("Would another day suit you?", "day", "yes", "no")


def _fitting(free: Sequence[str], slots: Mapping[str, str], at: int) -> int:
    """The free time that was asked for; if it is none, the next one after the one offered."""
    if "hour" in slots:
        wanted = _clock(slots)
        return next((n for n, start in enumerate(free) if start[11:16] == wanted), at + 1)
    afternoon = slots.get("part") == "in the afternoon"
    return next((n for n, start in enumerate(free) if (int(start[11:13]) >= 12) == afternoon), at + 1)


def _name(scene: Scene) -> Generator[Ask | Use, Any, str]:
    """The caller's name, spelled and confirmed, or known; empty after three that were wrong."""
    heard: Heard = yield ask("May I have your last name?", "name")
    for _ in range(3):
        name = _spelled(heard)
        if not name:
            said = heard.slots.get("name", "").capitalize()
            if said and "known_name" in scene.tools:
                known = yield Use("known_name", {"name": said}, "Thank you.")
                if not refused(known) and known.get("known"):
                    return str(known["name"])
            heard = yield ask("Please spell it for me.", "name")
            name = _spelled(heard) or heard.slots.get("name", said).capitalize()
        heard = yield ask(f"{spell(name)}. Is that right?", "yes", "no")
        if heard.wish == "yes":
            return name
        heard = yield ask("I am sorry. Please spell it for me.", "name")
    return ""


def _spelled(heard: Heard) -> str:
    """A name that was spelled; empty if it was not."""
    letters = heard.slots.get("spelled", "").replace(LETTER, "").replace(" ", "")
    return letters.capitalize()


def on_day(heard: Heard, today: date) -> date:
    """The day that a caller named: the next one of that name."""
    word = heard.slots["day"]
    return date.fromisoformat(resolve_day(word if word in ("today", "tomorrow") else f"next {word}", today))


def digits(heard: Heard) -> str:
    """Digits that were said, in a row."""
    return "".join(DIGITS[word] for word in heard.slots.get("digit", "").split())


def _clock(slots: Mapping[str, str]) -> str:
    """A time of day as it is meant at an office: one to six are in the afternoon."""
    hour = HOURS[slots.get("hour", "twelve")]
    return f"{hour + 12 if hour < 7 else hour:02}:{MINUTES[slots.get('minute', '')]:02}"


def _day_name(start: str) -> str:
    return WEEKDAYS[datetime.fromisoformat(start).weekday()].capitalize()


def _span(hours: str) -> str:
    opens, _, closes = hours.partition(" to ")
    return f"{spoken_time(opens)} to {spoken_time(closes)}" if closes else "noon"


TALKS: dict[str, Start] = {
    "book": book, "day": book, "cancel": cancel, "message": message, "ring_back": message, "hours": hours, "person": person,
    "billing": person, "goodbye": goodbye,
}  # fmt: skip
"""By the wish that begins it."""
