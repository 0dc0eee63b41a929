"""A run counts only if the load kept pace; what it does not give is never a figure."""

from pathlib import Path

import pytest

from app.errors import SetupError
from bench.load import NotMeasured, Own, Result, lagged
from bench.measuring import SETTLE_SECONDS, Thrown, Trial, measure, settle
from bench.parts import CPU, FAULTS, GREETING, LATENCY, unfit, us_per_message
from bench.usage import Usage
from tests.bench.bench_parts import ASLEEP, BUSY, GOOD, LATE, Idler, scripted, told

STEADY = Trial("steady 10", {"scenario": "steady", "calls": 10})


def test_a_run_gives_the_relay_s_cpu_in_the_window_alone(tmp_path: Path) -> None:
    with scripted(tmp_path, [GOOD]) as load:
        measured = measure(load, "idler", Idler(), STEADY, thrown=[])
    assert measured.cpu_s == 1  # looked at three times: before the first call, at the window's start and at its end
    assert measured.before.cpu_s == 1
    assert us_per_message(measured) == 1000  # a second for a thousand messages
    assert told(tmp_path) == ["run scenario=steady calls=10 webhook=nowhere"]


def test_a_run_in_which_the_load_lagged_is_thrown_away_and_repeated(tmp_path: Path) -> None:
    thrown: list[Thrown] = []
    with scripted(tmp_path, [LATE, BUSY, GOOD]) as load:
        measured = measure(load, "idler", Idler(), STEADY, thrown=thrown)
    assert measured.tries == 3
    assert [(one.subject, one.trial) for one in thrown] == [("idler", "steady 10")] * 2
    assert "9.0 ms late" in thrown[0].why
    assert "95%" in thrown[1].why


def test_of_a_load_that_was_late_three_times_counts_and_medians_are_kept(tmp_path: Path) -> None:
    late = LATE | {
        "up": {"sent": 9, "received": 9, "p50_us": 100, "p99_us": 9000},
        "messages": {"up": 900, "down": 100},
    }
    thrown: list[Thrown] = []
    with scripted(tmp_path, [LATE, BUSY, late, GOOD]) as load:
        measured = measure(load, "idler", Idler(), STEADY, thrown=thrown)
    assert len(thrown) == 3
    refused = "the load lagged: the load sent its frames 9.0 ms late (p99; at most 2 ms)"
    whys = {figure.name: unfit(figure, measured, "") for figure in (*CPU, FAULTS, *LATENCY)}
    assert {name for name, why in whys.items() if not why} == {
        *(figure.name for figure in CPU), FAULTS.name, "up p50", "down p50",
    }  # fmt: skip
    assert {why for why in whys.values() if why} == {refused}


def test_calls_that_did_not_get_through_spoil_every_figure_but_their_own(tmp_path: Path) -> None:
    for broken, why in (({"connected": 7}, "only 7 of 10"), ({"connected": 10, "failed": 2}, "only 8 of 10")):
        with scripted(tmp_path, [GOOD | {"calls": 10} | broken]) as load:
            measured = measure(load, "idler", Idler(), STEADY, thrown=[])
        assert why in unfit(CPU[0], measured, "")
        assert why in unfit(LATENCY[0], measured, "")
        assert unfit(FAULTS, measured, "") == ""


def test_a_greeting_counts_only_if_it_came_by_its_path(tmp_path: Path) -> None:
    class Greeter(Idler):
        spare = 5.0

        def metric(self, name: str) -> float:
            assert name.startswith("offhook_greeting_seconds_count{path=")
            return self.spare if "spare" in name else 0.0

        def usage(self) -> Usage:
            self.spare += 10  # before the first call, as the window begins, as it ends
            return super().usage()

    trial = Trial("greeting spare", STEADY.keys, greeted="spare")
    for greetings, why in ((20, ""), (21, "only 20 of 21 calls were greeted by the path spare")):
        with scripted(tmp_path, [GOOD | {"greeting": {"n": greetings}}]) as load:
            measured = measure(load, "idler", Greeter(), trial, thrown=[])
        assert unfit(GREETING[0], measured, "spare") == why
        assert unfit(GREETING[0], measured, "") == "", "of a peer no path is known"


