"""Whatever happens in a call, in whatever order: the machine never raises, and its ledgers stay whole."""

from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from app.core import events as ev
from app.core.phases import Phase
from tests.core.test_machine_any_order import SIDE, STARTED, Delta
from tests.fuzz import chance
from tests.fuzz.call import TERMS, Bystander, bystander, from_plain, to_plain

CALLS_BY_CHANCE = 150
MOST_EVENTS = 80
WAITS = st.sampled_from([0.0, 0.0, 0.02, 0.3, 1.0, 3.0, 10.0, 61.0])


class AnyCall(RuleBasedStateMachine):
    """A call whose model and carrier mostly keep their order, and now and then do not."""

    responses, items, tools = Bundle("responses"), Bundle("items"), Bundle("tools")

    @initialize(terms=st.sampled_from(TERMS), ready=st.sampled_from([None, True, False]))
    def rings(self, terms: object, ready: bool | None) -> None:
        self.it = Bystander(terms)  # type: ignore[arg-type]  # of TERMS
        self.number = 0
        self.it.step(0.0, STARTED)
        if ready is not None:
            self.it.step(0.2, ev.ModelReady(opening=ready))

    def _next(self, letter: str) -> str:
        self.number += 1
        return f"{letter}{self.number}"

    # --- the model ----------------------------------------------------------------------------------------------------

    @rule(target=responses, wait=WAITS)
    def a_response_begins(self, wait: float) -> str:
        response = self._next("r")
        self.it.step(wait, ev.ResponseStarted(response))
        return response

    @rule(target=items, response=responses, frames=st.integers(0, 400))
    def it_speaks(self, response: str, frames: int) -> tuple[str, str]:
        item = self._next("a")
        self.it.step(0.0, Delta(response, item, 0, frames))
        self.it.step(0.0, ev.AgentSaid(response, item, "Good morning. "))
        return response, item

    @rule(spoken=items, wait=WAITS, frames=st.integers(0, 400), ends=st.booleans())
    def it_goes_on(self, spoken: tuple[str, str], wait: float, frames: int, ends: bool) -> None:
        self.it.step(wait, Delta(*spoken, 0, frames))
        if ends:
            self.it.step(0.0, ev.AgentAudioEnded(*spoken))

    @rule(response=responses, status=st.sampled_from(["completed", "completed", "cancelled", "failed", "incomplete"]))
    def a_response_ends(self, response: str, status: str) -> None:
        self.it.step(0.0, ev.ResponseDone(response, status, usage={"output_token_details": {"audio_tokens": 400}}))

    @rule(started=st.booleans())
    def a_response_out_of_band(self, started: bool) -> None:
        side = (
            ev.ResponseStarted(SIDE, out_of_band=True)
            if started
            else ev.ResponseDone(SIDE, "completed", out_of_band=True)
        )
        self.it.step(0.0, side)

    @rule(target=tools, response=responses)
    def a_tool_is_called(self, response: str) -> str:
        tool = self._next("t")
        self.it.step(0.0, ev.ToolCalled(response, tool, "f", "{}"))
        return tool

    @rule(tool=tools, wait=WAITS, to=st.sampled_from(["", "", "sales"]), ends=st.booleans())
    def a_tool_comes_back(self, tool: str, wait: float, to: str, ends: bool) -> None:
        self.it.step(
            wait,
            ev.ToolReturned(call_id=tool, output="{}", status="ok", ms=1, transfer_to=to, ends_call=ends and not to),
        )

    @rule(tool=tools)
    def a_tool_is_slow(self, tool: str) -> None:
        self.it.step(0.0, ev.ToolSlow(call_id=tool, sentence="One moment.", after_ms=700))

    @rule(
        asked=st.sampled_from(["ask", "filler", "opening", ""]),
        code=st.sampled_from(["x", "conversation_already_has_active_response"]),
    )
    def the_model_complains(self, asked: str, code: str) -> None:
        mine = self.it.machine.sequencer.asked
        self.it.step(0.0, ev.ModelComplained(code, "", "", event_id=mine if asked == "ask" else asked))

    # --- the caller, the carrier, the house ---------------------------------------------------------------------------

    @rule(wait=WAITS, long=WAITS)
    def the_caller_talks(self, wait: float, long: float) -> None:
        item = self._next("c")
        self.it.step(wait, ev.CallerSpoke(item))
        self.it.step(long, ev.CallerStopped(item))
        self.it.step(0.0, ev.CallerTranscribed(item, "Yes.", usage={"seconds": 2}))

    @rule(newest=st.booleans())
    def a_mark_comes_back(self, newest: bool) -> None:
        pending = list(self.it.machine.playback.pending) + list(self.it.machine.playback.flushed) or ["x"]
        self.it.step(0.0, ev.MarkReached(pending[-1 if newest else 0]))

    @rule(key=st.sampled_from("12#"))
    def a_key_is_pressed(self, key: str) -> None:
        self.it.step(0.0, ev.KeyPressed(key))

    @rule(wait=WAITS)
    def time_passes(self, wait: float) -> None:
        self.it.step(wait, ev.TimePassed())

    @rule(seed=st.integers(0, 2**32))
    def anything_happens(self, seed: int) -> None:
        self.it.step(0.0, chance.event(Random(seed)))

    @rule(cap=st.sampled_from(["day", "caller_day"]))
    def the_money_is_gone(self, cap: str) -> None:
        self.it.step(0.0, ev.CapReached(cap))

    @invariant()
    def it_is_whole(self) -> None:
        self.it.look()

    def teardown(self) -> None:
        if hasattr(self, "it"):
            self.it.step(0.0, ev.CallerLeft("stop"))
            assert self.it.ends == 1
            assert self.it.machine.phase is Phase.OVER
            assert self.it.machine.deadline is None


TestAnyCall = AnyCall.TestCase
TestAnyCall.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[*HealthCheck],
)


def test_calls_by_chance_end_once_and_never_raise() -> None:
    random = Random(6)
    for _ in range(CALLS_BY_CHANCE):
        bystander(chance.steps(random, MOST_EVENTS), random.choice(TERMS))


def test_a_call_is_the_same_again_from_its_steps_as_text() -> None:
    steps = [one for seed in range(40) for one in chance.steps(Random(seed), MOST_EVENTS)]
    assert from_plain(to_plain(steps)) == steps
