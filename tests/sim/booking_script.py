"""A short script for tests of the model stand-in: greeting, two tools in one response, an answer, keys."""

from typing import Any

from app.sim.script import Script, parse
from tests.sim.realtime_client import function

GREETING = "Thank you for calling. How can I help you today?"
SLOTS = {"slots": ["2026-12-01T10:30:00", "2026-12-01T11:00:00"]}


def script(*turns: dict[str, Any], number: str = "+14155550133") -> Script:
    data = {"title": "A call", "mode": "receptionist", "caller": {"number": number}, "turn": list(turns)}
    return parse(data | {"vars": {"day": "2026-12-01"}}, "test")


BOOKING = script(
    {"agent": GREETING},
    {"caller": "Anything on {{ day | weekday }}?", "preamble": "Let me look.", "tools": [
        {"name": "free_slots", "arguments": {"day": "{{ day }}"}, "save": "free"},
        {"name": "opening_hours", "agent_if_error": "I do not know our hours."},
    ], "agent": "I have {{ free.slots[0] | time }}."},
    {"caller": "Yes please.", "agent": "You are booked at {{ free.slots[0] | time }}."},
    {"keys": "42", "agent": "That is the answer."},
)  # fmt: skip
TOOLS = [function("free_slots"), function("opening_hours")]
