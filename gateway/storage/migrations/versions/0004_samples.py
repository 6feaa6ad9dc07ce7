"""How good the legs of calls were over time."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "samples",
        sa.Column("call_id", sa.String(64), primary_key=True),
        sa.Column("legs", sa.LargeBinary, nullable=False),
    )
