"""What Retell's webhooks told, and what of it is a call's."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("calls", sa.Column("retell", sa.Text, nullable=False, server_default="{}"))
    op.create_table(
        "retell_events",
        sa.Column("event_id", sa.String(64), primary_key=True),
        sa.Column("place", sa.String(32), nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("retell_call_id", sa.String(128)),
        sa.Column("call_id", sa.String(64)),
        sa.Column("workspace", sa.String(128), nullable=False),
        sa.Column("received_ms", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("retell_events_state", "retell_events", ["state", "place"])
    op.create_index("retell_events_place", "retell_events", ["place"])
    op.create_index("retell_events_call_id", "retell_events", ["call_id"])
    op.create_index("retell_events_retell_call_id", "retell_events", ["retell_call_id"])
    op.create_index("retell_events_received_ms", "retell_events", ["received_ms"])
