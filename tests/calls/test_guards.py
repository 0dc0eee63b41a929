"""Guards at the running product: caps turn new calls away in words, nothing revives an ended call, another account is nobody."""

from app.web.rungs import CAPPED_PERSON
from tests.calls.product import PERSON, eventually, form, new_call_sid, new_number, product, verbs


async def test_a_capped_caller_goes_on_by_keys_or_to_a_person_and_what_has_ended_stays_so() -> None:
    async with product(MAX_CALLER_HOUR_CALLS="1") as house:
        caller, first, second, third = new_number(), *(new_call_sid() for _ in range(3))
        assert verbs(await house.rings(first, caller)) == ["Connect", "Redirect"]

        person = await house.rings(second, caller)
        assert verbs(person) == ["Say", "Dial"]
        assert CAPPED_PERSON in person.text
        assert PERSON in person.text
        assert (await house.rings(second, caller)).text == person.text, "a repeated webhook is no call"
        keys = await house.ask("/twilio/incoming", form(third, caller), query="mode=ivr")
        assert verbs(keys) == ["Gather", "Redirect"]
        figures = await house.figures()
        assert figures['offhook_capped_total{call="new",cap="caller_calls"}'] == 2

        async def written() -> bool:
            rows = await house.rows("SELECT outcome, ended_at FROM calls WHERE call_sid = :sid", sid=second)
            return bool(rows) and rows[0].outcome == "turned_away" and rows[0].ended_at is not None

        await eventually(written, "the whole row of a call that was turned away")

        await house.over(first, second, third)
        assert (await house.figures())["offhook_calls_live"] == 0
        late = form(first, caller, CallStatus="in-progress", SequenceNumber="1")
        for path in ("/twilio/incoming", "/twilio/next", "/twilio/menu", "/twilio/dialed", "/twilio/status"):
            for _ in range(2):
                assert verbs(await house.ask(path, late)) in (["Hangup"], []), path
        assert (await house.figures())["offhook_calls_live"] == 0
        assert len(house.sessions_of(caller)) <= 1, "the model is not asked again for what has ended"

        for path in ("/twilio/incoming", "/twilio/next", "/twilio/status", "/twilio/stream-status"):
            foreign = {**form(new_call_sid(), caller), "AccountSid": "AC" + "9" * 32}
            assert (await house.ask(path, foreign)).status_code == 403, path
