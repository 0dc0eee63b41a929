"""Calls that are placed: who may ask for them (API tokens), what was asked, each attempt, and whom nobody calls again.

New tables only: code before it does not know them, and places no calls.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision = "0010"


def _moment() -> sa.DateTime:
    return sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("created_at", _moment(), server_default=sa.func.now(), nullable=False),
        sa.Column("used_at", _moment()),
        sa.Column("revoked_at", _moment()),
        sa.PrimaryKeyConstraint("id", name="pk_api_tokens"),
    )
    op.create_table(
        "outbound_calls",
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("key", sa.Text()),
        sa.Column("asked_hash", sa.Text(), nullable=False),
        sa.Column("to_number", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("fields", JSONB(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("due_at", _moment(), nullable=False),
        sa.Column("not_after", _moment()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("created_at", _moment(), server_default=sa.func.now(), nullable=False),
        sa.Column("finished_at", _moment()),
        sa.PrimaryKeyConstraint("reference", name="pk_outbound_calls"),
        sa.UniqueConstraint("asked_by", "key", name="uq_outbound_calls_asked_by_key"),
    )
    op.create_index(
        "uq_outbound_calls_live",
        "outbound_calls",
        ["to_number"],
        unique=True,
        postgresql_where=sa.text("status = 'live'"),
    )
    op.create_index(
        "ix_outbound_calls_due", "outbound_calls", ["due_at"], postgresql_where=sa.text("status = 'waiting'")
    )
    op.create_table(
        "outbound_attempts",
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("to_number", sa.Text(), nullable=False),
        sa.Column("call_sid", sa.Text(), nullable=False),
        sa.Column("started_at", _moment(), nullable=False),
        sa.Column("ended_at", _moment()),
        sa.Column("answered_by", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("reference", "seq", name="pk_outbound_attempts"),
    )
    op.create_index("ix_outbound_attempts_started_at", "outbound_attempts", ["started_at"])
    op.create_index("ix_outbound_attempts_to_number_started_at", "outbound_attempts", ["to_number", "started_at"])
    op.create_index("ix_outbound_attempts_call_sid", "outbound_attempts", ["call_sid"])
    op.create_table(
        "do_not_call",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("added_at", _moment(), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_do_not_call"),
    )
