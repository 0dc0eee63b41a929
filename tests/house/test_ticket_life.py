"""How long a ticket and the session prepared for it live: as long as the carrier takes to say what comes before the stream."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from msgspec.structs import replace

from app.adapters.opening import Opening
from app.adapters.servers import Server
from app.adapters.store import Recalled
from app.adapters.warm import Warm
from app.calls.live_call import LiveCall
from app.calls.switchboard import TICKET_SECONDS, Switchboard
from app.core.finished import CallFinished
from app.core.phases import Terms
from app.core.record import CallRecord
from app.core.rows import CallEnded, CallInfo, Consent, Row
from app.mode import Disclosure, Mode
from app.rules.consent import LONGEST, TEXTS, NumberRule, Rules, Texts
from modes.receptionist import mode as receptionist
from tests.modes.ledger_store import MONDAY, OFFICE
from tests.modes.virtual_time import VirtualTime

INFO = CallInfo(call_sid="CA1", account_sid="AC1", caller="+14155550133", dialled="+14155550199")
LONG = "x" * LONGEST
BEFORE = Disclosure(before_stream=True)
GREETING = Disclosure()


class Session:
    """A prepared session that only tells whether it was dropped."""

    endpoint, model, state = None, "", "ready"

    spent_usd = 0.0

    def __init__(self, opening: Opening | None) -> None:
        self.opening = opening
        self.closed = False

    def start(self, spare: object, *, primes: bool = False) -> bool:
        return False

    def close(self) -> None:
        self.closed = True


class NoSpares:
    """No link waits."""

    def take(self, endpoint: object, model: str) -> None:
        return None


class Rows(list[Row]):
    """A journal that keeps what it is given."""

    put = list.append

    def proofs(self) -> list[Consent]:
        return [row for row in self if isinstance(row, Consent)]


class Stage:
    """A switchboard in virtual time, and all sessions that it had prepared."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.loop = VirtualTime()
        self.sessions: list[Session] = []
        self.rows = Rows()
        self.rules = rules or Rules()
        self.board = self.loop.run_until_complete(self._open())

    async def _open(self) -> Switchboard:
        nothing = cast(Any, None)
        return Switchboard(
            office=OFFICE,
            modes={receptionist.name: receptionist},
            journal=cast(Any, self.rows),
            store=nothing,
            texting=nothing,
            sessions=nothing,
            warm=Warm(self._make, cast(Any, NoSpares())),
            terms=lambda mode: Terms(),
            max_calls=5,
            next_url="",
            redirector=None,
            version="test",
            consent=self.rules,
        )

    def _make(self, info: CallInfo, mode: Mode, opening: Opening | None, server: Server) -> Any:
        self.sessions.append(Session(opening))
        return self.sessions[-1]

    def rings(self, disclosure: Disclosure, info: CallInfo = INFO) -> LiveCall:
        """A call comes in, to a mode with this disclosure."""

        async def ring() -> LiveCall | None:
            return self.board.incoming(info, replace(receptionist, disclosure=disclosure))

        call = self.loop.run_until_complete(ring())
        assert call is not None
        self.loop.run(0)
        return call


@pytest.fixture
def stage() -> Iterator[Stage]:
    it = Stage(Rules(texts={"en-US": Texts(ai=LONG, recording="r", both="b")}))
    yield it
    it.loop.end()


def test_without_an_announcement_a_ticket_lives_for_its_time_and_no_longer(stage: Stage) -> None:
    call = stage.rings(Disclosure(when="never"))
    stage.loop.run(TICKET_SECONDS - 1)
    assert not stage.sessions[0].closed
    stage.loop.run(3)
    assert stage.sessions[0].closed
    assert call.finished


def test_an_announcement_before_the_stream_lengthens_ticket_and_session_by_its_length(stage: Stage) -> None:
    call = stage.rings(BEFORE)
    seconds = call.notice.announcement.seconds
    assert seconds > LONGEST / 15
    ticket = call.ticket
    stage.loop.run(TICKET_SECONDS + seconds - 1)
    assert not stage.sessions[0].closed
    assert not call.finished
    assert stage.board.redeem(receptionist.name, ticket) is call


def test_past_that_the_ticket_is_late_and_the_session_is_dropped(stage: Stage) -> None:
    call = stage.rings(BEFORE)
    ticket = call.ticket
    stage.loop.run(TICKET_SECONDS + call.notice.announcement.seconds + 2)
    assert stage.sessions[0].closed
    assert call.finished
    assert stage.board.redeem(receptionist.name, ticket) is None
    (proof,) = stage.rows.proofs()
    assert not proof.heard


def test_a_caller_who_is_gone_before_the_stream_has_a_row_that_is_closed_with_what_was_spent_on_them(
    stage: Stage,
) -> None:
    stage.rings(GREETING)
    stage.sessions[0].spent_usd = 0.03
    stage.loop.run(TICKET_SECONDS + 2)
    closed = [row for row in stage.rows if isinstance(row, CallEnded | CallFinished)]
    assert [type(row) for row in closed] == [CallEnded, CallFinished]
    assert [(row.outcome, row.cost_usd) for row in closed if isinstance(row, CallEnded)] == [("abandoned", 0.03)]


def test_what_the_agent_says_itself_takes_no_time_of_the_ticket_s(stage: Stage) -> None:
    call = stage.rings(GREETING)
    assert call.ticket_until - stage.loop.time() == pytest.approx(TICKET_SECONDS, abs=0.01)
    (session,) = stage.sessions
    assert session.opening == Opening(sentence=LONG)


def test_the_prepared_session_opens_as_the_mode_does_when_the_carrier_says_it(stage: Stage) -> None:
    stage.rings(BEFORE)
    assert [session.opening for session in stage.sessions] == [None]


def test_a_call_without_a_webhook_of_ours_is_told_by_the_agent(stage: Stage) -> None:
    mode = replace(receptionist, disclosure=BEFORE)
    call = stage.board.bare(INFO, mode)
    assert call is not None
    assert (call.notice.first_words, call.notice.before) == (LONG, "")


def test_a_call_of_another_process_is_told_only_what_it_has_not_heard_there(stage: Stage) -> None:
    mode = replace(receptionist, name="receptionist", disclosure=Disclosure(when="never"))
    stage.board.modes = {"receptionist": replace(mode, disclosure=GREETING)}
    proof = Consent(call_sid="CA1", at=MONDAY, what="ai", text="Said there.", why="always", how="greeting", heard=True)
    for heard, owed in ((True, ""), (False, "Said there.")):
        info = replace(INFO, call_sid=f"CA{heard}")
        record = CallRecord(
            call_sid=info.call_sid, mode="receptionist", consents=[replace(proof, call_sid=info.call_sid, heard=heard)]
        )
        call = stage.board.take_up(info, mode, Recalled(record=record))
        assert call is not None
        assert call.notice.first_words == owed
    unknown = stage.board.take_up(replace(INFO, call_sid="CA9"), mode, None)
    assert unknown is not None
    assert unknown.notice.owed == "", "the books do not answer, and may hold the proof already"
    assert stage.rows.proofs() == []


def test_a_number_s_rule_holds_for_the_call_to_it() -> None:
    it = Stage(Rules(numbers={INFO.dialled: NumberRule(when="always", before_stream=True, language="es-US")}))
    try:
        call = it.rings(Disclosure(when="never"))
        assert call.notice.before == TEXTS["es-US"].ai
        other = it.rings(Disclosure(when="never"), replace(INFO, call_sid="CA2", dialled="+14155550100"))
        assert other.notice.owed == ""
    finally:
        it.loop.end()
