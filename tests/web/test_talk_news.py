"""What a page is told of a talk, as it happens."""

from typing import Any

from app.core import effects as do
from app.core import events as ev
from app.core.record import CallRecord
from app.core.rows import Milestone, Turn
from app.web.console.talk_news import MOST_TEXT, TalkNews

SID = "CA" + "1" * 32


class Page:
    """A page that remembers."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def tell(self, kind: str, **what: Any) -> None:
        self.told.append({"kind": kind, **what})


def news() -> tuple[TalkNews, Page, CallRecord]:
    page, record = Page(), CallRecord(call_sid=SID, mode="receptionist", spoken=[])
    return TalkNews(page, record.find), page, record


def test_who_speaks_and_what_is_said_so_far() -> None:
    told, page, record = news()
    record.speaks("caller", "i1", 900)
    told(ev.CallerSpoke("i1"), [])
    told(ev.CallerStopped("i1"), [])
    record.speaks("caller", "i1", 900).text = "Sales, please."
    told(ev.CallerTranscribed("i1", "Sales, please."), [])
    record.speaks("agent", "i2", 2000).text = "Of"
    told(ev.AgentSpoke("r1", "i2"), [do.Measure("turn", 0.412)])
    told(ev.MarkReached("m1"), [])
    assert page.told == [
        {"kind": "speaks", "who": "caller", "on": True},
        {"kind": "words", "seq": 0, "who": "caller", "text": "", "at_ms": 900},
        {"kind": "speaks", "who": "caller", "on": False},
        {"kind": "words", "seq": 0, "who": "caller", "text": "Sales, please.", "at_ms": 900},
        {"kind": "speaks", "who": "agent", "on": True},
        {"kind": "words", "seq": 1, "who": "agent", "text": "Of", "at_ms": 2000},
        {"kind": "latency", "what": "turn", "ms": 412, "path": ""},
        {"kind": "speaks", "who": "agent", "on": False},
    ]


def test_words_that_belong_to_no_turn_are_nobodys() -> None:
    told, page, _ = news()
    told(ev.AgentSaid("r1", "i9", "never heard"), [])
    assert page.told == []


def test_a_cut_and_what_was_heard_until_then() -> None:
    told, page, record = news()
    record.speaks("agent", "i1", 0).text = "Good morning."
    turn = Turn(
        call_sid=SID, seq=0, who="agent", generated_text="Good morning.", heard_text="Good", start_ms=0, end_ms=400
    )
    told(ev.TimePassed(), [do.ClearPlayback(), do.Write(turn)])
    assert page.told == [
        {"kind": "speaks", "who": "agent", "on": False, "cut": True},
        {"kind": "turn", "seq": 0, "who": "agent", "text": "Good morning.", "heard": "Good", "at_ms": 0},
    ]


def test_a_tool_runs_and_comes_back_and_a_slow_one_twice() -> None:
    told, page, _ = news()
    told(ev.TimePassed(), [do.RunTool("c1", "free_slots", '{"day": "<script>"}')])
    told(ev.ToolReturned(call_id="c1", output="{}", status="working", ms=900), [])
    told(ev.ToolFinished(call_id="c1", output="x" * (MOST_TEXT + 1), status="ok", ms=4000), [])
    assert page.told == [
        {"kind": "tool", "id": "c1", "name": "free_slots", "arguments": '{"day": "<script>"}', "status": "runs"},
        {"kind": "tool", "id": "c1", "name": "free_slots", "status": "working", "result": "{}", "ms": 900},
        {"kind": "tool", "id": "c1", "name": "free_slots", "status": "ok", "result": "x" * MOST_TEXT, "ms": 4000},
    ]


def test_what_the_house_does() -> None:
    told, page, _ = news()
    told(ev.ModelLost("closed (1006)"), [do.PlayClip("one_moment"), do.Apologise("the model is gone")])
    told(ev.ModelComplained(code="x", type="y", message="no"), [do.PutThrough("sales", "asked")])
    told(ev.TimePassed(), [do.HangUp("said goodbye"), do.Resume("the line broke")])
    told(ev.TimePassed(), [do.Write(Milestone(call_sid=SID, name="call_closed", at=None))])  # type: ignore[arg-type]
    assert [(one["kind"], one.get("text", one.get("name")), one.get("bad", False)) for one in page.told] == [
        ("house", "the model is gone: closed (1006)", True),
        ("house", "a recording of the house is played: one moment", False),
        ("house", "the call falls back: the model is gone", True),
        ("house", "the model complains: no", True),
        ("house", "the caller is put through to sales", False),
        ("house", "the agent hangs up", False),
        ("house", "the talk is taken up on a fresh stream: the line broke", True),
        ("milestone", "call_closed", False),
    ]
