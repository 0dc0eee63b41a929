"""The tables of the built-in business: bookings, and messages for the office."""

from sqlalchemy import Column, DateTime, Index, Table, UniqueConstraint, func, text

from app.adapters.tables import Words, metadata, moment

bookings = Table(
    "bookings",
    metadata,
    Column("reference", Words, primary_key=True),
    Column("key", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("start", DateTime(timezone=False), nullable=False),
    Column("reason", Words, nullable=False),
    Column("phone", Words, nullable=False),
    Column("created_at", moment(), nullable=False, server_default=func.now()),
    Column("cancelled_at", moment()),
    Column("cancel_key", Words),
    UniqueConstraint("key"),
    UniqueConstraint("cancel_key"),
    Index("uq_bookings_start_kept", "start", unique=True, postgresql_where=text("cancelled_at IS NULL")),
    Index(None, "phone"),
)

messages = Table(
    "messages",
    metadata,
    Column("reference", Words, primary_key=True),
    Column("key", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("text", Words, nullable=False),
    Column("phone", Words, nullable=False),
    Column("created_at", moment(), nullable=False, server_default=func.now()),
    UniqueConstraint("key"),
    Index(None, "created_at"),
    Index(None, "phone"),
)
