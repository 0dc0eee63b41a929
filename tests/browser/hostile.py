"""A call in which every text that somebody else chose is markup: names, words, a tool's answer, what the wires carried."""

from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from msgspec.structs import replace

from app.adapters.data_folder import Running
from app.adapters.database import make_engine
from app.core.rows import (
    CallEnded,
    CallStarted,
    Capture,
    Consent,
    DebugEvent,
    Milestone,
    Outcome,
    Response,
    Row,
    Span,
    SpanKind,
    ToolCall,
    TransferAttempt,
    Turn,
    Who,
)
from app.core.standing import MissedCall, Voicemail
from tests.adapters.rows import writing

EVIL = "</script></td><img src=/nosuch onerror=window.ran=1><script>window.ran=1</script><b class=evil>&lt;{{7*7}}\"'"
SID = "CA" + "e" * 32
VOICEMAIL = "RE" + "e" * 32
QUIET_SID = "CA" + "f" * 32
"""A call without a word."""
WHO: tuple[Who, ...] = ("agent", "caller", "agent", "house")
STATUSES: tuple[Literal["ok", "refused", "error", "late", "working"], ...] = (
    "ok",
    "refused",
    "error",
    "late",
    "working",
)


def rows(now: datetime) -> list[Row]:
    """All that is kept of one call, at length."""
    sid = SID
    turns = [
        Turn(
            call_sid=sid, seq=n, who=who, generated_text=f"{EVIL} {n}", heard_text=EVIL[: 60 - n],
            start_ms=n * 2000, end_ms=n * 2000 + 1500,
        )
        for n, who in enumerate(WHO)
    ]  # fmt: skip
    spans = [
        Span(
            call_sid=sid, seq=n, kind=kind, name=EVIL, turn=n % 3, start_ms=n * 700, end_ms=n * 700 + 400, audio_ms=400,
            relay_us=300, note=EVIL,
        )
        for n, kind in enumerate(get_args(SpanKind))
    ]  # fmt: skip
    tools = [
        ToolCall(
            call_sid=sid, seq=n, name=EVIL, arguments=f'{{"name": "{EVIL}"}}', result=EVIL, status=status, ms=80 + n,
            start_ms=3600 + n * 100,
        )
        for n, status in enumerate(STATUSES)
    ]  # fmt: skip
    return [
        CallStarted(
            call_sid=sid, mode=EVIL, direction="inbound", from_number=EVIL, to_number=EVIL, started_at=now, version=EVIL
        ),
        *turns,
        *spans,
        *tools,
        Response(
            call_sid=sid, seq=0, response_id=EVIL, model=EVIL, status=EVIL, start_ms=100, end_ms=900, text_in=900,
            audio_out=120, cost_usd=0.01,
        ),
        Milestone(call_sid=sid, name="stream_started", at=now),
        Milestone(call_sid=sid, name=EVIL, at=now + timedelta(seconds=2)),
        Milestone(call_sid=sid, name="model_lost", at=now + timedelta(seconds=5)),
        Capture(
            call_sid=sid, seq=0, kind="name", argument=EVIL, heard=EVIL, value=EVIL, confirmed=False, failures=2
        ),
        TransferAttempt(
            call_sid=sid, seq=0, desk=EVIL, reason=EVIL, result="busy", whisper=EVIL, started_at=now,
            ended_at=now + timedelta(seconds=9),
        ),
        Consent(call_sid=sid, at=now, what="ai", text=EVIL, why=EVIL, how="greeting", heard=True),
        MissedCall(call_sid=sid, at=now, why=EVIL),
        Voicemail(recording_sid=EVIL, call_sid=sid, at=now, url="javascript:window.ran=1//", seconds=21),
        Voicemail(recording_sid=VOICEMAIL, call_sid=sid, at=now, url=f"https://api.example.com/{VOICEMAIL}", seconds=75),
        Outcome(call_sid=sid, kind=EVIL, fields={EVIL: [EVIL]}, valid=False),
        DebugEvent(call_sid=sid, at=now, source="model", event={"type": EVIL, "text": EVIL}),
        CallEnded(
            call_sid=sid, ended_at=now + timedelta(minutes=1), outcome="caller_ended", cost_usd=0.02,
            greeting_path="prepared", greeting_ms=190, model=EVIL, slowest_turn_ms=2600, cuts=1, failed_tools=3,
            turn_ms=(900, 2600),
        ),
    ]  # fmt: skip


async def put(running: Running) -> None:
    """Put that call, a silent one and many dull ones into a server's books."""
    now = datetime.now(UTC)
    dull = CallStarted(
        call_sid=QUIET_SID, mode="receptionist", direction="inbound", from_number="", to_number="+14155550199",
        started_at=now - timedelta(minutes=9),
    )  # fmt: skip
    over = CallEnded(
        call_sid=QUIET_SID, ended_at=now, outcome="failed", cost_usd=0.0, greeting_path=None, greeting_ms=None
    )
    engine = make_engine(running.database_url)
    async with writing(engine) as journal:
        for row in rows(now):
            journal.put(row)
        for n in range(60):
            began = now - timedelta(hours=n, minutes=9)
            sid = QUIET_SID if n == 0 else f"CA{n:032x}"
            journal.put(replace(dull, call_sid=sid, started_at=began, from_number=f"+1415555{n:04d}" if n else ""))
            journal.put(
                replace(
                    over, call_sid=sid, ended_at=began + timedelta(minutes=1), outcome=("failed", "completed")[n % 2],
                    greeting_ms=(n * 7) % 400 if n else None, turn_ms=(600 + n,), cost_usd=n / 1000, model="model",
                )
            )  # fmt: skip
        assert await journal.flush(10)
    await engine.dispose()
