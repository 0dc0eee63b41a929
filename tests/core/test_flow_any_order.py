"""Whatever comes, in whatever order, in a call with a flow: nothing raises, only what is offered runs, and it ends once."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from app.core import effects as do
from app.core import events as ev
from app.core.flow import FlowLedger
from app.core.machine import CallMachine
from app.core.phases import Terms
from app.core.record import CallRecord
from app.core.rows import Milestone
from tests.core.flow_samples import HOTLINE, flow
from tests.core.story import utc
from tests.core.test_machine_any_order import PRELUDES, RESPONSES, Witness, events

CALLS = st.sampled_from([f"t{n}" for n in range(9)])
STATES = {f"state_{state.name}" for state in flow.states}


def guided() -> SearchStrategy[ev.Event]:
    """One thing that can happen, more often one that concerns the flow."""
    wish = st.fixed_dictionaries(
        {
            "intent": st.sampled_from(["an order", "a person", "rain"]),
            "confidence": st.sampled_from([0.1, 0.65, 0.9, 7]),
        }
    )
    tools = st.sampled_from(["find_order", "send_back", "put_through", "correct", "nothing"])
    calls: list[SearchStrategy[ev.Event]] = [
        st.builds(ev.KeyPressed, st.sampled_from("0123456789*#A")),
        st.builds(ev.ToolCalled, RESPONSES, CALLS, st.just("choose"), wish.map(json.dumps)),
        st.builds(ev.ToolCalled, RESPONSES, CALLS, tools, st.sampled_from(["{}", '{"what":"that"}', "?"])),
        st.builds(
            ev.ToolReturned,
            call_id=st.one_of(CALLS, st.sampled_from([f"typed-{n}" for n in range(9)])),
            output=st.sampled_from(["{}", '{"found":true}', "?"]),
            status=st.sampled_from(["ok", "ok", "refused", "error", "late", "working"]),
            ms=st.just(1),
            transfer_to=st.sampled_from(["", "", "", "office"]),
        ),
    ]
    return st.one_of(*calls, *calls, events())


class FlowWitness(Witness):
    """Watches a machine with a flow: what is offered is what the state has, and nothing else is run."""

    def __init__(self) -> None:
        super().__init__(Terms(max_seconds=1800.0))
        record = CallRecord(call_sid="CA1", mode="hotline", spoken=[], outcome={})
        self.ledger = FlowLedger.of(HOTLINE, record, open_now=True)
        self.machine = CallMachine(record, Terms(max_seconds=1800.0), utc, self.ledger)
        self.entered: list[str] = []

    def check(self, effect: do.Effect, *, last: bool) -> None:
        assert self.ledger is not None
        match effect:
            case do.OfferTools(tools=tools):
                assert tools is not None
                assert list(tools) == list(self.ledger.offered())
            case do.RunTool(name=name, call_id=call_id):
                assert name in {tool["name"] for tool in self.ledger.offered()}
                assert call_id not in self.tools
                self.tools[call_id] = 0
            case do.AnswerTool(call_id=call_id):
                assert not call_id.startswith("typed-")
                self.tools[call_id] = self.tools.get(call_id, 0) + 1
                assert self.tools[call_id] == 1
            case do.Write(row=Milestone(name=name)) if name.startswith("state_"):
                assert name in STATES
                self.entered.append(name)
            case _:
                super().check(effect, last=last)


@settings(
    max_examples=250, deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(
    st.sampled_from(PRELUDES),
    st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.3, 1.6, 6.0, 70.0]), guided()), max_size=60),
)
def test_no_order_of_events_breaks_a_call_with_a_flow(
    prelude: list[ev.Event], steps: list[tuple[float, ev.Event]]
) -> None:
    it = FlowWitness()
    for wait, event in [*((0.0, event) for event in prelude), *steps]:
        it.step(wait, event)
    it.step(0.0, ev.CallerLeft("stop"))
    assert it.ends == 1
    assert it.machine.record.flow_state in {state.name for state in flow.states}
    if it.entered:
        assert it.entered[-1] == f"state_{it.machine.record.flow_state}"
