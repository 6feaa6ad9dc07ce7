"""What a call's INVITE said of itself."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("calls", sa.Column("headers", sa.Text, nullable=False, server_default="{}"))
