"""The queue of calls that go out, and the numbers that are never called."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "queued_calls",
        sa.Column("queued_id", sa.String(64), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("campaign", sa.String(64)),
        sa.Column("to_number", sa.String(32), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("not_before_ms", sa.BigInteger, nullable=False),
        sa.Column("due_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.Column("window", sa.String(128)),
        sa.Column("time_zones", sa.Text, nullable=False),
        sa.Column("retries", sa.Text, nullable=False),
        sa.Column("wanted", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("outcomes", sa.Text, nullable=False),
        sa.Column("call_id", sa.String(64)),
        sa.Column("result", sa.String(16)),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("ended_ms", sa.BigInteger),
    )
    op.create_index("queued_calls_state", "queued_calls", ["state", "queued_id"])
    op.create_index("queued_calls_campaign", "queued_calls", ["campaign", "state"])
    op.create_index("queued_calls_to_number", "queued_calls", ["to_number"])
    op.create_index("queued_calls_created_ms", "queued_calls", ["created_ms", "queued_id"])
    op.create_index("queued_calls_ended_ms", "queued_calls", ["ended_ms"])
    op.create_table(
        "tries",
        sa.Column("call_id", sa.String(64), primary_key=True),
        sa.Column("queued_id", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("ringing_ms", sa.BigInteger),
        sa.Column("answered_ms", sa.BigInteger),
        sa.Column("agent_answered_ms", sa.BigInteger),
        sa.Column("ended_ms", sa.BigInteger),
        sa.Column("result", sa.String(16)),
        sa.Column("cause", sa.String(64), nullable=False),
        sa.Column("sip_status", sa.Integer),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("retell_call_id", sa.String(128)),
        sa.Column("duration_s", sa.Float),
        sa.Column("amd", sa.Text),
        sa.Column("cost_estimate", sa.Float),
    )
    op.create_index("tries_queued_id", "tries", ["queued_id", "number"])
    op.create_index("tries_started_ms", "tries", ["started_ms"])
    op.create_table(
        "queue_pauses",
        sa.Column("campaign", sa.String(64), primary_key=True),
        sa.Column("by", sa.String(128), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "do_not_call",
        sa.Column("number", sa.String(32), primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.String(128), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
