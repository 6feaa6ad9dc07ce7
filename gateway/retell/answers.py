"""What Retell's API answers, as far as it is read: plain values, made with no trust in a field."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.value import frozen

_MARKS: Final = str.maketrans("", "", "_-")


@frozen(kw_only=True)
class PhoneCall:
    """A call as Retell has it. `status` is registered, ongoing, ended, error or not_connected; a
    text that is not known says nothing. `duration_s` is None before its end."""

    call_id: str
    status: str
    disconnection_reason: str | None
    duration_s: float | None

    @property
    def over(self) -> bool:
        """Whether it has ended, however it did."""
        return self.status in ("ended", "error", "not_connected")


@frozen(kw_only=True)
class Concurrency:
    """Calls at once of the workspace: how many there are, how many there may be, how many of those
    are for calls that come in, and how many there may be in a burst (0: no bursts)."""

    current: int
    limit: int
    reserved_inbound: int
    burst_limit: int


def phone_call(body: Mapping[str, Any]) -> PhoneCall | None:
    """The call of an answer; None where it has no usable id, one that is fit for the user part of
    a SIP URI as it stands."""
    call_id = body.get("call_id")
    if not isinstance(call_id, str) or not call_id.isascii():
        return None
    if not call_id.translate(_MARKS).isalnum():
        return None
    duration_ms = body.get("duration_ms")
    return PhoneCall(
        call_id=call_id,
        status=_text(body, "call_status") or "",
        disconnection_reason=_text(body, "disconnection_reason"),
        duration_s=duration_ms / 1000 if isinstance(duration_ms, int | float) else None,
    )


def concurrency(body: Mapping[str, Any]) -> Concurrency | None:
    """The figures of an answer; None where the two that matter are missing."""
    current, limit = _count(body, "current_concurrency"), _count(body, "concurrency_limit")
    if current is None or limit is None:
        return None
    bursts = body.get("concurrency_burst_enabled") is True
    return Concurrency(
        current=current,
        limit=limit,
        reserved_inbound=_count(body, "reserved_inbound_concurrency") or 0,
        burst_limit=(_count(body, "concurrency_burst_limit") or 0) if bursts else 0,
    )


def _text(body: Mapping[str, Any], key: str) -> str | None:
    value = body.get(key)
    return value[:255] if isinstance(value, str) else None


def _count(body: Mapping[str, Any], key: str) -> int | None:
    value = body.get(key)
    return value if isinstance(value, int) and value >= 0 else None
