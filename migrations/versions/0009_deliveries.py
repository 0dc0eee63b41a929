"""Word to the business: calls that are over and of which nobody was told yet, endpoints, and what is on its way to them.

Three new tables; code before it knows nothing of them, and its calls are told of by the sweep for calls without a row.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "finished_calls",
        sa.Column("call_sid", sa.Text(), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("written", ARRAY(sa.Text())),
        sa.Column("due_at", moment, nullable=False, server_default=sa.func.now()),
        sa.Column("tries", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("told", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.PrimaryKeyConstraint("call_sid", name="pk_finished_calls"),
    )
    op.create_index("ix_finished_calls_due", "finished_calls", ["due_at"], postgresql_where=sa.text("NOT told"))
    op.create_table(
        "webhooks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("since", moment, nullable=False),
        sa.Column("off_at", moment),
        sa.Column("off_why", sa.Text()),
        sa.PrimaryKeyConstraint("name", name="pk_webhooks"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("call_sid", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("next_at", moment, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("sent_at", moment),
        sa.Column("status", sa.Integer()),
        sa.Column("why", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.UniqueConstraint("call_sid", "endpoint", "event", name="uq_deliveries_call_sid_endpoint_event"),
    )
    waiting = sa.text("state = 'waiting'")
    op.create_index("ix_deliveries_due", "deliveries", ["endpoint", "next_at"], postgresql_where=waiting)
    op.create_index("ix_deliveries_created", "deliveries", ["created_at"])
