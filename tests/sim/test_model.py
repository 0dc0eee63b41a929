"""The model stand-in by a raw client: whole turns in both dialects, barge-in, tools and out-of-band answers."""

import json

from app.sim.model_sound import heard, spoken
from tests.sim.booking_script import BOOKING, GREETING, SLOTS, TOOLS
from tests.sim.realtime_client import (
    SILENCE,
    SPOKEN,
    VOICES,
    audio_of,
    flat,
    ga,
    kinds,
    serving,
    session,
)  # fmt: skip


async def test_a_whole_ga_turn_comes_in_the_documented_order() -> None:
    async with serving(scripts=[BOOKING]) as (_, url), session(url) as client:
        created = await client.next()
        assert created["type"] == "session.created"
        assert created["session"]["type"] == "realtime"
        assert created["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
        assert created["session"]["audio"]["output"] == {
            "format": {"type": "audio/pcm", "rate": 24000},
            "voice": "marin",
            "speed": 1,
        }
        updated = await client.configure(ga())
        assert updated["session"]["audio"]["input"]["format"] == {"type": "audio/pcmu"}
        assert updated["session"]["audio"]["input"]["turn_detection"]["interrupt_response"] is True
        start = len(client.seen)
        await client.speak("Yes please.")
        await client.until("response.done")
        events = client.seen[start:]
        assert [name for name in kinds(events) if "transcription" not in name] == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "rate_limits.updated",
            "response.done",
        ]
        # the second turn needs what a tool gives: so the response failed, and said why
        assert events[-1]["response"]["status_details"]["error"]["code"] == "script_error"


async def test_the_agent_greets_and_its_words_come_with_its_audio() -> None:
    async with serving(scripts=[BOOKING]) as (server, url), session(url) as client:
        await client.configure(ga())
        await client.tell("Greet the caller.")
        events = await client.ask()
        start = next(n for n, event in enumerate(events) if event["type"] == "response.created")
        assert kinds(events[start:]) == SPOKEN
        assert audio_of(events) == VOICES.say(GREETING)
        words = [event["delta"] for event in events if event["type"] == "response.output_audio_transcript.delta"]
        assert "".join(words) == GREETING
        assert len(words) > 1
        done = events[-1]["response"]
        assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": GREETING}]
        assert done["usage"]["output_token_details"]["audio_tokens"] == len(GREETING.split()) * 200 // 50
        assert server.sessions[0].log[0] == {"type": "says", "text": GREETING}


async def test_flat_has_its_own_names_for_all_of_it() -> None:
    async with serving(scripts=[BOOKING], dialect="flat") as (_, url), session(url) as client:
        created = await client.next()
        assert created["session"]["modalities"] == ["audio", "text"]
        assert "audio" not in created["session"]
        assert "type" not in created["session"]
        assert (await client.configure(flat(tools=TOOLS)))["session"]["input_audio_format"] == "g711_ulaw"
        await client.tell("Greet the caller.")
        events = await client.ask()
        names = {event["type"] for event in events}
        assert {"response.audio.delta", "response.audio_transcript.done", "conversation.item.created"} <= names
        assert not {
            name
            for name in names
            if "output_audio" in name or name in ("conversation.item.added", "conversation.item.done")
        }
        assert audio_of(events) == VOICES.say(GREETING)
        assert events[-1]["response"]["output"][0]["content"] == [{"type": "audio", "transcript": GREETING}]
        await client.speak("Anything on Tuesday?")
        done = await client.until("response.done")
        assert [item["type"] for item in done["response"]["output"]] == ["message", "function_call", "function_call"]


async def test_the_caller_is_transcribed_after_the_response_began() -> None:
    async with serving(scripts=[BOOKING], transcription_ms=0) as (_, url), session(url) as client:
        await client.configure(ga())
        await client.speak("Anything on Tuesday?")
        done = await client.until("conversation.item.input_audio_transcription.completed")
        names = kinds(client.seen)
        assert done["transcript"] == "Anything on Tuesday?"
        assert names.index("response.created") < names.index("conversation.item.input_audio_transcription.completed")
        (started, committed) = (next(e for e in client.seen if e["type"] == f"input_audio_buffer.{name}")
                                for name in ("speech_started", "committed"))  # fmt: skip
        assert started["item_id"] == committed["item_id"] == done["item_id"]
        assert started["audio_start_ms"] == 0  # 300 ms of silence, less 300 ms of padding


