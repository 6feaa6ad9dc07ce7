"""The timers of RFC 3261 table 4, in seconds, derived from T1, T2 and T4."""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property


class Timer(Enum):
    """Timers of RFC 3261 17 and RFC 6026; the letter is the RFC's."""

    # Members are singletons, and looked up for every message: identity is their hash.
    __hash__ = object.__hash__

    A = "INVITE request retransmission"
    B = "INVITE transaction timeout"
    D = "wait for response retransmissions after an INVITE failed"
    E = "non-INVITE request retransmission"
    F = "non-INVITE transaction timeout"
    G = "INVITE response retransmission"
    H = "wait for ACK"
    I = "wait for ACK retransmissions"  # noqa: E741 - the RFC's own letter
    J = "wait for non-INVITE request retransmissions"
    K = "wait for response retransmissions"
    L = "wait for INVITE retransmissions after a 2xx was sent"
    M = "wait for 2xx retransmissions"


#: Timers that resend: each start waits twice as long as the one before.
RETRANSMISSION = frozenset({Timer.A, Timer.E, Timer.G})


@dataclass(frozen=True)
class Timers:
    """RFC 3261 17.1.1.1: T1 estimates the round trip, T2 bounds resending, T4 a message's life."""

    t1_s: float = 0.5
    t2_s: float = 4.0
    t4_s: float = 5.0

    @cached_property
    def give_up_s(self) -> float:
        """64*T1: how long anybody waits for an answer."""
        return 64 * self.t1_s

    def delay_s(self, timer: Timer, *, reliable: bool, interval_s: float | None = None) -> float:
        """How long `timer` runs. `interval_s` is the wait of its start before, for doubling.

        Over a reliable transport the waits for stray retransmissions are zero.
        """
        match timer:
            case Timer.A:  # RFC 3261 17.1.1.2: doubles without bound, timer B ends it
                return self.t1_s if interval_s is None else 2 * interval_s
            case Timer.E | Timer.G:  # 17.1.2.2, 17.2.1: doubles up to T2
                return self.t1_s if interval_s is None else min(2 * interval_s, self.t2_s)
            case Timer.B | Timer.F | Timer.H | Timer.L | Timer.M:
                return self.give_up_s
            case Timer.D | Timer.J:
                return 0.0 if reliable else self.give_up_s
            case Timer.I | Timer.K:
                return 0.0 if reliable else self.t4_s
