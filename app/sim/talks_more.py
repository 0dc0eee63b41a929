"""More talks of the listening stand-in: a menu's choices, and customer service as the mode csr has it."""

from collections.abc import Generator
from typing import Any

from app.sim.listening import Heard, book
from app.sim.script_words import spell, spoken_weekday
from app.sim.talks import ANYTHING_ELSE, NOT_WORKED, TALKS, Ask, Scene, Start, Talk, Use, ask, digits, hours, refused

AFTER = {
    "invoice": "Is it about an account, or for somebody in billing?",
    "ring_back": "Please enter your number, then press pound.",
    "billing": "I will put you through to billing.",
    "person": "I will put you through now.",
    "again": "How can I help you?",
}
"""What is said once a menu took the choice."""


def intents(scene: Scene) -> list[str]:
    """What a menu's `choose` takes just now."""
    properties = scene.tools.get("choose", {}).get("properties", {})
    return list(properties.get("intent", {}).get("enum", []))


def choose(heard: Heard, scene: Scene) -> Talk:
    """Tell a menu what the caller wants."""
    answer = yield Use("choose", {"intent": book().intents[heard.wish], "confidence": 0.9})
    if refused(answer):
        return "That is not one of the choices. How can I help you?"
    if heard.wish == "hours":
        return (yield from hours(heard, scene))
    return AFTER.get(heard.wish, "How can I help you?")


def changed(_: Heard, scene: Scene) -> Talk:
    """The caller takes back what was chosen in a menu."""
    if "correct" in scene.tools:
        yield Use("correct", {"what": "the caller changed their mind"})
    return "Of course. How can I help you?"


def order(_: Heard, scene: Scene) -> Talk:
    """Where an order is."""
    number, answer = yield from _order()
    if not answer:
        return f"{NOT_WORKED if number else 'That does not match.'} {ANYTHING_ELSE}"
    if expected := answer.get("expected"):
        return f"Your order is on its way. It should arrive on {spoken_weekday(expected)}. {ANYTHING_ELSE}"
    return f"I cannot check that by phone. {ANYTHING_ELSE}"


def give_back(heard: Heard, scene: Scene) -> Talk:
    """Return an article; the house has the caller asked once more."""
    number, answer = yield from _order()
    if not answer:
        return f"{NOT_WORKED if number else 'That does not match.'} {ANYTHING_ELSE}"
    while "article" not in heard.slots:
        heard = yield ask("Which article is it?", "return")
    wanted = heard.slots["article"]
    line = next((row["line"] for row in answer.get("articles", []) if wanted.rstrip("s") in _name(row)), 0)
    if not line:
        return f"That does not match. {ANYTHING_ELSE}"
    arguments = {"order_number": number, "line": line, "reason": "other"}
    told = yield Use("return_item", arguments)
    if refused(told):
        agreed = yield ask(f"You would like to return the {wanted}. Is that right?", "yes", "no")
        if agreed.wish != "yes":
            return f"I have returned nothing. {ANYTHING_ELSE}"
        told = yield Use("return_item", arguments, "One moment please.")
    return f"{NOT_WORKED} {ANYTHING_ELSE}" if refused(told) else f"Your return is set up. {ANYTHING_ELSE}"


def _name(row: Any) -> str:
    return str(row.get("article", "")).lower()


def _order() -> Generator[Ask | Use, Any, tuple[str, dict[str, Any]]]:
    """Find out who calls and look their order up: its number, empty for a stranger, and what is known of it, if that can be had."""
    number = yield from _identified()
    if not number:
        return "", {}
    answer = yield Use("order_status", {"order_number": number}, "Let me have a look.")
    return number, {} if refused(answer) else answer


def _identified() -> Talk:
    """Find out who calls, by telephone number and order number; the order's number, or empty."""
    phone = yield from _number("Of course. What is the phone number on your account?")
    number = yield from _number("Thank you. What is the order number?")
    answer = yield Use("identify", {"phone": phone, "order_number": number})
    return "" if refused(answer) else number


def _number(question: str) -> Talk:
    """Digits, read back until they are right: of ten in a row one is often misheard."""
    told: Heard = yield ask(question, "number")
    while True:
        number = digits(told)
        told = yield ask(f"{spell(number)}. Is that right?", "yes", "no")
        if told.wish == "yes":
            return number
        told = yield ask("I am sorry. Could you say that again please?", "number")


MORE: dict[str, Start] = {**TALKS, "changed": changed, "order": order, "return": give_back}
"""By the wish that begins it, with those of the front desk."""
