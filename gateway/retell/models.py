"""Bodies of Retell's webhooks, checked at the door; fields that we do not use are let through."""

from pydantic import BaseModel, ConfigDict, ValidationError


class _Open(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class EventCall(_Open):
    """The call object of an event, as far as we read it."""

    call_id: str
    metadata: dict[str, object] | None = None
    custom_sip_headers: dict[str, object] | None = None
    disconnection_reason: str | None = None

    def gateway_call_id(self) -> str | None:
        """Our id, by either way it travels: metadata (method 2) or a header (method 1)."""
        if isinstance(own := (self.metadata or {}).get("gateway_call_id"), str):
            return own
        for name, value in (self.custom_sip_headers or {}).items():
            # the docs disagree on whether the X- stays in the name
            if name.lower().removeprefix("x-") == "gateway-call-id" and isinstance(value, str):
                return value
        return None


class Event(_Open):
    """`call_started`, `call_ended`, `call_analyzed`, … Trust `event`, not call_status."""

    event: str
    call: EventCall | None = None


def parse_event(body: str) -> Event | None:
    """The event, or None when the body is none."""
    try:
        return Event.model_validate_json(body)
    except ValidationError:
        return None
