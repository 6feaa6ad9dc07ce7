"""The timers of RFC 3261 table 4, in seconds, derived from T1, T2 and T4."""

from enum import Enum

from sip.core.value import frozen, kept


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
#: Timers that wait for what a reliable transport never delivers: the same message again.
_STRAY = frozenset({Timer.D, Timer.I, Timer.J, Timer.K})


@frozen
class Timers:
    """RFC 3261 17.1.1.1: T1 estimates the round trip, T2 bounds resending, T4 a message's life."""

    t1_s: float = 0.5
    t2_s: float = 4.0
    t4_s: float = 5.0

    @kept
    def give_up_s(self) -> float:
        """64*T1: how long a party waits for a response, in seconds."""
        return 64 * self.t1_s

    def delay_s(self, timer: Timer, *, reliable: bool, interval_s: float | None = None) -> float:
        """How long `timer` runs. `interval_s` is the wait of its start before, for doubling.

        Over a reliable transport the waits for stray retransmissions are zero.
        """
        if interval_s is None:
            return 0.0 if reliable and timer in _STRAY else self._first_s[timer]
        if timer is Timer.A:  # RFC 3261 17.1.1.2: doubles without bound, timer B ends it
            return 2 * interval_s
        return min(2 * interval_s, self.t2_s)  # 17.1.2.2, 17.2.1: doubles up to T2

    @kept
    def _first_s(self) -> dict[Timer, float]:
        """How long each timer runs when it is started for the first time."""
        return {
            **dict.fromkeys(Timer, self.give_up_s),
            **dict.fromkeys(RETRANSMISSION, self.t1_s),
            **dict.fromkeys((Timer.I, Timer.K), self.t4_s),
        }
