"""Calls of Retell's that hand a caller on."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("calls", sa.Column("part_of", sa.String(64)))
    op.add_column("calls", sa.Column("related", sa.Text, nullable=False, server_default="[]"))
