"""Figures of days that are over, so that the page of figures need not count their calls again and again.

A new table that can be emptied at any time: it is filled again out of the calls. Code before it counts them each time.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "stat_days",
        sa.Column("since", moment, nullable=False),
        sa.Column("until", moment, nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("figures", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("since", "until", "mode", "model", name="pk_stat_days"),
    )
