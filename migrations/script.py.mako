"""${message}

One migration, one step. It must suit the code before it too: deploys overlap. There is no downgrade.
Add "${up_revision}" to REVISIONS in app/adapters/tables.py.
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
