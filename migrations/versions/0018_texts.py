"""Texts that a call has asked the carrier for, so that no other process asks for one again.

One new table; code before it knows nothing of it, and remembers what it has sent itself, as it always did.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "texts",
        sa.Column("call_sid", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("call_sid", "digest", name="pk_texts"),
    )
