"""A whole call while Postgres stands still: the caller notices nothing, the books lose nothing, the log tells no words."""

import re

from tests.adapters.pg_trouble import hung
from tests.calls.conversations import BYE, GREETING, HOURS, OPEN, TALK, spoken
from tests.calls.foreign import TOKEN
from tests.calls.line import Line
from tests.calls.product import METRICS_TOKEN, PASSWORD, form, new_call_sid, new_number, product

KEY = "sk-canary-7d1f60c2a9"


async def test_a_call_goes_on_while_postgres_hangs_and_all_its_rows_are_there_afterwards_and_no_word_in_the_log() -> (
    None
):
    async with product(OPENAI_API_KEY=KEY) as house:
        number = new_number()
        house.model.register(TALK, number=number)
        line = Line()
        call = await house.dial(line, number)
        await line.hears(1000)
        with hung(house.running.database_url):
            await line.hears_silence()
            line.say(spoken(HOURS))
            await line.hears_more(1500)
            await line.hears_silence()
            line.say(spoken(BYE))
            await call.finished()
            assert call.ended_by == "server"
            assert call.log.codes() == []
            refused = await house.ask("/twilio/incoming", form(new_call_sid(), number), signature="wrong")
            assert refused.status_code == 403
        await house.closed(call.call_sid)
        turns = await house.store.turns(call.call_sid)
        assert [turn.generated_text for turn in turns][:4] == [GREETING, HOURS, OPEN, BYE]
        assert [turn.seq for turn in turns] == list(range(len(turns)))
        assert [tool.name for tool in await house.store.tool_calls(call.call_sid)] == ["opening_hours", "end_call"]
        row = await house.store.call(call.call_sid)
        assert row is not None
        assert (row.from_number, row.outcome) == (number, "completed")
        figures = await house.figures()
        assert figures["offhook_journal_lost_total"] == figures["offhook_journal_refused_total"] == 0
        log = house.log()
        assert "journal.waits_for_postgres" in log, "it was noticed"
        canaries = [
            number,
            number[1:],
            KEY,
            TOKEN,
            METRICS_TOKEN,
            PASSWORD,
            GREETING,
            HOURS,
            OPEN,
            BYE,
            "opening hours",
            "Goodbye",
        ]
        assert [canary for canary in canaries if canary in log] == []
        assert not re.search(r"\+\d{7,}", log), "nor anybody's number"
