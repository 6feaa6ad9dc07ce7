"""Everything the sandbox can be told, with Retell's documented values as defaults.

What Retell does not document is here too, each with the value that seems likeliest, so that a
finding on a live account becomes one changed default.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

#: The sandbox's well-known API key. It opens nothing but a sandbox.
SANDBOX_KEY = "sandbox-key"

SipStatus = Annotated[int, Field(ge=400, le=699)]
Transport = Literal["TLS", "TCP", "UDP"]


class Model(BaseModel):
    """Frozen, and a misspelt setting is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WeightedAgent(BaseModel):
    """One entry of `inbound_agents` or `outbound_agents`."""

    model_config = ConfigDict(frozen=True, strict=True)

    agent_id: str
    weight: float = Field(gt=0, le=1)
    agent_version: int | str | None = None


class PresetNumber(Model):
    """A number that is imported when the sandbox starts."""

    phone_number: str
    termination_uri: str
    transport: Transport = "UDP"
    auth_username: str | None = None
    auth_password: str | None = None
    inbound_agents: tuple[WeightedAgent, ...] = (WeightedAgent(agent_id="agent_sandbox", weight=1),)
    outbound_agents: tuple[WeightedAgent, ...] = (
        WeightedAgent(agent_id="agent_sandbox", weight=1),
    )
    inbound_webhook_url: str | None = None
    codecs: tuple[str, ...] = ()
    fallback_number: str | None = None


class Refer(Model):
    """`transfer_call`, cold, with `cold_transfer_mode: sip_refer`: REFER in the call's dialog."""

    kind: Literal["refer"] = "refer"
    refer_to: str
    """Refer-To as it stands: a bare URI, `<sip:…>`, `tel:…`; what Retell writes is undocumented"""
    referred_by: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    """`custom_sip_headers` of the tool: `X-` names and User-To-User"""
    wait_s: float = Field(default=60.0, gt=0)
    """undocumented: how long the final NOTIFY is waited for; then the call goes on"""


class Warm(Model):
    """`transfer_call`, warm, or cold with `sip_invite`: an INVITE over the number's trunk, bridged
    here when it is answered."""

    kind: Literal["warm"] = "warm"
    number: str
    show_transferee_as_caller: bool = True
    """the caller's number in From and P-Asserted-Identity, else the number's own in From"""
    ring_s: float = Field(default=30.0, gt=0)
    """`transfer_ring_duration_ms`"""
    headers: dict[str, str] = Field(default_factory=dict)


class Function(Model):
    """A custom function: a signed POST, whose answer the agent reads."""

    kind: Literal["function"] = "function"
    url: str
    name: str = "transfer"
    args: dict[str, Any] = Field(default_factory=dict)
    timeout_s: float = Field(default=120.0, gt=0)


Tool = Annotated[Refer | Warm | Function, Field(discriminator="kind")]


class Agent(Model):
    """What an agent does in its calls. The last five are the sandbox's own."""

    agent_version: int = 0
    webhook_url: str | None = None
    """replaces the account's `webhook_url`; `{{name}}` is filled from the dynamic variables"""
    webhook_events: tuple[str, ...] = ("call_started", "call_ended", "call_analyzed")
    webhook_timeout_ms: int = Field(default=10_000, gt=0)
    max_call_duration_ms: int = Field(default=3_600_000, gt=0)
    end_call_after_silence_ms: int = Field(default=600_000, gt=0)
    ring_duration_ms: int = Field(default=30_000, gt=0)
    hangup_after_s: float | None = Field(default=None, ge=0)
    """end the call as the `end_call` tool would, this many seconds after its answer"""
    hangup_headers: dict[str, str] = Field(default_factory=dict)
    """`custom_sip_headers` of `end_call`: `X-` headers on the BYE"""
    greeting: bool = True
    """after the melody, say a sentence before echoing"""
    tool: Tool | None = None
    """what the agent uses in mid-call, once"""
    tool_after_s: float = Field(default=6.0, ge=0)
    """from the answer to the use of `tool`; by default the agent has said its greeting then"""