async def test_two_tools_are_called_in_one_response_and_their_answers_are_said() -> None:
    async with serving(scripts=[BOOKING]) as (server, url), session(url) as client:
        await client.configure(ga(tools=TOOLS))
        await client.speak("Anything on Tuesday?")
        done = await client.until("response.done")
        preamble, *calls = done["response"]["output"]
        assert preamble["content"][0]["transcript"] == "Let me look."
        assert [(call["name"], json.loads(call["arguments"])) for call in calls] == [
            ("free_slots", {"day": "2026-12-01"}),
            ("opening_hours", {}),
        ]
        finished = [e for e in client.seen if e["type"] == "response.function_call_arguments.done"]
        assert [(e["name"], e["call_id"]) for e in finished] == [(call["name"], call["call_id"]) for call in calls]
        await client.give(calls[0], SLOTS)
        await client.give(calls[1], {"opens": "08:00"})
        events = await client.ask()
        assert events[-1]["response"]["output"][0]["content"][0]["transcript"] == "I have ten thirty."
        await client.speak("Yes please.")
        done = await client.until("response.done")
        assert done["response"]["output"][0]["content"][0]["transcript"] == "You are booked at ten thirty."
        assert [entry["type"] for entry in server.sessions[0].log] == [
            "heard", "says", "calls", "calls", "answered", "answered", "says", "heard", "says",
        ]  # fmt: skip


async def test_a_tool_that_failed_is_not_called_a_success() -> None:
    async with serving(scripts=[BOOKING]) as (_, url), session(url) as client:
        await client.configure(ga(tools=TOOLS))
        for answers, said in (
            ([{"error": "no"}, {}], "I am sorry, that did not work."),
            ([SLOTS, {"error": "no"}], "I do not know our hours."),
        ):
            await client.speak("Anything on Tuesday?")
            calls = (await client.until("response.done"))["response"]["output"][1:]
            for call, answer in zip(calls, answers, strict=True):
                await client.give(call, answer)
            assert (await client.ask())[-1]["response"]["output"][0]["content"][0]["transcript"] == said


async def test_a_tool_that_is_not_offered_is_not_called() -> None:
    async with serving(scripts=[BOOKING]) as (server, url), session(url) as client:
        await client.configure(ga(tools=TOOLS[:1]))
        await client.speak("Anything on Tuesday?")
        output = (await client.until("response.done"))["response"]["output"]
        assert [item["content"][0]["transcript"] for item in output] == ["I am sorry, that did not work."]
        assert {"type": "refused", "tools": ["opening_hours"], "offered": ["free_slots"]} in server.sessions[0].log


async def test_a_lost_frame_makes_the_caller_unintelligible() -> None:
    async with serving(scripts=[BOOKING], transcription_ms=0) as (_, url), session(url) as client:
        await client.configure(ga())
        line = VOICES.say("Yes please.", "anna")
        await client.hear(SILENCE * 15 + line[:800] + line[960:] + SILENCE * 30)
        done = await client.until("response.done")
        assert done["response"]["output"][0]["content"][0]["transcript"] == "I am sorry, I did not catch that."


async def test_a_caller_who_cuts_in_stops_the_agent_at_once() -> None:
    async with serving(scripts=[BOOKING], pace=1, delta_ms=40) as (_, url), session(url) as client:
        await client.configure(ga(tools=TOOLS))
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        await client.speak("Anything on Tuesday?")
        done = await client.until("response.done")
        assert done["response"]["status"] == "cancelled"
        assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        assert done["response"]["output"][0]["status"] == "incomplete"
        cut, at = done["response"]["id"], len(client.seen)
        names = [event["type"] for event in client.seen]
        assert names.index("input_audio_buffer.speech_started") < names.index("response.output_audio.done") < at
        item = done["response"]["output"][0]["id"]
        received = len(audio_of(client.seen)) // 8
        await client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=received)
        assert (await client.until("conversation.item.truncated"))["audio_end_ms"] == received
        assert (await client.until("response.done"))["response"]["status"] == "completed"
        assert not [event for event in client.seen[at:] if event.get("response_id") == cut]


