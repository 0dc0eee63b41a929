"""The built-in business: bookings (one chair: one kept booking for a start) and messages for the office."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "bookings",
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("start", sa.DateTime(timezone=False), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("cancelled_at", MOMENT),
        sa.Column("cancel_key", sa.Text()),
        sa.PrimaryKeyConstraint("reference", name="pk_bookings"),
        sa.UniqueConstraint("key", name="uq_bookings_key"),
        sa.UniqueConstraint("cancel_key", name="uq_bookings_cancel_key"),
    )
    op.create_index(
        "uq_bookings_start_kept", "bookings", ["start"], unique=True, postgresql_where=sa.text("cancelled_at IS NULL")
    )
    op.create_table(
        "messages",
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("reference", name="pk_messages"),
        sa.UniqueConstraint("key", name="uq_messages_key"),
    )
    op.create_index("ix_messages_created_at", "messages", ["created_at"])
