"""Every table of the database, as the newest migration leaves it."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata: Final = MetaData()

calls: Final = Table(
    "calls",
    metadata,
    Column("call_id", String(64), primary_key=True),
    Column("call_sid", String(64), nullable=False),
    Column("direction", String(16), nullable=False),
    Column("trunk", String(128), nullable=False),
    Column("from_number", String(255), nullable=False),
    Column("to_number", String(255), nullable=False),
    Column("method", String(16)),
    Column("agent", String(128)),
    Column("state", String(16), nullable=False),
    Column("retell_call_id", String(128)),
    Column("a_sip_call_id", String(255)),
    Column("b_sip_call_id", String(255)),
    Column("attempts", Text, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("answered_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("duration_s", Float),
    Column("ended_by", String(16)),
    Column("cause", String(64)),
    Column("sip_status", Integer),
    Column("fault", String(16)),
    Column("media", Text),
    Column("retell_headers", Text, nullable=False),
    Column("disconnection_reason", String(64)),
    Index("calls_call_sid", "call_sid"),
    Index("calls_retell_call_id", "retell_call_id"),
    Index("calls_state", "state"),
)

bindings: Final = Table(
    "sip_bindings",
    metadata,
    Column("trunk", String(128), primary_key=True),
    Column("aor", String(255), primary_key=True),
    Column("contact", String(512), primary_key=True),
    Column("params", Text, nullable=False),
    Column("q", Float, nullable=False),
    Column("instance", Text, nullable=False),
    Column("source", String(64), nullable=False),
    Column("path", Text, nullable=False),
    Column("sip_call_id", String(255), nullable=False),
    Column("cseq", BigInteger, nullable=False),
    Column("user_agent", String(128), nullable=False),
    Column("registered_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)

bans: Final = Table(
    "bans",
    metadata,
    Column("address", String(64), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("strikes", Integer, nullable=False),
    Column("bans", Integer, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
)

live_calls: Final = Table(
    "live_calls",
    metadata,
    Column("call_id", String(64), primary_key=True),
    Column("owner", String(255), nullable=False),
    Column("state", Text, nullable=False),
    Column("saved_ms", BigInteger, nullable=False),
)

slots: Final = Table(
    "slots",
    metadata,
    Column("trunk", String(128), primary_key=True),
    Column("owner", String(255), primary_key=True),
    Column("calls", Integer, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)

leases: Final = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("owner", String(255), nullable=False),
    Column("term", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)

ladders: Final = Table(
    "ladders",
    metadata,
    Column("call_id", String(64), primary_key=True),
    Column("messages", LargeBinary, nullable=False),
)

samples: Final = Table(
    "samples",
    metadata,
    Column("call_id", String(64), primary_key=True),
    Column("legs", LargeBinary, nullable=False),
)

#: What `storage copy` takes from one database to another. The others belong to running processes.
LASTING: Final = (calls, ladders, samples, bindings, bans)
