"""What Retell's API is asked to do with a call."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from gateway.value import frozen


@frozen(kw_only=True)
class ToRegister:
    """register-phone-call: a call that we will dial. `call_id` is ours, and travels in `metadata`
    beside what is there."""

    call_id: str
    direction: Literal["inbound", "outbound"]
    agent: str
    from_number: str
    to_number: str
    variables: Mapping[str, str] = field(default_factory=dict)
    agent_version: int | str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@frozen(kw_only=True)
class ToPlace:
    """create-phone-call: a call that Retell places. Without `agent` the number's own answers;
    `headers` are X- headers of its INVITE; the same `idempotency_key` is the same call."""

    idempotency_key: str
    from_number: str
    to_number: str
    agent: str | None = None
    agent_version: int | str | None = None
    #: settings of the agent, and of its engine, for this call alone
    agent_override: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
