"""Whatever comes over a wire, nothing but PeerError leaves its codec."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz import chance
from tests.fuzz.words import CARRIER, CODECS, MODEL, written

QUICK = settings(max_examples=120, deadline=None, database=None, derandomize=True, suppress_health_check=[*HealthCheck])
BY_CHANCE = 3000


@QUICK
@given(CODECS["carrier"][1])
def test_nothing_that_a_carrier_can_send_breaks_its_codec(data: bytes) -> None:
    CODECS["carrier"][0](data)


@QUICK
@given(CODECS["model"][1])
def test_nothing_that_a_model_can_send_breaks_its_codec_nor_the_dialects(data: bytes) -> None:
    CODECS["model"][0](data)


@pytest.mark.parametrize(("end", "real"), [("carrier", CARRIER), ("model", MODEL)])
def test_thousands_of_changed_messages_are_read_or_refused(end: str, real: list[object]) -> None:
    random = Random(6)
    taken = {CODECS[end][0](chance.message(random, real)) for _ in range(BY_CHANCE)}
    assert "refused" in taken
    assert len(taken) > 5, "most kinds of message come through in spite of their changes"


@pytest.mark.parametrize(("end", "real"), [("carrier", CARRIER), ("model", MODEL)])
def test_the_messages_that_are_changed_are_real_ones(end: str, real: list[object]) -> None:
    assert "refused" not in {CODECS[end][0](written(message)) for message in real}
