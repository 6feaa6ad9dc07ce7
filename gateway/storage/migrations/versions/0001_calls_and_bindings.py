"""Call records, and the contacts that registered with us: the tables of 0.1.0.

That version wrote no schema version down and made the second table only where a trunk is a
registrar, so what is there stays.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("call_id", sa.String(64), primary_key=True),
        sa.Column("call_sid", sa.String(64), nullable=False),
        sa.Column("direction", sa.String(16), nullable=False),
        sa.Column("trunk", sa.String(128), nullable=False),
        sa.Column("from_number", sa.String(255), nullable=False),
        sa.Column("to_number", sa.String(255), nullable=False),
        sa.Column("method", sa.String(16)),
        sa.Column("agent", sa.String(128)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("retell_call_id", sa.String(128)),
        sa.Column("a_sip_call_id", sa.String(255)),
        sa.Column("b_sip_call_id", sa.String(255)),
        sa.Column("attempts", sa.Text, nullable=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("answered_ms", sa.BigInteger),
        sa.Column("ended_ms", sa.BigInteger),
        sa.Column("duration_s", sa.Float),
        sa.Column("ended_by", sa.String(16)),
        sa.Column("cause", sa.String(64)),
        sa.Column("sip_status", sa.Integer),
        sa.Column("fault", sa.String(16)),
        sa.Column("media", sa.Text),
        sa.Column("retell_headers", sa.Text, nullable=False),
        sa.Column("disconnection_reason", sa.String(64)),
        if_not_exists=True,
    )
    for column in ("call_sid", "retell_call_id", "state"):
        op.create_index(f"calls_{column}", "calls", [column], if_not_exists=True)
    op.create_table(
        "sip_bindings",
        sa.Column("trunk", sa.String(128), primary_key=True),
        sa.Column("aor", sa.String(255), primary_key=True),
        sa.Column("contact", sa.String(512), primary_key=True),
        sa.Column("params", sa.Text, nullable=False),
        sa.Column("q", sa.Float, nullable=False),
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("sip_call_id", sa.String(255), nullable=False),
        sa.Column("cseq", sa.BigInteger, nullable=False),
        sa.Column("user_agent", sa.String(128), nullable=False),
        sa.Column("registered_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
