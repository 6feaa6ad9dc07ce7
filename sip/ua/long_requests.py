"""Requests that are too long for one UDP datagram: RFC 3261 18.1.1."""

from collections.abc import Callable

from sip.transport.endpoint import Endpoint, Flow

#: Seconds that a peer whose TCP port did not answer is sent long datagrams.
AVOID_S = 600.0
MAX_AVOIDED = 1000


class LongRequests:
    """Finds TCP for what is too long for UDP, and remembers where there is none."""

    def __init__(self, limit_bytes: int, connect: Callable[[Endpoint], Flow]) -> None:
        """`limit_bytes` is the longest datagram sent; 0 for any. `connect` may raise OSError."""
        self._limit = limit_bytes
        self._connect = connect
        self._avoided: dict[Endpoint, float] = {}

    def way(self, size: int, flow: Flow, now: float) -> Flow:
        """`flow`, or the way over TCP to the same peer where a request of `size` bytes needs it."""
        if flow.reliable or not self._limit or size <= self._limit:
            return flow
        if self._avoided.get(flow.remote, now) > now:
            return flow
        try:
            return self._connect(Endpoint("tcp", flow.remote.host, flow.remote.port))
        except OSError:  # we have no TCP listener of that family
            return flow

    def avoid(self, flow: Flow, now: float) -> None:
        """The peer of `flow` takes no TCP."""
        if len(self._avoided) >= MAX_AVOIDED:
            self._avoided.clear()
        self._avoided[flow.remote] = now + AVOID_S
