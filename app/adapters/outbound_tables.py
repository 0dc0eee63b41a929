"""The tables of calls that are placed: tokens of those who may ask, what was asked, each attempt, and the do-not-call list."""

from sqlalchemy import Column, Index, Integer, Table, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB

from app.adapters.tables import Words, metadata, moment

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Words, primary_key=True),
    Column("name", Words, nullable=False),
    Column("hash", Words, nullable=False),
    Column("created_at", moment(), nullable=False, server_default=func.now()),
    Column("used_at", moment()),
    Column("revoked_at", moment()),
)

outbound_calls = Table(
    "outbound_calls",
    metadata,
    Column("reference", Words, primary_key=True),
    Column("asked_by", Words, nullable=False),
    Column("key", Words),
    Column("asked_hash", Words, nullable=False),
    Column("to_number", Words, nullable=False),
    Column("mode", Words, nullable=False),
    Column("fields", JSONB, nullable=False),
    Column("status", Words, nullable=False),
    Column("due_at", moment(), nullable=False),
    Column("not_after", moment()),
    Column("attempts", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("result", Words, nullable=False),
    Column("created_at", moment(), nullable=False, server_default=func.now()),
    Column("finished_at", moment()),
    UniqueConstraint("asked_by", "key"),
    Index("uq_outbound_calls_live", "to_number", unique=True, postgresql_where=text("status = 'live'")),
    Index("ix_outbound_calls_due", "due_at", postgresql_where=text("status = 'waiting'")),
    Index("ix_outbound_calls_unfinished", "to_number", postgresql_where=text("status <> 'done'")),
)

outbound_attempts = Table(
    "outbound_attempts",
    metadata,
    Column("reference", Words, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("to_number", Words, nullable=False),
    Column("call_sid", Words, nullable=False),
    Column("started_at", moment(), nullable=False),
    Column("ended_at", moment()),
    Column("answered_by", Words, nullable=False),
    Column("result", Words, nullable=False),
    Column("detail", Words, nullable=False),
    Index(None, "started_at"),
    Index(None, "to_number", "started_at"),
    Index(None, "call_sid"),
    Index("ix_outbound_attempts_open", "started_at", postgresql_where=text("result = ''")),
)

do_not_call = Table(
    "do_not_call",
    metadata,
    Column("number", Words, primary_key=True),
    Column("why", Words, nullable=False),
    Column("added_at", moment(), nullable=False, server_default=func.now()),
)
