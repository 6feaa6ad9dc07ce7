"""RTP port pairs, leased as bound sockets.

A lease *is* the two sockets: RTP on an even port, RTCP on the odd one above it (RFC 3550 11). A
number is never probed, closed and bound again later, which is how two calls come to share one.
Pairs are handed out in random order, so that a stranger cannot guess the next one, and rest for
`drain_s` after release, so that late packets of the old call do not reach a new one.
"""

from __future__ import annotations

import errno
import ipaddress
import random
import socket
from collections import deque
from dataclasses import dataclass

from sip.errors import Fault, SipError


class NoPortsError(SipError):
    """No pair can be leased now."""

    fault = Fault.OPERATOR


@dataclass(frozen=True, slots=True)
class PortPair:
    """Two bound, non-blocking UDP sockets. `PortPool.release` closes them."""

    port: int
    rtp: socket.socket
    rtcp: socket.socket


class PortPool:
    """Leases pairs of UDP ports of one address.

    `first` and `last` bound the range, both included; only whole pairs inside it are used.
    `now` in `lease` and `release` is monotonic seconds.
    """

    def __init__(
        self, host: str, first: int, last: int, *, drain_s: float, rng: random.Random
    ) -> None:
        evens = list(range(first + first % 2, last, 2))
        if not evens or first < 1 or last > 65535:
            raise ValueError(f"ports {first}-{last} hold no even/odd pair")
        self.host = host
        self.size = len(evens)
        self._family = (
            socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
        )
        self._drain_s = drain_s
        self._rng = rng
        self._free = evens
        self._draining: deque[tuple[float, int]] = deque()
        self._leased = 0

    @property
    def leased(self) -> int:
        """Pairs in use."""
        return self._leased

    @property
    def draining(self) -> int:
        """Pairs at rest after use, or taken by another program when last tried."""
        return len(self._draining)

    def lease(self, now: float) -> PortPair:
        """A random free pair, bound. Raises `NoPortsError`."""
        self._refill(now)
        foreign: list[int] = []
        try:
            while self._free:
                port = self._pick()
                try:
                    pair = self._bind(port)
                except OSError as error:
                    if error.errno in (errno.EADDRINUSE, errno.EACCES):
                        foreign.append(port)
                        continue
                    self._free.append(port)
                    raise NoPortsError(f"no socket: {error.strerror}") from error
                self._leased += 1
                return pair
        finally:
            # Another program's; it rests as long as a used one before it is tried again.
            for port in foreign:
                self._draining.append((now + self._drain_s, port))
        raise NoPortsError(
            f"all {self.size} port pairs are taken"
            f" ({self._leased} leased, {len(self._draining)} draining)"
        )

    def release(self, pair: PortPair, now: float) -> None:
        """Closes the pair; its number becomes free again after the drain time."""
        pair.rtp.close()
        pair.rtcp.close()
        self._leased -= 1
        self._draining.append((now + self._drain_s, pair.port))

    def _refill(self, now: float) -> None:
        while self._draining and self._draining[0][0] <= now:
            self._free.append(self._draining.popleft()[1])

    def _pick(self) -> int:
        """Removes a random element in constant time."""
        free = self._free
        index = int(self._rng.random() * len(free))
        free[index], free[-1] = free[-1], free[index]
        return free.pop()

    def _bind(self, port: int) -> PortPair:
        rtp = self._socket(port)
        try:
            return PortPair(port, rtp, self._socket(port + 1))
        except OSError:
            rtp.close()
            raise

    def _socket(self, port: int) -> socket.socket:
        sock = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            if self._family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((self.host, port))
        except OSError:
            sock.close()
            raise
        return sock
