"""Which recordings of calls there are on disk: a row for each stream that was kept, and when its file was deleted.

A new table; code before it makes no recordings.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "recordings",
        sa.Column("call_sid", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("start_ms", sa.Integer(), nullable=False),
        sa.Column("ms", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("consent", sa.Text(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("deleted_at", moment),
        sa.PrimaryKeyConstraint("call_sid", "path", name="pk_recordings"),
    )
    op.create_index("ix_recordings_kept", "recordings", ["created_at"], postgresql_where=sa.text("deleted_at IS NULL"))
