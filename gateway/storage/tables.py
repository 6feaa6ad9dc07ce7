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
    Column("transfers", Text, nullable=False, server_default="[]"),
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
    Column("part_of", String(64)),
    Column("related", Text, nullable=False, server_default="[]"),
    Column("cost_estimate", Float),
    Column("headers", Text, nullable=False, server_default="{}"),
    Column("retell", Text, nullable=False, server_default="{}"),
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

audit: Final = Table(
    "audit",
    metadata,
    Column("audit_id", String(64), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("by", String(128)),
    Column("client", String(64), nullable=False),
    Column("method", String(16), nullable=False),
    Column("path", String(512), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("what", Text, nullable=False),
)

answers: Final = Table(
    "answers",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("asked", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("content_type", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

day_counts: Final = Table(
    "day_counts",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("scope", String(8), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("calls", Integer, nullable=False),
)

spend: Final = Table(
    "spend",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("scope", String(8), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("micros", BigInteger, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
)

blocked_callers: Final = Table(
    "blocked_callers",
    metadata,
    Column("block_id", String(64), primary_key=True),
    Column("caller", String(255), nullable=False),
    Column("number", String(255), nullable=False),
    Column("note", String(255), nullable=False),
    Column("by", String(128)),
    Column("since_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger),
)

queued_calls: Final = Table(
    "queued_calls",
    metadata,
    Column("queued_id", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("campaign", String(64)),
    Column("to_number", String(32), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("not_before_ms", BigInteger, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("window", String(128)),
    Column("time_zones", Text, nullable=False),
    Column("retries", Text, nullable=False),
    Column("wanted", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("outcomes", Text, nullable=False),
    Column("call_id", String(64)),
    Column("result", String(16)),
    Column("detail", Text, nullable=False),
    Column("ended_ms", BigInteger),
    Index("queued_calls_state", "state", "queued_id"),
    Index("queued_calls_campaign", "campaign", "state"),
    Index("queued_calls_to_number", "to_number"),
    Index("queued_calls_created_ms", "created_ms", "queued_id"),
    Index("queued_calls_ended_ms", "ended_ms"),
)

tries: Final = Table(
    "tries",
    metadata,
    Column("call_id", String(64), primary_key=True),
    Column("queued_id", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("ringing_ms", BigInteger),
    Column("answered_ms", BigInteger),
    Column("agent_answered_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("result", String(16)),
    Column("cause", String(64), nullable=False),
    Column("sip_status", Integer),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("retell_call_id", String(128)),
    Column("duration_s", Float),
    Column("amd", Text),
    Column("cost_estimate", Float),
    Index("tries_queued_id", "queued_id", "number"),
    Index("tries_started_ms", "started_ms"),
)

queue_pauses: Final = Table(
    "queue_pauses",
    metadata,
    Column("campaign", String(64), primary_key=True),
    Column("by", String(128), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

do_not_call: Final = Table(
    "do_not_call",
    metadata,
    Column("number", String(32), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("by", String(128), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

callbacks: Final = Table(
    "callbacks",
    metadata,
    Column("callback_id", String(160), primary_key=True),
    Column("place", String(32), nullable=False),
    Column("stream", String(128), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("url", Text, nullable=False),
    Column("origin", String(300), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("status", Integer),
    Column("error", Text),
    Index("callbacks_due", "state", "due_ms"),
    Index("callbacks_stream", "stream", "place"),
    Index("callbacks_place", "place"),
)

campaigns: Final = Table(
    "campaigns",
    metadata,
    Column("campaign_id", String(64), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("calls", Integer, nullable=False),
    Column("made_by", String(128), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("cancelled_ms", BigInteger),
)

wishes: Final = Table(
    "wishes",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("asked", String(64), nullable=False),
    Column("made", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

retell_events: Final = Table(
    "retell_events",
    metadata,
    Column("event_id", String(64), primary_key=True),
    Column("place", String(32), nullable=False),
    Column("event", String(64), nullable=False),
    Column("retell_call_id", String(128)),
    Column("call_id", String(64)),
    Column("workspace", String(128), nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("body", Text, nullable=False),
    Index("retell_events_state", "state", "place"),
    Index("retell_events_place", "place"),
    Index("retell_events_call_id", "call_id"),
    Index("retell_events_retell_call_id", "retell_call_id"),
    Index("retell_events_received_ms", "received_ms"),
)

#: What `storage copy` takes from one database to another. The others belong to running processes.
LASTING: Final = (
    *(calls, ladders, samples, bindings, bans, audit, day_counts, spend, blocked_callers),
    *(callbacks, campaigns, retell_events),
    *(queued_calls, tries, queue_pauses, do_not_call),
)
