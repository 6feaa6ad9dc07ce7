"""REST bodies as Retell documents them: types are strict, unknown fields are ignored.

Strict matters: `"true"` is no boolean and 5 is no string for Retell, so neither are they here.
"""

import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from testkit.sandbox.settings import Transport, WeightedAgent

Variables = dict[str, str]
AgentVersion = int | str
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]

#: Documented for updates; taken for creations as well.
METADATA_BYTES = 50_000


_E164 = re.compile(r"\+[1-9][0-9]{1,14}")


def is_e164(number: str) -> bool:
    """Whether `number` is a country code and up to 15 digits in all, after a plus."""
    return _E164.fullmatch(number) is not None


def json_size(value: object) -> int:
    """Bytes of `value` as JSON."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


class Body(BaseModel):
    """A request body."""

    model_config = ConfigDict(strict=True, frozen=True)


class OverriddenAgent(Body):
    """`agent_override.agent`: of its many fields, those that show on the telephone line."""

    webhook_url: str | None = None
    webhook_events: list[str] | None = None
    webhook_timeout_ms: int = Field(default=10_000, gt=0)
    max_call_duration_ms: int = Field(default=3_600_000, ge=60_000, le=7_200_000)
    end_call_after_silence_ms: int = Field(default=600_000, ge=10_000)
    ring_duration_ms: int = Field(default=30_000, ge=5_000, le=300_000)


class AgentOverride(Body):
    """Per-call settings; the response engine's do not concern a sandbox."""

    agent: OverriddenAgent | None = None
    retell_llm: dict[str, Any] | None = None
    conversation_flow: dict[str, Any] | None = None


class RegisterPhoneCall(Body):
    """`POST /v2/register-phone-call`."""

    agent_id: str = Field(min_length=1)
    agent_version: AgentVersion | None = None
    agent_override: AgentOverride | None = None
    direction: Literal["inbound", "outbound"] = "inbound"
    from_number: str = ""
    to_number: str = ""
    metadata: dict[str, Any] | None = None
    retell_llm_dynamic_variables: Variables = Field(default_factory=dict)


class CreatePhoneCall(Body):
    """`POST /v2/create-phone-call`."""

    from_number: str
    to_number: str
    override_agent_id: str | None = None
    override_agent_version: AgentVersion | None = None
    agent_override: AgentOverride | None = None
    metadata: dict[str, Any] | None = None
    retell_llm_dynamic_variables: Variables = Field(default_factory=dict)
    custom_sip_headers: dict[str, str] = Field(default_factory=dict)
    ignore_e164_validation: bool = False
    idempotency_key: str | None = Field(default=None, min_length=1)
    honor_internal_dnc: bool = False


def _weights_sum_to_one(agents: list[WeightedAgent] | None) -> None:
    if agents and abs(sum(agent.weight for agent in agents) - 1) > 1e-6:
        raise ValueError("the weights of the agents must add up to 1")


class NumberFields(Body):
    """What import and update have in common."""

    transport: Transport | None = None
    codecs: list[str] | None = None
    inbound_agents: list[WeightedAgent] | None = None
    outbound_agents: list[WeightedAgent] | None = None
    inbound_webhook_url: str | None = None
    nickname: str | None = None
    allowed_inbound_country_list: list[Country] | None = None
    allowed_outbound_country_list: list[Country] | None = None

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        _weights_sum_to_one(self.inbound_agents)
        _weights_sum_to_one(self.outbound_agents)
        return self


class ImportPhoneNumber(NumberFields):
    """`POST /import-phone-number`."""

    phone_number: str = Field(min_length=1)
    termination_uri: str = Field(min_length=1)
    sip_trunk_auth_username: str | None = None
    sip_trunk_auth_password: str | None = None
    ignore_e164_validation: bool = True


class UpdatePhoneNumber(NumberFields):
    """`PATCH /update-phone-number/{number}`: absent fields stay, null removes."""

    termination_uri: str | None = Field(default=None, min_length=1)
    auth_username: str | None = None
    auth_password: str | None = None
    fallback_number: str | None = None


class InboundOverride(BaseModel):
    """`call_inbound` in the answer to the inbound webhook; one bad field voids them all."""

    model_config = ConfigDict(strict=True, frozen=True)

    reject: bool = False
    override_agent_id: str | None = None
    override_agent_version: AgentVersion | None = None
    agent_override: AgentOverride | None = None
    dynamic_variables: Variables = Field(default_factory=dict)
    metadata: dict[str, Any] | None = None


class InboundAnswer(BaseModel):
    """The whole answer to the inbound webhook."""

    model_config = ConfigDict(strict=True, frozen=True)

    call_inbound: InboundOverride = InboundOverride()


class StringFilter(Body):
    type: Literal["string"]
    op: Literal["eq", "ne", "sw", "ew", "co"]
    value: str


class EnumFilter(Body):
    type: Literal["enum"]
    op: Literal["in"]
    value: list[str]


class NumberFilter(Body):
    type: Literal["number"]
    op: Literal["eq", "ne", "gt", "ge", "lt", "le"]
    value: float


class RangeFilter(Body):
    type: Literal["range"]
    op: Literal["bt"]
    value: Annotated[list[float], Field(min_length=2, max_length=2)]


Filter = Annotated[
    StringFilter | EnumFilter | NumberFilter | RangeFilter, Field(discriminator="type")
]


class AgentFilter(Body):
    agent_id: str
    version: list[float] = Field(default_factory=list)


class FilterCriteria(Body):
    """Those filters that telephony needs; another one is refused rather than ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    agent: list[AgentFilter] | None = None
    call_id: Filter | None = None
    call_status: Filter | None = None
    call_type: Filter | None = None
    direction: Filter | None = None
    disconnection_reason: Filter | None = None
    duration_ms: Filter | None = None
    end_timestamp: Filter | None = None
    from_number: Filter | None = None
    start_timestamp: Filter | None = None
    to_number: Filter | None = None


class ListCalls(Body):
    """`POST /v3/list-calls`."""

    filter_criteria: FilterCriteria = FilterCriteria()
    limit: int = Field(default=50, ge=1, le=1000)
    skip: int | None = Field(default=None, ge=0)
    pagination_key: str | None = None
    sort_order: Literal["ascending", "descending"] = "descending"
    include_total: bool = False

    @model_validator(mode="after")
    def _one_way_to_page(self) -> Self:
        if self.skip is not None and self.pagination_key is not None:
            raise ValueError("skip and pagination_key exclude each other")
        return self
