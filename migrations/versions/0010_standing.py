"""What lets a call outlive its process: how each call stands, tickets that were used, callers whom nobody could talk to.

Four new tables; code before it knows nothing of them, and takes a call up by its other rows, as it always did.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "call_states",
        sa.Column("call_sid", sa.Text(), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("streams", sa.Integer(), nullable=False),
        sa.Column("tickets", sa.Integer(), nullable=False),
        sa.Column("state", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("call_sid", name="pk_call_states"),
    )
    op.create_index("ix_call_states_at", "call_states", ["at"])
    op.create_table(
        "used_tickets",
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("used_by", sa.Text(), nullable=False),
        sa.Column("at", moment, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("ticket", name="pk_used_tickets"),
    )
    op.create_index("ix_used_tickets_at", "used_tickets", ["at"])
    op.create_table(
        "missed_calls",
        sa.Column("call_sid", sa.Text(), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("call_sid", name="pk_missed_calls"),
    )
    op.create_index("ix_missed_calls_at", "missed_calls", ["at"])
    op.create_table(
        "voicemails",
        sa.Column("recording_sid", sa.Text(), nullable=False),
        sa.Column("call_sid", sa.Text(), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("recording_sid", name="pk_voicemails"),
    )
    op.create_index("ix_voicemails_call_sid", "voicemails", ["call_sid"])
