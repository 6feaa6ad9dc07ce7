"""Which source a party's packets come from: symmetric RTP, learned once, then held.

RFC 4961 lets us answer to where packets come from, which is how media crosses NAT; RFC 7362
says why that must be bounded. Whoever sprays packets over the port range ("RTP bleed") must not
be able to redirect or inject audio. So every source has a standing, and a source takes the place
of the one that is held only as `_RULES` allows:

- The SDP's own address is always the party's.
- The party's own host may speak from another port: where the SDP's port stays silent, and later
  where the stream that was heard goes on from another port after a silence (a NAT lost its
  mapping), or begins anew after a hold.
- The address that the party left by signalling another one does not come back, but for a party
  that is heard from nowhere else: its NAT's mapping stayed what it was.
- No other host is ever heard.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from sip.media.relay import policy
from sip.media.terms import Signalling

#: A socket address as `recvfrom` returns it: (host, port) or, for IPv6, four items.
SocketAddress = tuple[str, int] | tuple[str, int, int, int]

#: Seconds of silence after which the stream of one port may go on from another.
SILENCE_S: Final = 0.2

#: Seconds after which packets of an address that was left are no late ones any more.
LATE_S: Final = 2.5


class Standing(Enum):
    """What speaks for a source."""

    FOREIGN = "foreign"
    """Nothing; or, of the source that is held: there is none."""
    LEFT = "left"
    """It is where the party was until it signalled another address."""
    OWN_HOST = "own host"
    """It is another port of the host of the SDP, or of the signalling."""
    SIGNALLED = "signalled"
    """It is the SDP's address."""


class _When(Enum):
    """When a source takes the place of the one that is held."""

    AT_ONCE = "at once"
    UNOPPOSED = "the SDP's port has had its time to speak"
    GOES_ON = "same host, the other is silent, and the stream goes on or begins anew"
    NOT_LATE = "it cannot be a late packet any more"


#: By the standing of the source that is held and of the one that speaks; never where none is said.
_RULES: Final[Mapping[tuple[Standing, Standing], _When]] = {
    (Standing.FOREIGN, Standing.SIGNALLED): _When.AT_ONCE,
    (Standing.FOREIGN, Standing.OWN_HOST): _When.UNOPPOSED,
    (Standing.FOREIGN, Standing.LEFT): _When.NOT_LATE,
    (Standing.LEFT, Standing.SIGNALLED): _When.AT_ONCE,
    (Standing.LEFT, Standing.OWN_HOST): _When.AT_ONCE,
    (Standing.OWN_HOST, Standing.SIGNALLED): _When.AT_ONCE,
    (Standing.OWN_HOST, Standing.OWN_HOST): _When.GOES_ON,
    (Standing.SIGNALLED, Standing.OWN_HOST): _When.GOES_ON,
}


class Latch:
    """The source rule of one stream. Time is passed in, in monotonic seconds.

    `source` is None until a packet has been taken, and then the only address that packets are
    taken from. The packet path compares with it and calls `judge` for anything else.
    """

    __slots__ = (
        "_left",
        "_moved_at",
        "_patience_s",
        "_resumed_at",
        "_signalling",
        "_standing",
        "_tried",
        "_tried_until",
        "expected",
        "source",
    )

    def __init__(self) -> None:
        self.expected: SocketAddress | None = None
        self.source: SocketAddress | None = None
        self._standing = Standing.FOREIGN
        self._signalling: Signalling | None = None
        self._patience_s = 0.0
        self._left: SocketAddress | None = None
        #: When the party signalled its address, and when it last began to send after a hold.
        self._moved_at = self._resumed_at = float("-inf")
        #: A port of the party's host that speaks while the SDP's may still begin to, and till when.
        self._tried: SocketAddress | None = None
        self._tried_until = float("-inf")

    def expect(
        self,
        expected: SocketAddress | None,
        now: float,
        *,
        signalling: Signalling | None = None,
        resumes: bool = False,
    ) -> bool:
        """A negotiation took place; true if it changed the address, so that learning begins anew.

        `signalling` is where the description came from. With the address unchanged a learned
        source stays. None is a hold by ``c=0.0.0.0`` and leaves source and expectation as they
        are. `resumes` says that the party did not send by its last description, and does now.
        """
        if resumes:
            self._resumed_at = now
        self._signalling = signalling
        changed = expected is not None and expected != self.expected
        if changed:
            if self.expected is not None:
                self._left = self.source or self._left
            self.expected = expected
            self.source = self._tried = None
            self._tried_until = now
            self._standing = Standing.FOREIGN
            self._moved_at = now
        ip = None if self.expected is None else self.expected[0]
        self._patience_s = policy.patience_s(ip, signalling)
        return changed

    def judge(self, source: SocketAddress, now: float, *, heard_at: float, goes_on: bool) -> bool:
        """Whether a packet from `source` is the party's; learns the source if it may be.

        `heard_at` is the time of the last packet taken, or minus infinity; `goes_on` is true if
        this one follows it by SSRC and sequence.
        """
        if source == self.source:
            return True
        standing = self._standing_of(source)
        match _RULES.get((self._standing, standing)):
            case _When.AT_ONCE:
                taken = True
            case _When.UNOPPOSED:
                taken = self._has_waited(source, now)
            case _When.GOES_ON:
                taken = self._moves_to(source, now, heard_at, goes_on)
            case _When.NOT_LATE:
                taken = now - self._moved_at >= LATE_S
            case None:
                taken = False
        if taken:
            self.source = source
            self._standing = standing
        return taken

    def _standing_of(self, source: SocketAddress) -> Standing:
        if source == self.expected:
            return Standing.SIGNALLED
        if source == self._left:
            return Standing.LEFT
        own = (self.expected and self.expected[0], self._signalling and self._signalling.host)
        return Standing.OWN_HOST if source[0] in own else Standing.FOREIGN

    def _has_waited(self, source: SocketAddress, now: float) -> bool:
        """Whether the source speaks while the SDP's port has let its time go by.

        Of two such sources the first one has its turn first.
        """
        if source != self._tried and now >= self._tried_until:
            self._tried, self._tried_until = source, now + self._patience_s
        return source == self._tried and now >= self._tried_until

    def _moves_to(self, source: SocketAddress, now: float, heard_at: float, goes_on: bool) -> bool:
        """Whether the party that is held goes on, or begins anew, at another port of its host."""
        if self.source is None or source[0] != self.source[0]:
            return False
        return now - heard_at >= SILENCE_S and (goes_on or heard_at < self._resumed_at)
