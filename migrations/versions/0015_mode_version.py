"""Which version of its mode a call had: its stamp, of code, prompts and settings.

Nullable: code before it writes none, and of earlier calls it is not known.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("calls", sa.Column("mode_version", sa.Text()))
