"""How often a call had to take another session with the model, and how long it was without one at most.

Both are nullable: code before it writes neither, and of earlier calls it is not known.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("calls", sa.Column("reconnects", sa.Integer()))
    op.add_column("calls", sa.Column("longest_gap_ms", sa.Integer()))
