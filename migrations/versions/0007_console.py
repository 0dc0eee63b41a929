"""What the console's pages show of a call: spans on its time axis, responses with their tokens, and figures to filter calls by.

All of it is additive, and columns are nullable: code before it writes none, and calls of before have none. New columns and
tables take a lock for an instant. An index on a table with rows takes as long as reading it, so those of a table that is in use
are left to app/adapters/late_indexes.py, which builds them beside the calls in progress.
"""

import sqlalchemy as sa
from alembic import op

from app.adapters.late_indexes import LATE

revision = "0007"
down_revision = "0006"

SMALL = 20_000
"""Rows of a table whose indexes take so little time that nobody waits for them."""


def upgrade() -> None:
    op.add_column("calls", sa.Column("model", sa.Text()))
    for name in ("slowest_turn_ms", "cuts", "failed_tools"):
        op.add_column("calls", sa.Column(name, sa.Integer()))
    op.add_column("tool_calls", sa.Column("start_ms", sa.Integer()))
    op.create_table(
        "spans",
        sa.Column("call_sid", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("turn", sa.Integer()),
        sa.Column("start_ms", sa.Integer(), nullable=False),
        sa.Column("end_ms", sa.Integer(), nullable=False),
        sa.Column("audio_ms", sa.Integer()),
        sa.Column("relay_us", sa.Integer()),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("call_sid", "seq", name="pk_spans"),
    )
    op.create_table(
        "responses",
        sa.Column("call_sid", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("response_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("start_ms", sa.Integer(), nullable=False),
        sa.Column("end_ms", sa.Integer(), nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in ("text_in", "text_cached", "audio_in", "audio_cached", "text_out", "audio_out")
        ),
        sa.Column("cost_usd", sa.Numeric(12, 6), nullable=False),
        sa.PrimaryKeyConstraint("call_sid", "seq", name="pk_responses"),
    )
    connection = op.get_bind()
    for table in dict.fromkeys(index.table for index in LATE):
        rows = connection.execute(sa.text(f"SELECT count(*) FROM (SELECT FROM {table} LIMIT {SMALL}) AS few")).scalar()  # noqa: S608  our own names
        if (rows or 0) < SMALL:
            for index in LATE:
                if index.table == table:
                    connection.execute(sa.text(index.sql()))
