"""The tables of what is told of finished calls: which are to be told, to whom, and each delivery."""

from sqlalchemy import Boolean, Column, Index, Integer, Table, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY

from app.adapters.tables import Words, epoch, metadata, moment

finished_calls = Table(
    "finished_calls",
    metadata,
    Column("call_sid", Words, primary_key=True),
    Column("at", moment(), nullable=False),
    Column("written", ARRAY(Text)),
    Column("due_at", moment(), nullable=False, server_default=func.now()),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("told", Boolean, nullable=False, server_default=text("false")),
    epoch(),
    Index("ix_finished_calls_due", "due_at", postgresql_where=text("NOT told")),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("name", Words, primary_key=True),
    Column("since", moment(), nullable=False),
    Column("off_at", moment()),
    Column("off_why", Words),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Words, primary_key=True),
    Column("call_sid", Words, nullable=False),
    Column("endpoint", Words, nullable=False),
    Column("event", Words, nullable=False),
    Column("payload", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_at", moment(), nullable=False),
    Column("created_at", moment(), nullable=False),
    Column("sent_at", moment()),
    Column("status", Integer),
    Column("why", Words, nullable=False, server_default=text("''")),
    UniqueConstraint("call_sid", "endpoint", "event"),
    Index("ix_deliveries_due", "endpoint", "next_at", postgresql_where=text("state = 'waiting'")),
    Index("ix_deliveries_created", "created_at"),
)
