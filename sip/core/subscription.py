"""Event and Subscription-State: what a NOTIFY is about, and whether more follow (RFC 6665)."""

from __future__ import annotations

from typing import Final

from sip.core.header_values import TOKEN, parse_params
from sip.core.uri import find_param
from sip.core.value import frozen
from sip.errors import ParseError

ACTIVE: Final = "active"
PENDING: Final = "pending"
TERMINATED: Final = "terminated"

#: The longest subscription that is believed, in seconds.
_MOST_S: Final = 2**32 - 1


@frozen
class EventType:
    """RFC 6665 8.2.1: a package, and which of the sender's subscriptions to it."""

    package: str
    id: str | None = None

    def __str__(self) -> str:
        return self.package if self.id is None else f"{self.package};id={self.id}"


@frozen(kw_only=True)
class SubscriptionState:
    """RFC 6665 8.2.3: `expires_s` seconds are left; `reason` says why it is over."""

    state: str
    expires_s: int | None = None
    reason: str | None = None

    def __str__(self) -> str:
        reason = "" if self.reason is None else f";reason={self.reason}"
        expires = "" if self.expires_s is None else f";expires={self.expires_s}"
        return f"{self.state}{reason}{expires}"

    @property
    def over(self) -> bool:
        """Whether no NOTIFY follows."""
        return self.state == TERMINATED


def parse_event(value: str) -> EventType:
    """The value of Event, its package in lower case. Raises ParseError(400)."""
    word, semicolon, rest = value.partition(";")
    package = word.strip().lower()
    if not TOKEN.fullmatch(package):
        raise ParseError("Malformed Event")
    return EventType(package, find_param(parse_params(semicolon + rest), "id") or None)


def parse_subscription_state(value: str) -> SubscriptionState:
    """The value of Subscription-State, its words in lower case. Raises ParseError(400).

    Parameters that cannot be read say nothing: what matters is the state.
    """
    word, semicolon, rest = value.partition(";")
    state = word.strip().lower()
    if not TOKEN.fullmatch(state):
        raise ParseError("Malformed Subscription-State")
    try:
        params = parse_params(semicolon + rest)
    except ParseError:
        params = ()
    expires = find_param(params, "expires") or ""
    readable = expires.isascii() and expires.isdecimal() and len(expires) <= len(str(_MOST_S))
    reason = (find_param(params, "reason") or "").lower()
    return SubscriptionState(
        state=state,
        expires_s=min(int(expires), _MOST_S) if readable else None,
        reason=reason if TOKEN.fullmatch(reason) else None,
    )
