"""The SIP messages of calls that are over."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "ladders",
        sa.Column("call_id", sa.String(64), primary_key=True),
        sa.Column("messages", sa.LargeBinary, nullable=False),
    )