async def test_a_client_may_keep_interruption_and_answers_to_itself() -> None:
    detection = {
        "type": "server_vad",
        "silence_duration_ms": 500,
        "interrupt_response": False,
        "create_response": False,
    }
    async with serving(scripts=[BOOKING], pace=1, delta_ms=40) as (_, url), session(url) as client:
        await client.configure(
            ga() | {"audio": {**ga()["audio"], "input": {**ga()["audio"]["input"], "turn_detection": detection}}}
        )
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        await client.speak("Yes please.")
        await client.until("input_audio_buffer.committed")
        assert "response.done" not in kinds(client.seen)
        await client.send("response.cancel")
        done = await client.until("response.done")
        assert done["response"]["status_details"]["reason"] == "client_cancelled"
        assert [event["type"] for event in client.seen].count("response.created") == 1


async def test_without_turn_detection_the_client_commits() -> None:
    async with serving(scripts=[BOOKING]) as (_, url), session(url) as client:
        config = ga()
        config["audio"]["input"]["turn_detection"] = None
        await client.configure(config)
        assert (await client.answer("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"
        await client.hear(SILENCE * 10)
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        assert (await client.answer("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"
        await client.hear(VOICES.say("Anything on Tuesday?", "anna"))
        await client.send("input_audio_buffer.commit")
        done = await client.until("conversation.item.input_audio_transcription.completed")
        assert done["transcript"] == "Anything on Tuesday?"
        assert "response.created" not in kinds(client.seen)


async def test_audio_before_the_format_is_set_is_gibberish() -> None:
    async with serving(scripts=[BOOKING]) as (server, url), session(url) as client:
        await client.configure({"type": "realtime", "audio": {"input": {"turn_detection": None}}})
        await client.hear(VOICES.say("Yes please.", "anna") * 3)
        await client.send("input_audio_buffer.commit")
        await client.until("conversation.item.done")
        assert server.sessions[0].log == [{"type": "heard", "text": ""}]


async def test_pcm_is_spoken_and_understood_where_it_is_asked_for() -> None:
    line = VOICES.say("Yes please.")
    assert heard(spoken(line, "pcm"), "pcm") == line.replace(b"\x7f", b"\xff")  # u-law has two zeros
    async with serving(scripts=[BOOKING], delta_ms=50, ragged=True) as (_, url), session(url) as client:
        await client.configure({"type": "realtime", "instructions": "The caller is +14155550133."})
        assert audio_of(await client.ask()) == spoken(VOICES.say(GREETING), "pcm")


async def test_text_is_answered_by_what_it_asks_for() -> None:
    async with serving(scripts=[BOOKING]) as (_, url), session(url) as client:
        await client.configure(ga())
        for text, said in (
            ("Greet the caller.", GREETING),
            ("The caller has been silent for a while. Ask whether they are still there.", "Are you still there?"),
            ("The caller is still silent. Say goodbye; the call ends now.", "Thank you for calling. Goodbye."),
            ("This call has run out of time.", "Thank you for calling. Goodbye."),
            ("(The caller pressed 4 2 on the keypad.)", "That is the answer."),
            ("(The caller pressed 9 on the keypad.)", "One moment please."),
            ("Something else.", "One moment please."),
        ):
            await client.tell(text)
            assert (await client.ask())[-1]["response"]["output"][0]["content"][0]["transcript"] == said


async def test_an_aside_leaves_no_trace_in_the_conversation() -> None:
    async with serving(scripts=[BOOKING], pace=1) as (server, url), session(url) as client:
        await client.configure(ga())
        await client.send("response.create")
        talk = await client.until("response.created")
        aside = {"conversation": "none", "metadata": {"kind": "summary"}, "output_modalities": ["text"], "input": []}
        await client.send("response.create", response=aside)
        done = await client.until("response.done")
        assert done["response"]["id"] != talk["response"]["id"]
        assert done["response"]["metadata"] == {"kind": "summary"}
        assert done["response"]["conversation_id"] is None
        assert done["response"]["output"][0]["content"][0]["type"] == "output_text"
        items = server.sessions[0].conversation.items
        assert [item.data["role"] for item in items] in ([], ["assistant"])
        error = await client.answer("response.create", response={**aside, "metadata": {"long": "x" * 513}})
        assert error["param"] == "response.metadata.long"
