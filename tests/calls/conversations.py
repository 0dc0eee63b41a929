"""What callers and agents say in these tests: scripts of a few lines, all of it recorded."""

from app.sim.carrier_call import CarrierCall
from app.sim.script import Script
from app.sim.voices import say
from tests.calls.line import Line
from tests.calls.product import Product
from tests.sim.booking_script import script

GREETING = "Thank you for calling Lakeside Dental. This is the digital assistant. How can I help you today?"
HOURS = "What are your opening hours?"
OPEN = "We are open Monday to Friday, from eight o'clock to five o'clock."
PERSON = "Can I speak to someone in billing please?"
BYE = "No, that is all. Thank you, goodbye."
VOICE = "anna"

TALK: Script = script(
    {"agent": GREETING},
    {"caller": HOURS, "tools": [{"name": "opening_hours"}], "agent": OPEN},
    {
        "caller": PERSON,
        "preamble": "I will put you through to billing.",
        "tools": [{"name": "put_through", "arguments": {"desk": "billing", "reason": "asked for billing"}}],
    },
    {
        "caller": BYE,
        "preamble": "Thank you for calling. Goodbye.",
        "tools": [{"name": "end_call", "arguments": {"reason": "the caller said goodbye"}}],
    },
    {"agent": "I am sorry, nobody in billing is free right now. May I take a message?"},
)


def spoken(text: str) -> bytes:
    """The caller's sound of a line."""
    return say(text, VOICE)


async def talks(house: Product, number: str) -> tuple[CarrierCall, Line]:
    """A whole call: the caller asks one thing and says goodbye."""
    house.model.register(TALK, number=number)
    line = Line()
    call = await house.dial(line, number)
    await line.hears(1000)
    await line.hears_silence()
    line.say(spoken(HOURS))
    await line.hears_more(1500)
    await line.hears_silence()
    line.say(spoken(BYE))
    await call.finished()
    return call, line
