"""What the page of figures counts: each call's waits for an answer, and when a tool call was written down.

Both are nullable: code before it writes no waits, and the server itself sets the moment, for old code too. The moments of older
rows are not known; where the books are small they are taken from their calls. The index keeps one entry for a stretch of rows
that were written together, so building it reads the table once and writes nearly nothing.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0008"
down_revision = "0007"

SMALL = 20_000
"""Rows that are filled in so quickly that nobody waits for them."""


def upgrade() -> None:
    op.add_column("calls", sa.Column("turn_ms", ARRAY(sa.Integer())))
    op.add_column("tool_calls", sa.Column("at", sa.DateTime(timezone=True)))
    op.alter_column("tool_calls", "at", server_default=sa.func.now())
    few = f"SELECT count(*) FROM (SELECT FROM tool_calls LIMIT {SMALL}) AS few"  # noqa: S608  our own number
    rows = op.get_bind().execute(sa.text(few)).scalar()
    if (rows or 0) < SMALL:
        op.execute("UPDATE tool_calls SET at = started_at FROM calls WHERE calls.call_sid = tool_calls.call_sid")
    op.create_index("ix_tool_calls_at", "tool_calls", ["at"], postgresql_using="brin")
