"""Calls that are not done, and attempts that have no end: found without reading all that ever were.

Indexes only, on tables of some hundred rows a day.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_index(
        "ix_outbound_calls_unfinished", "outbound_calls", ["to_number"], postgresql_where=sa.text("status <> 'done'")
    )
    op.create_index(
        "ix_outbound_attempts_open", "outbound_attempts", ["started_at"], postgresql_where=sa.text("result = ''")
    )
