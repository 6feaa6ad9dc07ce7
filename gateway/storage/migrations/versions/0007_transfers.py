"""What became of a call's transfers."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("calls", sa.Column("transfers", sa.Text, nullable=False, server_default="[]"))
