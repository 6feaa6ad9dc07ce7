"""How a trunk wants its legs: what is said of ourselves, and which extensions are spoken."""

from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from sip.core.refer import NO_SUBSCRIPTION
from sip.core.reliable import TAG
from sip.core.replaces import TAG as REPLACES
from sip.core.session_timer import TIMER, Mode, Policy
from sip.media.terms import ANY_TERMS, MediaTerms
from sip.ua.refusals import ALLOW, ALLOW_REFER


class Reliable(Enum):
    """Reliable provisional responses (RFC 3262) on a leg."""

    OFF = "off"
    """never; an INVITE that requires them is refused with 420"""
    ACCEPT = "accept"
    """where the peer requires them, or where early media has no other way"""
    OFFER = "offer"
    """also wherever the peer supports them"""
    REQUIRE = "require"
    """our own INVITEs demand them"""


@dataclass(frozen=True, kw_only=True)
class LegOptions:
    """One leg's manners.

    `advertise` is the policy for our address (`sip.transport.advertise`); `contact_domain` a host
    name that stands in Contact and Via in its place. `symmetric` sends requests in the dialog to
    where the peer's came from, whatever its Contact says: right for a peer behind NAT. `media` is
    how the peer wants its media; `reinvites` is false for one that cannot take a re-INVITE with
    another session description. `takes_refer`: the peer may refer us to others (RFC 3515).
    `trunk` is the trunk's name: it alone may replace the leg (RFC 3891); nobody may where it has
    none.
    """

    advertise: str = "auto"
    contact_domain: str | None = None
    reliable: Reliable = Reliable.ACCEPT
    session_timer: Policy = field(default_factory=Policy)
    symmetric: bool = False
    media: MediaTerms = ANY_TERMS
    reinvites: bool = True
    takes_refer: bool = False
    trunk: str = ""

    @property
    def allow(self) -> str:
        """Our Allow header. Without REFER, some peers transfer calls by themselves."""
        return ALLOW_REFER if self.takes_refer else ALLOW

    @cached_property
    def supported(self) -> str:
        """The option tags of our Supported header."""
        tags = []
        if self.reliable is not Reliable.OFF:
            tags.append(TAG)
        if self.session_timer.mode is not Mode.OFF:
            tags.append(TIMER)
        if self.takes_refer:
            tags.append(NO_SUBSCRIPTION)
        if self.trunk:
            tags.append(REPLACES)
        return ", ".join(tags)


DEFAULT = LegOptions()
