"""Bodies of Retell's webhooks, checked at the door; fields that we do not use are let through."""

from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.strict_json import is_json

Parsed = TypeVar("Parsed", bound="_Open")

#: As many characters of a header's value does a record keep.
_LONGEST: Final = 500


class _Open(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class EventCall(_Open):
    """The call object of an event, as far as we read it."""

    call_id: str
    direction: str | None = None
    from_number: str | None = None
    to_number: str | None = None
    #: milliseconds since 1970
    start_timestamp: int | None = None
    metadata: dict[str, object] | None = None
    custom_sip_headers: dict[str, object] | None = None
    disconnection_reason: str | None = None

    def gateway_call_id(self) -> str | None:
        """Our id, by either way it travels: metadata (method 2) or a header (method 1)."""
        if isinstance(own := (self.metadata or {}).get("gateway_call_id"), str):
            return own
        return _own_header(self.custom_sip_headers)

    def placed_headers(self) -> dict[str, str]:
        """The headers that a call which Retell placed was to bear, as a record has them."""
        found = (self.custom_sip_headers or {}).items()
        named = ((name.lower(), value) for name, value in found if isinstance(value, str))
        return {f"x-{name.removeprefix('x-')}": value[:_LONGEST] for name, value in named}


class Event(_Open):
    """`call_started`, `call_ended`, `call_analyzed`, … Trust `event`, not call_status."""

    event: str
    call: EventCall | None = None


class FunctionCall(_Open):
    """An agent calls a custom function of the operator's; what it is given is the agent's word."""

    name: str
    call: EventCall
    args: dict[str, object] = {}


class InboundCall(_Open):
    """The call that Retell asks about; with `call_id` since September 2026."""

    from_number: str
    to_number: str
    call_id: str | None = None
    custom_sip_headers: dict[str, object] | None = None

    def gateway_call_id(self) -> str | None:
        """Our id, which came with the INVITE."""
        return _own_header(self.custom_sip_headers)


class InboundEvent(_Open):
    """`call_inbound`: how shall this call of an imported number be answered?"""

    call_inbound: InboundCall


def _own_header(headers: dict[str, object] | None) -> str | None:
    for name, value in (headers or {}).items():
        # the docs disagree on whether the X- stays in the name
        if name.lower().removeprefix("x-") == "gateway-call-id" and isinstance(value, str):
            return value
    return None


def parse_inbound(body: str) -> InboundCall | None:
    """The call, or None when the body is no such event."""
    event = _parse(InboundEvent, body)
    return None if event is None else event.call_inbound


def parse_function(body: str) -> FunctionCall | None:
    """The function call, or None when the body is none."""
    return _parse(FunctionCall, body)


def parse_event(body: str) -> Event | None:
    """The event, or None when the body has another shape."""
    return _parse(Event, body)


def _parse(model: type[Parsed], body: str) -> Parsed | None:
    if not is_json(body):
        return None
    try:
        return model.model_validate_json(body)
    except ValidationError:
        return None