class SipAnswers(Model):
    """SIP status codes that Retell does not document."""

    unknown_call_id: SipStatus = 404
    expired_call_id: SipStatus = 404
    reused_call_id: SipStatus = 404
    unknown_number: SipStatus = 404
    no_agent: SipStatus = 480
    """the number has no inbound agent and no webhook supplied one"""
    rejected: SipStatus = 603
    """the inbound webhook said `reject`"""
    country_not_allowed: SipStatus = 403
    over_limit: SipStatus = 486
    """no slot became free while the call rang"""
    no_common_codec: SipStatus = 488


class SandboxSettings(Model):
    """The whole sandbox."""

    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8090, ge=0, le=65535)
    """0 takes any free port"""
    sip_listen: tuple[str, ...] = ("udp:127.0.0.1:5070", "tcp:127.0.0.1:5070")
    advertise: str | None = None
    """address in Via, Contact and SDP; default: the one listened on"""
    rtp_ports: tuple[int, int] = (30_000, 31_999)
    """first and last port for RTP; even ones are used"""

    api_key: str = SANDBOX_KEY
    """the bearer key, and the key that signs webhooks"""
    webhook_url: str | None = None
    """account-level webhook"""
    known_agents: frozenset[str] | None = None
    """other agent ids get 422; None: every agent exists"""
    agent: Agent = Agent()
    """the agent behind every id that `PUT /sandbox/agents/{id}` did not describe"""
    preset_numbers: tuple[PresetNumber, ...] = ()

    registered_call_ttl_s: float = Field(default=300.0, gt=0)
    idempotency_s: float = Field(default=3600.0, gt=0)
    inbound_webhook_timeout_s: float = Field(default=10.0, gt=0)
    webhook_retries: int = Field(default=3, ge=0)
    function_retries: int = Field(default=2, ge=0)
    """how often a custom function that failed is called again"""
    webhook_retry_delay_s: float = Field(default=0.5, ge=0)
    """undocumented; doubled from one retry to the next"""
    analysis_delay_s: float = Field(default=0.1, ge=0)
    """from `call_ended` to `call_analyzed`"""
    analyze_unconnected: bool = False
    """undocumented: whether `call_analyzed` follows a call that was not answered"""

    concurrency_limit: int = Field(default=20, ge=1)
    reserved_inbound: int = Field(default=0, ge=0)
    burst: bool = False
    over_limit_ring_s: float = Field(default=40.0, ge=0)
    over_limit_status: int = 429
    """undocumented: HTTP status for an outbound call over the limit"""
    register_holds_concurrency: bool = False
    """undocumented: whether a registered call that was not dialled yet takes a slot"""

    sip: SipAnswers = SipAnswers()
    plus_required: bool = True
    """undocumented: whether `sip:1415...@` reaches the number `+1415...`"""
    headers_on_registered_calls: bool = True
    """undocumented: whether `X-` headers of a method-2 INVITE are kept"""
    header_variables: Literal["stripped", "kept", "both"] = "both"
    """the documentation contradicts itself: is `X-Plan` the variable `plan` or `x-plan`"""
    stop_registered: Literal["ended", "refused"] = "ended"
    """undocumented: what stop-call does to a call that is only registered"""
    codec_order: Literal["offer", "ours"] = "offer"
    """undocumented: whose order decides the codec of an answer"""
    ring: bool = True
    """send 180 before 200"""
    answer_delay_s: float = Field(default=0.0, ge=0)

    first_audio_s: float | None = 30.0
    """hang up without any RTP by then (LiveKit SIP's rule; inferred for Retell); None: never"""
    audio_gap_s: float | None = 15.0
    """hang up after this many seconds without RTP (the same)"""
    echo_delay_ms: int = Field(default=60, ge=0, multiple_of=20)
    """how much audio is held before it is echoed: rides out jitter"""
    record_s: float = Field(default=60.0, ge=0)
    """how much of what was heard is kept for recognition"""
    recordings: int = Field(default=200, ge=0)
    """how many ended calls keep theirs, the last ones"""
