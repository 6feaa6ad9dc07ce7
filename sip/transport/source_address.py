"""Which of our addresses the kernel sends from."""

import socket

from sip.clock import Clock
from sip.transport.endpoint import Endpoint

#: Seconds that an answer is used again: routes change at times.
CACHE_S = 30.0
MAX_CACHED = 1024


class Routes:
    """Asks the kernel, and remembers for a while."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, str]] = {}

    def source(self, remote: Endpoint) -> str:
        """The address that a packet to `remote` leaves from. Raises OSError without a route."""
        now = self._clock.now()
        known = self._known.get(remote.host)
        if known is not None and known[0] > now:
            return known[1]
        if len(self._known) >= MAX_CACHED:
            self._known.clear()
        family = socket.AF_INET6 if remote.version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((remote.host, remote.port or 9))
            source = str(probe.getsockname()[0])
        self._known[remote.host] = (now + CACHE_S, source)
        return source
