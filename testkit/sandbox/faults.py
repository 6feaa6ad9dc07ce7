"""Faults that a test switches on: for REST operations and for INVITEs that reach the sandbox."""

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: Operations by the name in their path.
OPERATIONS = (
    "register-phone-call",
    "create-phone-call",
    "get-call",
    "list-calls",
    "stop-call",
    "import-phone-number",
    "get-phone-number",
    "list-phone-numbers",
    "update-phone-number",
    "delete-phone-number",
    "get-concurrency",
    "get-api-key-info",
)


class RestFault(BaseModel):
    """The next `count` requests (None: all) to `operation` are delayed, answered or dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    operation: str = "*"
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    message: str = "Fault switched on in the sandbox"
    retry_after_s: float | None = Field(default=None, ge=0)
    delay_ms: int = Field(default=0, ge=0)
    drop: bool = False
    """close the connection without an answer"""
    count: int | None = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _known_operation(self) -> "RestFault":
        if self.operation != "*" and self.operation not in OPERATIONS:
            raise ValueError(f"no operation {self.operation!r}; there are {', '.join(OPERATIONS)}")
        return self


class SipFault(BaseModel):
    """What happens to the next `count` INVITEs (None: all) instead of an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Annotated[int, Field(ge=300, le=699)] | None = None
    silent: bool = False
    """no response at all, not even 100"""
    ring_only: bool = False
    """180, and never a final response of our own"""
    count: int | None = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _exactly_one(self) -> "SipFault":
        if (self.status is not None) + self.silent + self.ring_only != 1:
            raise ValueError("give one of status, silent, ring_only")
        return self

    @property
    def kind(self) -> Literal["status", "silent", "ring_only"]:
        if self.silent:
            return "silent"
        return "ring_only" if self.ring_only else "status"


class FaultOrder(RestFault):
    """The body of `PUT /sandbox/faults`: a REST fault, or under `sip` a SIP fault."""

    sip: SipFault | None = None


class FaultBox:
    """Faults that wait to happen, the one given first first."""

    def __init__(self) -> None:
        self._rest: list[RestFault] = []
        self._sip: list[SipFault] = []

    def arm(self, fault: RestFault | SipFault) -> None:
        if isinstance(fault, SipFault):
            self._sip.append(fault)
        else:
            self._rest.append(fault)

    def clear(self) -> None:
        self._rest.clear()
        self._sip.clear()

    def take_rest(self, operation: str) -> RestFault | None:
        """The fault for this request, one use less."""
        for at, fault in enumerate(self._rest):
            if fault.operation in ("*", operation):
                _use(self._rest, at)
                return fault
        return None

    def take_sip(self) -> SipFault | None:
        """The fault for this INVITE, one use less."""
        if not self._sip:
            return None
        fault = self._sip[0]
        _use(self._sip, 0)
        return fault

    @property
    def next_sip(self) -> str | None:
        """The kind of the SIP fault whose turn it is."""
        return self._sip[0].kind if self._sip else None

    def to_json(self) -> dict[str, list[dict[str, object]]]:
        return {
            "rest": [fault.model_dump() for fault in self._rest],
            "sip": [fault.model_dump() for fault in self._sip],
        }


FaultT = TypeVar("FaultT", RestFault, SipFault)


def _use(armed: list[FaultT], at: int) -> None:
    count = armed[at].count
    if count is None:
        return
    if count == 1:
        del armed[at]
    else:
        armed[at] = armed[at].model_copy(update={"count": count - 1})
