"""Who said what and what of it was heard: barge-in on the ledger, marks, and the words that go with the audio."""

from app.core import effects as do
from app.core import events as ev
from app.core.record import CallRecord
from app.core.rows import Turn
from app.core.talk import Talk


def talk() -> Talk:
    return Talk(CallRecord(call_sid="CA1", mode="m", began=100.0))


def voice(talk: Talk, response: str, item: str, ms: int, now: float, index: int = 0) -> None:
    """What the relay does with a delta."""
    if talk.playback.add(item, index, ms * 8, now):
        talk.agent_spoke(response, item, now)


def commands(effects: list[do.Effect]) -> list[do.Effect]:
    return [effect for effect in effects if not isinstance(effect, do.Write)]


def test_a_cut_truncates_what_was_begun_and_deletes_what_was_not() -> None:
    it = talk()
    for item in ("a", "b", "c", "d"):
        voice(it, "r1", item, 1000, 100.0)
    assert commands(it.cut(set(), 101.3)) == [
        do.ClearPlayback(),
        do.Truncate("b", 0, 300),
        do.DeleteItem("c"),
        do.DeleteItem("d"),
    ]
    assert it.silenced == {"r1"}


def test_nothing_is_cut_when_nothing_is_heard_and_nothing_runs() -> None:
    it = talk()
    voice(it, "r1", "a", 1000, 100.0)
    assert it.cut(set(), 101.0) == []
    assert it.silenced == set()


def test_a_response_without_audio_yet_is_silenced_without_a_clear() -> None:
    it = talk()
    assert it.cut({"r1"}, 101.0) == []
    assert it.silenced == {"r1"}


def test_less_than_a_millisecond_is_not_heard() -> None:
    it = talk()
    voice(it, "r1", "a", 1000, 100.0)
    assert commands(it.cut(set(), 100.0005)) == [do.ClearPlayback(), do.DeleteItem("a")]


def test_the_second_part_of_an_item_is_cut_by_its_own_index() -> None:
    it = talk()
    voice(it, "r1", "a", 1000, 100.0, index=0)
    voice(it, "r1", "a", 1000, 100.0, index=1)
    assert commands(it.cut(set(), 101.2)) == [do.ClearPlayback(), do.Truncate("a", 1, 200)]


def test_an_item_of_which_a_part_was_heard_is_not_deleted() -> None:
    it = talk()
    voice(it, "r1", "a", 1000, 100.0, index=0)
    voice(it, "r1", "b", 1000, 100.0, index=0)
    voice(it, "r1", "a", 1000, 100.0, index=1)
    effects = commands(it.cut(set(), 101.5))
    assert do.Truncate("b", 0, 500) in effects
    assert do.DeleteItem("a") not in effects


def test_a_clip_of_the_house_is_cut_without_a_word_to_the_model() -> None:
    it = talk()
    voice(it, "r1", "a", 1000, 100.0)
    it.playback.add("clip:one_moment", 0, 8000, 100.0)
    voice(it, "r1", "b", 1000, 100.0)
    assert commands(it.cut(set(), 101.5)) == [do.ClearPlayback(), do.DeleteItem("b")]


def test_an_item_heard_on_both_sides_of_a_clip_is_truncated_to_all_that_was_heard_of_it() -> None:
    it = talk()
    voice(it, "r1", "a", 1000, 100.0)
    it.playback.add("clip:one_moment", 0, 8000, 100.0)
    voice(it, "r1", "a", 1000, 100.0)
    assert commands(it.cut(set(), 102.3)) == [do.ClearPlayback(), do.Truncate("a", 0, 1300)]


def test_every_item_gets_one_mark() -> None:
    it = talk()
    voice(it, "r1", "a", 100, 100.0)
    voice(it, "r1", "b", 100, 100.0)
    assert it.mark("a") == [do.MarkPlayback("m1")]
    assert it.mark("a") == []
    assert it.mark("x") == []
    assert it.mark_response("r1") == [do.MarkPlayback("m2")]
    assert it.mark_response("r1") == []


def test_no_mark_follows_a_cut() -> None:
    it = talk()
    voice(it, "r1", "a", 1000, 100.0)
    it.cut({"r1"}, 100.5)
    assert it.mark("a") == it.mark_response("r1") == []


def test_a_turn_begins_when_it_is_heard_not_when_it_is_made() -> None:
    it = talk()
    voice(it, "r1", "a", 3000, 100.0)
    voice(it, "r1", "b", 1000, 100.5)
    assert [turn.start_ms for turn in it.record.spoken] == [0, 3000]


def test_a_turn_whose_words_came_before_its_audio_begins_when_it_is_heard() -> None:
    it = talk()
    voice(it, "r1", "a", 3000, 100.0)
    it.agent_said(ev.AgentSaid("r1", "b", "One "), 100.4)
    voice(it, "r1", "b", 1000, 100.5)
    assert [turn.start_ms for turn in it.record.spoken] == [0, 3000]


def test_words_come_in_pieces_and_then_whole() -> None:
    it = talk()
    voice(it, "r1", "a", 1000, 100.0)
    assert it.agent_said(ev.AgentSaid("r1", "a", "Good "), 100.0) == []
    assert it.agent_said(ev.AgentSaid("r1", "a", "mor"), 100.0) == []
    assert it.record.spoken[0].text == "Good mor"
    (write,) = it.agent_said(ev.AgentSaid("r1", "a", "Good morning.", whole=True), 100.0)
    assert isinstance(write, do.Write)
    assert isinstance(write.row, Turn)
    assert write.row.generated_text == "Good morning."


def test_words_of_an_out_of_band_response_are_nobodys_turn() -> None:
    it = talk()
    it.silenced.add("r1")
    assert it.agent_said(ev.AgentSaid("r1", "a", "Summary: ...", whole=True), 100.0) == []
    assert it.record.spoken == []


def test_words_that_come_after_the_cut_still_belong_to_what_was_heard() -> None:
    it = talk()
    voice(it, "r1", "a", 1000, 100.0)
    it.cut({"r1"}, 100.5)
    it.agent_said(ev.AgentSaid("r1", "a", "Good morning to you", whole=True), 100.6)
    assert it.record.row(it.record.spoken[0]).heard_text == "Good"


def test_the_books_are_written_only_when_more_was_heard() -> None:
    it = talk()
    voice(it, "r1", "a", 1000, 100.0)
    assert len(it.settle(100.5)) == 1
    assert it.settle(100.5) == []
    (write,) = it.settle(101.0)
    assert isinstance(write, do.Write)
    assert isinstance(write.row, Turn)
    assert (write.row.start_ms, write.row.end_ms) == (0, 1000)
    assert len(it.settle(101.0, all_turns=True)) == 1
