"""The tables of the books: calls and what happened in them, and what every table is made of.

Others are the built-in business's (business_tables.py), those of what is told of finished calls (delivery_tables.py) and of calls
that are placed (outbound_tables.py); whoever goes through all of them takes `METADATA` of all_tables.py.

Rows of one call share its `call_sid`, without foreign keys: a row is never refused because a neighbour came late or was
lost. Everything is keyed so that writing the same row twice leaves one. docs/books.md tells what each column holds.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeDecorator

REVISIONS = (
    "0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011", "0012",
    "0013", "0014", "0015", "0016", "0017", "0018",
)  # fmt: skip
"""Every revision in migrations/versions, oldest first: lets a ready server know its schema without loading Alembic."""

PARTY = "\nCASE\n WHEN direction = 'outbound'::text THEN to_number\n ELSE from_number\nEND"
"""The number at the other end of the line, whoever dialled it. Written as Postgres prints it, so that Alembic knows it again."""
WORDS = "to_tsvector('simple'::regconfig, \"left\"(generated_text, 20000))"
"""The words of a turn. 'simple' knows no language, so it finds names and numbers, too; a text of a megabyte would be refused."""
SLOW_MS = 2000
SLOW = f"slowest_turn_ms >= {SLOW_MS}"
CUT = "cuts > 0"
FAILED = "(outcome = ANY (ARRAY['failed'::text, 'lost'::text])) OR failed_tools > 0"

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    }
)


def storable(words: str) -> str:
    """The same text without what Postgres refuses in any text: NUL characters and halves of surrogate pairs."""
    if "\x00" in words:
        words = words.replace("\x00", "")
    if not words.isascii():
        words = words.encode("utf-8", "replace").decode()
    return words


class Words(TypeDecorator[str]):
    """Text from outside: a caller, a model, a backend. Made storable wherever it is bound."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Source: PostgreSQL manual, "Character Types": the character with code zero cannot be stored."""
        return storable(value) if isinstance(value, str) else value


def moment() -> DateTime:
    """A column's type: an aware datetime."""
    return DateTime(timezone=True)


def epoch() -> Column[int]:
    """Of which of a call's owners a row is, where each of them may write it again: `Owned` in app/core/standing.py."""
    return Column("epoch", Integer, nullable=False, server_default=text("1"))


calls = Table(
    "calls",
    metadata,
    Column("call_sid", Words, primary_key=True),
    Column("mode", Words, nullable=False),
    Column("direction", Words, nullable=False),
    Column("from_number", Words, nullable=False),
    Column("to_number", Words, nullable=False),
    Column("started_at", moment(), nullable=False),
    Column("ended_at", moment()),
    Column("outcome", Words),
    Column("cost_usd", Numeric(12, 6, asdecimal=False)),
    Column("greeting_path", Words),
    Column("greeting_ms", Integer),
    Column("version", Words, nullable=False),
    Column("input_tokens", Integer),
    Column("cached_tokens", Integer),
    Column("input_audio_tokens", Integer),
    Column("cached_audio_tokens", Integer),
    Column("model", Words),
    Column("slowest_turn_ms", Integer),
    Column("cuts", Integer),
    Column("failed_tools", Integer),
    Column("turn_ms", ARRAY(Integer)),
    Column("reconnects", Integer),
    Column("longest_gap_ms", Integer),
    Column("mode_version", Words),
    epoch(),
    Index(None, "started_at"),
    Index(None, "from_number", "started_at"),
    Index("ix_calls_open", "started_at", postgresql_where=text("ended_at IS NULL")),
    Index("ix_calls_mode", "mode", "started_at", "call_sid"),
    Index("ix_calls_outcome", "outcome", "started_at", "call_sid"),
    Index("ix_calls_slow", "started_at", "call_sid", postgresql_where=text(SLOW)),
    Index("ix_calls_cut", "started_at", "call_sid", postgresql_where=text(CUT)),
    Index("ix_calls_failed", "started_at", "call_sid", postgresql_where=text(FAILED)),
    Index(
        "ix_calls_party",
        func.reverse(text(PARTY)).label("party"),
        "started_at",
        "call_sid",
        postgresql_ops={"party": "text_pattern_ops"},
    ),
)

