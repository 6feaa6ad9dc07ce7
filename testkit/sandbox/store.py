"""What the sandbox remembers: calls, numbers, idempotency keys. Plain data, bounded, in memory."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from testkit.sandbox.heard import Heard
from testkit.sandbox.settings import Agent, PresetNumber, Transport, WeightedAgent

#: Calls that are remembered; of the ended ones, the oldest go first.
MAX_CALLS = 5000


class Status(Enum):
    """`call_status`."""

    REGISTERED = "registered"
    ONGOING = "ongoing"
    ENDED = "ended"
    ERROR = "error"
    NOT_CONNECTED = "not_connected"

    @property
    def over(self) -> bool:
        return self not in (Status.REGISTERED, Status.ONGOING)


class Way(Enum):
    """How a call came to be."""

    REGISTERED = "registered"
    """method 2: register-phone-call, then its id is dialled"""
    INBOUND = "inbound"
    """method 1: an imported number is dialled"""
    OUTBOUND = "outbound"
    """create-phone-call"""


#: Statuses of reasons; whatever is not listed is `ended` (retell.com, debug-call-disconnect).
NOT_CONNECTED = frozenset(
    {
        "dial_busy",
        "dial_no_answer",
        "dial_failed",
        "invalid_destination",
        "telephony_provider_permission_denied",
        "telephony_provider_unavailable",
        "sip_routing_error",
        "marked_as_spam",
        "network_blocked",
        "user_declined",
    }
)
ERRORS = frozenset(
    {
        "concurrency_limit_reached",
        "registered_call_timeout",
        "error_no_audio_received",
        "error_unknown",
    }
)


def status_of(reason: str) -> Status:
    """The `call_status` that goes with a `disconnection_reason`."""
    if reason in NOT_CONNECTED:
        return Status.NOT_CONNECTED
    return Status.ERROR if reason in ERRORS else Status.ENDED


@dataclass(slots=True)
class SipView:
    """The SIP side of a call as the sandbox saw it; Retell shows none of this."""

    sip_call_id: str
    request_uri: str
    from_: str
    to: str
    peer: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    """all headers of the INVITE (its credentials excepted)"""
    final_status: int | None = None
    bye_headers: list[tuple[str, str]] = field(default_factory=list)
    """`X-` headers of the BYE that we received"""


class Outcome(Enum):
    """What a use of a tool came to."""

    RUNNING = "running"
    DONE = "done"
    """the target has the caller, or the function answered 2xx"""
    FAILED = "failed"
    """the agent was told so and talks on"""
    CUT_OFF = "cut-off"
    """the call ended meanwhile"""


@dataclass(slots=True)
class ToolUse:
    """One use of an agent's tool, as far as it has come."""

    kind: str
    target: str
    at_ms: int
    outcome: Outcome = Outcome.RUNNING
    status: int | None = None
    """the final response to the REFER, the INVITE or the POST"""
    news: list[tuple[int, str]] = field(default_factory=list)
    """the status lines that the NOTIFYs brought, in order"""
    told: str | None = None
    """what a function's answer said to the agent"""
    attempts: int = 1
    sip_call_id: str | None = None
    """of the leg to the target of a warm transfer"""
    heard: Heard | None = None
    """what the target of a warm transfer said"""

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "target": self.target,
            "at_ms": self.at_ms,
            "outcome": self.outcome.value,
            "status": self.status,
            "news": self.news,
            "told": self.told,
            "attempts": self.attempts,
            "sip_call_id": self.sip_call_id,
        }


@dataclass(slots=True)
class Call:
    """One call. Times in ms since 1970; `registered_s` is monotonic."""

    call_id: str
    way: Way
    direction: str
    agent_id: str
    agent_version: int
    agent: Agent
    from_number: str
    to_number: str
    registered_s: float
    created_ms: int
    metadata: dict[str, Any] | None = None
    variables: dict[str, str] = field(default_factory=dict)
    custom_sip_headers: dict[str, str] = field(default_factory=dict)
    status: Status = Status.REGISTERED
    claimed: bool = False
    """an INVITE for it is being answered, or was"""
    start_ms: int | None = None
    end_ms: int | None = None
    disconnection_reason: str | None = None
    analysis: dict[str, Any] | None = None
    sip: SipView | None = None
    heard: Heard | None = None
    transfer_destination: str | None = None
    transfer_end_ms: int | None = None
    tools: list[ToolUse] = field(default_factory=list)

    @property
    def connected(self) -> bool:
        return self.start_ms is not None

    def to_json(self) -> dict[str, Any]:
        """The phone-call object of get-call and of the webhooks."""
        optional = {
            "custom_sip_headers": self.custom_sip_headers or None,
            "metadata": self.metadata,
            "retell_llm_dynamic_variables": self.variables or None,
            "start_timestamp": self.start_ms,
            "end_timestamp": self.end_ms,
            "duration_ms": self._duration_ms(),
            "disconnection_reason": self.disconnection_reason,
            "transfer_destination": self.transfer_destination,
            "transfer_end_timestamp": self.transfer_end_ms,
            "transcript": "" if self.status.over and self.connected else None,
            "call_analysis": self.analysis,
        }
        return {
            "call_id": self.call_id,
            "call_type": "phone_call",
            "call_status": self.status.value,
            "direction": self.direction,
            "from_number": self.from_number,
            "to_number": self.to_number,
            "agent_id": self.agent_id,
            "agent_version": self.agent_version,
            **{name: value for name, value in optional.items() if value is not None},
        }

    def _duration_ms(self) -> int | None:
        if self.start_ms is None or self.end_ms is None:
            return None
        return self.end_ms - self.start_ms


