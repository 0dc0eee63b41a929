"""What the model read in a call, and how much of it came from the provider's cache. Nullable: code before it writes none."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for name in ("input_tokens", "cached_tokens", "input_audio_tokens", "cached_audio_tokens"):
        op.add_column("calls", sa.Column(name, sa.Integer()))
