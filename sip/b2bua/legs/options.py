"""How a trunk wants its legs: what is said of ourselves, and which extensions are spoken."""

from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from sip.core.reliable import TAG
from sip.core.session_timer import TIMER, Mode, Policy
from sip.media.terms import ANY_TERMS, MediaTerms


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
    another session description.
    """

    advertise: str = "auto"
    contact_domain: str | None = None
    reliable: Reliable = Reliable.ACCEPT
    session_timer: Policy = field(default_factory=Policy)
    symmetric: bool = False
    media: MediaTerms = ANY_TERMS
    reinvites: bool = True

    @cached_property
    def supported(self) -> str:
        """The option tags of our Supported header."""
        tags = []
        if self.reliable is not Reliable.OFF:
            tags.append(TAG)
        if self.session_timer.mode is not Mode.OFF:
            tags.append(TIMER)
        return ", ".join(tags)


DEFAULT = LegOptions()