@dataclass(slots=True)
class Number:
    """An imported number and the trunk behind it."""

    phone_number: str
    termination_uri: str
    modified_ms: int
    transport: Transport = "TCP"
    auth_username: str | None = None
    auth_password: str | None = None
    codecs: list[str] = field(default_factory=list)
    inbound_agents: list[WeightedAgent] = field(default_factory=list)
    outbound_agents: list[WeightedAgent] = field(default_factory=list)
    inbound_webhook_url: str | None = None
    nickname: str | None = None
    fallback_number: str | None = None
    allowed_inbound_country_list: list[str] = field(default_factory=list)
    allowed_outbound_country_list: list[str] = field(default_factory=list)

    @classmethod
    def preset(cls, preset: PresetNumber, now_ms: int) -> "Number":
        return cls(
            phone_number=preset.phone_number,
            termination_uri=preset.termination_uri,
            modified_ms=now_ms,
            transport=preset.transport,
            auth_username=preset.auth_username,
            auth_password=preset.auth_password,
            codecs=list(preset.codecs),
            inbound_agents=list(preset.inbound_agents),
            outbound_agents=list(preset.outbound_agents),
            inbound_webhook_url=preset.inbound_webhook_url,
            fallback_number=preset.fallback_number,
        )

    def to_json(self) -> dict[str, Any]:
        """The phone-number object; the password never comes back."""
        optional = {
            "nickname": self.nickname,
            "inbound_webhook_url": self.inbound_webhook_url,
            "fallback_number": self.fallback_number,
        }
        return {
            "phone_number": self.phone_number,
            "phone_number_type": "custom",
            "phone_number_pretty": self.phone_number,
            "last_modification_timestamp": self.modified_ms,
            "inbound_agents": [
                agent.model_dump(exclude_none=True) for agent in self.inbound_agents
            ],
            "outbound_agents": [
                agent.model_dump(exclude_none=True) for agent in self.outbound_agents
            ],
            "allowed_inbound_country_list": self.allowed_inbound_country_list,
            "allowed_outbound_country_list": self.allowed_outbound_country_list,
            "sip_outbound_trunk_config": {
                "termination_uri": self.termination_uri,
                "transport": self.transport,
                "codecs": self.codecs,
                **({"auth_username": self.auth_username} if self.auth_username else {}),
            },
            **{name: value for name, value in optional.items() if value is not None},
        }


def pick(agents: list[WeightedAgent], fraction: float) -> WeightedAgent | None:
    """One of the agents by weight; `fraction` is 0 <= x < 1."""
    for agent in agents:
        fraction -= agent.weight
        if fraction < 0:
            return agent
    return agents[-1] if agents else None


class Store:
    """All calls and numbers, newest call last."""

    def __init__(self, max_calls: int = MAX_CALLS) -> None:
        self.numbers: dict[str, Number] = {}
        self._calls: OrderedDict[str, Call] = OrderedDict()
        self._max_calls = max_calls
        self._idempotent: dict[str, tuple[float, str]] = {}

    def add(self, call: Call) -> None:
        """Remember `call`; the oldest call that is over makes room."""
        self._calls[call.call_id] = call
        if len(self._calls) > self._max_calls:
            oldest = next((old.call_id for old in self._calls.values() if old.status.over), None)
            if oldest is not None:
                del self._calls[oldest]

    def call(self, call_id: str) -> Call | None:
        return self._calls.get(call_id)

    def calls(self) -> Iterator[Call]:
        return iter(self._calls.values())

    def __len__(self) -> int:
        return len(self._calls)

    def remember_key(self, key: str, call_id: str, until_s: float) -> None:
        """The idempotency key stands for this call until then (monotonic seconds)."""
        self._idempotent[key] = (until_s, call_id)

    def by_key(self, key: str, now_s: float) -> Call | None:
        """The call that this idempotency key already made."""
        self._idempotent = {
            known: entry for known, entry in self._idempotent.items() if entry[0] > now_s
        }
        entry = self._idempotent.get(key)
        return self._calls.get(entry[1]) if entry else None
