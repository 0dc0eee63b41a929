"""Of which of a call's owners a row is, where one after another may write it: an earlier one's never replaces a later one's.

A constant default: Postgres writes it nowhere, so the columns are there at once on tables of any size. Code before it writes rows
of the first owner, and replaces what it finds, as it always did.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

TABLES = ("captures", "transfers", "consents", "call_outcomes", "calls", "call_states", "finished_calls")
"""As the journal's batches go through them."""


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("epoch", sa.Integer(), nullable=False, server_default=sa.text("1")))
