"""Which source a party's packets come from: symmetric RTP, learned once, then locked.

RFC 4961 lets us answer to where packets come from, which is how media crosses NAT; RFC 7362
says why that must be bounded. Whoever sprays packets over the port range ("RTP bleed") must not
be able to redirect or inject audio. So:

1. The SDP's address is the expectation: a packet from it is always the party's, and while
   the learning window is open it displaces a merely plausible source.
2. Otherwise one plausible source may be learned (`policy.plausible`).
3. After that every other source is foreign, until the party signals another address.

The window is short (seconds), because it is there for the first packets after an answer. What
is plausible by IP equality alone stays so after it, as silence suppression or a muted start can
delay a NATed phone's first packet for long; an attacker on another host gains nothing by that.
"""

from __future__ import annotations

from sip.media.plane import Learn
from sip.media.relay import policy

#: A socket address as `recvfrom` returns it: (host, port) or, for IPv6, four items.
SocketAddress = tuple[str, int] | tuple[str, int, int, int]

#: Seconds after a negotiation in which a source may be learned by plausibility.
WINDOW_S = 2.5


class Latch:
    """The source rule of one stream. Time is passed in, in monotonic seconds.

    `source` is None until a packet has been taken, and then the only address that packets are
    taken from. The packet path compares with it and calls `judge` for anything else.
    """

    __slots__ = ("_deadline", "_learn", "_signalling_ip", "expected", "source", "window_s")

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self.window_s = window_s
        self.expected: SocketAddress | None = None
        self.source: SocketAddress | None = None
        self._signalling_ip: str | None = None
        self._learn = Learn.PEER
        self._deadline = float("-inf")

    def expect(
        self,
        expected: SocketAddress | None,
        now: float,
        *,
        signalling_ip: str | None = None,
        learn: Learn = Learn.PEER,
    ) -> bool:
        """A negotiation took place; true if it changed the address, so that learning begins anew.

        With the address unchanged a learned source stays; if none was learned the window opens
        again, as a 200 may come long after the 183 that had the same SDP. None is a hold by
        ``c=0.0.0.0`` and leaves source and expectation as they are.
        """
        self._learn = learn
        self._signalling_ip = signalling_ip
        if expected is None or expected == self.expected:
            if self.source is None:
                self._deadline = now + self.window_s
            return False
        self.expected = expected
        self.source = None
        self._deadline = now + self.window_s
        return True

    def judge(self, source: SocketAddress, now: float) -> bool:
        """Whether a packet from `source` is the party's; learns the source if it may be."""
        if source == self.source:
            return True
        if source == self.expected:
            if self.source is not None and now > self._deadline:
                return False
        elif self.source is not None or not policy.plausible(
            source[0],
            expected_ip=self.expected[0] if self.expected else None,
            signalling_ip=self._signalling_ip,
            learn=self._learn,
            early=now <= self._deadline,
        ):
            return False
        self.source = source
        return True