def test_a_load_that_lags_three_times_measures_nothing(tmp_path: Path) -> None:
    with scripted(tmp_path, [ASLEEP, BUSY, ASLEEP, GOOD]) as load:
        with pytest.raises(NotMeasured, match=r"the load lagged: .* late.*, 3 times"):
            measure(load, "idler", Idler(), STEADY, thrown=[])
        assert len(told(tmp_path)) == 3


def test_what_helps_the_load_counts_as_its_own() -> None:
    result = Result("steady", 10, window_s=1, load=Own(cpu_share=0.5, pacing_p99_us=10))
    assert lagged(result) == ""
    assert "90%" in lagged(result, others_share=0.4)


def test_helpers_are_looked_at_in_the_window(tmp_path: Path) -> None:
    seconds = iter((1.0, 1.9))
    with scripted(tmp_path, [GOOD]) as load, pytest.raises(NotMeasured, match="110%"):
        measure(load, "i", Idler(), STEADY, thrown=[], helpers=lambda: Usage(next(seconds), 0, 0, 0, 1), tries=1)


def test_a_run_that_cannot_start_says_why(tmp_path: Path) -> None:
    failed = {"event": "failed", "why": "the webhook answered 403"}
    with scripted(tmp_path, [failed]) as load, pytest.raises(NotMeasured, match="answered 403"):
        measure(load, "idler", Idler(), STEADY, thrown=[])


def test_a_run_without_a_single_call_is_no_measurement(tmp_path: Path) -> None:
    nobody = GOOD | {"connected": 0, "protocol_errors": ["no upgrade: 404"]}
    with scripted(tmp_path, [nobody]) as load, pytest.raises(NotMeasured, match="no call got through: no upgrade: 404"):
        measure(load, "idler", Idler(), STEADY, thrown=[])


def test_a_load_that_dies_is_told_with_its_last_words(tmp_path: Path) -> None:
    with (
        scripted(tmp_path, [{"dies": True}]) as load,
        pytest.raises(SetupError, match=r"ended with 3.*out of its mind"),
    ):
        measure(load, "idler", Idler(), STEADY, thrown=[])


def test_a_window_without_messages_gives_no_cpu_by_message(tmp_path: Path) -> None:
    with scripted(tmp_path, [GOOD | {"messages": {"up": 0, "down": 0}}]) as load:
        measured = measure(load, "idler", Idler(), STEADY, thrown=[])
    assert CPU[0].read(measured) is None


def test_a_run_that_was_given_up_on_leaves_nothing_to_the_next_one(tmp_path: Path) -> None:
    class Stalled(Idler):
        def usage(self) -> Usage:
            if self.looks == 1:
                self.looks += 1
                raise SetupError("the relay does not answer")
            return super().usage()

    with scripted(tmp_path, [{**GOOD, "calls": 150}, {**GOOD, "calls": 10}]) as load:
        with pytest.raises(SetupError):
            measure(load, "stalled", Stalled(), STEADY, thrown=[])
        assert measure(load, "idler", Idler(), STEADY, thrown=[]).result.calls == 10


def test_a_relay_that_still_works_off_the_calls_before_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, spent = [100.0], [7.0, 7.4, 7.8, 7.81, 99.0]
    monkeypatch.setattr("bench.measuring.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("bench.measuring.time.sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))

    class Busy(Idler):
        def usage(self) -> Usage:
            return Usage(spent.pop(0), 0, 0, 0, 1)

    settle(Busy())
    assert spent == [99.0], "done with it when half a second took a hundredth of one"
    began = clock[0]
    settle(Idler())
    assert clock[0] - began == SETTLE_SECONDS, "who is never quiet is measured as he is"


def test_each_try_begins_settled(tmp_path: Path) -> None:
    waits: list[int] = []
    with scripted(tmp_path, [LATE, GOOD]) as load:
        measure(load, "idler", Idler(), STEADY, thrown=[], settle=lambda target: waits.append(len(told(tmp_path))))
    assert waits == [0, 1]


def test_memory_is_counted_from_before_the_first_try(tmp_path: Path) -> None:
    with scripted(tmp_path, [LATE, GOOD]) as load:
        measured = measure(load, "idler", Idler(), STEADY, thrown=[])
    assert measured.tries == 2
    assert measured.before.cpu_s == 1, "the first look of all"