turns = Table(
    "turns",
    metadata,
    Column("call_sid", Words, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("who", Words, nullable=False),
    Column("generated_text", Words, nullable=False),
    Column("heard_text", Words, nullable=False),
    Column("start_ms", Integer, nullable=False),
    Column("end_ms", Integer, nullable=False),
    Index("ix_turns_words", text(WORDS), postgresql_using="gin"),
)

tool_calls = Table(
    "tool_calls",
    metadata,
    Column("call_sid", Words, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("name", Words, nullable=False),
    Column("arguments", Words, nullable=False),
    Column("result", Words, nullable=False),
    Column("status", Words, nullable=False),
    Column("ms", Integer, nullable=False),
    Column("start_ms", Integer),
    Column("at", moment(), server_default=func.now()),
    Index(None, "at", postgresql_using="brin"),
)

spans = Table(
    "spans",
    metadata,
    Column("call_sid", Words, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("turn", Integer),
    Column("start_ms", Integer, nullable=False),
    Column("end_ms", Integer, nullable=False),
    Column("audio_ms", Integer),
    Column("relay_us", Integer),
    Column("note", Words, nullable=False),
)

responses = Table(
    "responses",
    metadata,
    Column("call_sid", Words, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("response_id", Words, nullable=False),
    Column("model", Words, nullable=False),
    Column("status", Words, nullable=False),
    Column("start_ms", Integer, nullable=False),
    Column("end_ms", Integer, nullable=False),
    Column("text_in", Integer, nullable=False),
    Column("text_cached", Integer, nullable=False),
    Column("audio_in", Integer, nullable=False),
    Column("audio_cached", Integer, nullable=False),
    Column("text_out", Integer, nullable=False),
    Column("audio_out", Integer, nullable=False),
    Column("cost_usd", Numeric(12, 6, asdecimal=False), nullable=False),
)

milestones = Table(
    "milestones",
    metadata,
    Column("call_sid", Words, primary_key=True),
    Column("name", Words, primary_key=True),
    Column("at", moment(), primary_key=True),
    Index(None, "name", "at"),
)

transfers = Table(
    "transfers",
    metadata,
    Column("call_sid", Words, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("desk", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("result", Words, nullable=False),
    Column("whisper", Words, nullable=False),
    Column("started_at", moment(), nullable=False),
    Column("ended_at", moment()),
    epoch(),
    Index(None, "started_at"),
)

captures = Table(
    "captures",
    metadata,
    Column("call_sid", Words, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", Words, nullable=False),
    Column("argument", Words, nullable=False),
    Column("heard", Words, nullable=False),
    Column("value", Words, nullable=False),
    Column("confirmed", Boolean, nullable=False),
    Column("failures", Integer, nullable=False),
    epoch(),
)

call_outcomes = Table(
    "call_outcomes",
    metadata,
    Column("call_sid", Words, primary_key=True),
    Column("kind", Words, nullable=False),
    Column("fields", JSONB, nullable=False),
    Column("valid", Boolean, nullable=False),
    epoch(),
)

consents = Table(
    "consents",
    metadata,
    Column("call_sid", Words, primary_key=True),
    Column("what", Words, primary_key=True),
    Column("at", moment(), nullable=False),
    Column("text", Words, nullable=False),
    Column("why", Words, nullable=False),
    Column("how", Words, nullable=False),
    Column("heard", Boolean, nullable=False),
    epoch(),
)

recordings = Table(
    "recordings",
    metadata,
    Column("call_sid", Words, primary_key=True),
    Column("path", Words, primary_key=True),
    Column("start_ms", Integer, nullable=False),
    Column("ms", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("consent", Words, nullable=False),
    Column("created_at", moment(), nullable=False),
    Column("deleted_at", moment()),
    Index("ix_recordings_kept", "created_at", postgresql_where=text("deleted_at IS NULL")),
)

call_states = Table(
    "call_states",
    metadata,
    Column("call_sid", Words, primary_key=True),
    Column("at", moment(), nullable=False),
    Column("owner", Words, nullable=False),
    Column("streams", Integer, nullable=False),
    Column("tickets", Integer, nullable=False),
    Column("state", JSONB, nullable=False),
    epoch(),
    Index(None, "at"),
)

used_tickets = Table(
    "used_tickets",
    metadata,
    Column("ticket", Words, primary_key=True),
    Column("used_by", Words, nullable=False),
    Column("at", moment(), nullable=False, server_default=func.now()),
    Index(None, "at"),
)

texts = Table(
    "texts",
    metadata,
    Column("call_sid", Words, primary_key=True),
    Column("digest", Words, primary_key=True),
    Column("state", Words, nullable=False),
    Column("code", Integer, nullable=False, server_default=text("0")),
    Column("at", moment(), nullable=False, server_default=func.now()),
)

missed_calls = Table(
    "missed_calls",
    metadata,
    Column("call_sid", Words, primary_key=True),
    Column("at", moment(), nullable=False),
    Column("why", Words, nullable=False),
    Index(None, "at"),
)

voicemails = Table(
    "voicemails",
    metadata,
    Column("recording_sid", Words, primary_key=True),
    Column("call_sid", Words, nullable=False),
    Column("at", moment(), nullable=False),
    Column("url", Words, nullable=False),
    Column("seconds", Integer, nullable=False),
    Index(None, "call_sid"),
)

stat_days = Table(
    "stat_days",
    metadata,
    Column("since", moment(), primary_key=True),
    Column("until", moment(), primary_key=True),
    Column("mode", Words, primary_key=True),
    Column("model", Words, primary_key=True),
    Column("figures", Words, nullable=False),
)

debug_events = Table(
    "debug_events",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("call_sid", Words, nullable=False),
    Column("at", moment(), nullable=False),
    Column("source", Words, nullable=False),
    Column("event", JSONB, nullable=False),
    Index(None, "call_sid", "at"),
    Index(None, "at"),
)
