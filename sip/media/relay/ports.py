"""RTP port pairs, leased as bound sockets.

A lease *is* the two sockets: RTP on an even port, RTCP on the odd one above it (RFC 3550 11). A
number is never probed, closed and bound again later, which is how two calls come to share one.
Pairs are handed out in random order, so that a stranger cannot guess the next one, and rest for
`drain_s` after release, so that late packets of the old call do not reach a new one. Where nothing
else is left, the pair that has rested longest is lent: a call is worth more than its rest, and who
may be heard on it is judged by source anyway (`latch.py`).
"""

from __future__ import annotations

import errno
import ipaddress
import random
import socket
from collections import deque
from functools import cache
from typing import Final, NamedTuple

from sip.errors import Fault, SipError

#: Octets, at least, that a socket of audio may hold of what arrives while the relay is busy or not
#: scheduled. Linux doubles the figure and counts 2,304 of it for a packet off a network card: 113
#: packets, the 2.2 s of a stream of 20 ms packets, or 1.1 s of one of 10 ms. A pause of the
#: signalling needs none of it, as the relay is a process of its own.
RECEIVE_BUFFER: Final = 131_072

#: Octets that may wait for the network card: the same for what leaves, of half the time.
SEND_BUFFER: Final = 65_536

#: Pairs tried for one lease at most where other programs have them, so that no request takes long.
MAX_TRIES: Final = 256

_CHANCES: Final = 64

_KIND: Final = int(socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
_FOREIGN: Final = (errno.EADDRINUSE, errno.EACCES)
_NO_FILES: Final = (errno.EMFILE, errno.ENFILE)


class NoPortsError(SipError):
    """No pair can be leased now; the text says what to raise."""

    fault = Fault.OPERATOR


class PortPair(NamedTuple):
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
        #: ours at rest, and those that another program had when last tried: until when, and which
        self._resting: deque[tuple[float, int]] = deque()
        self._foreign: deque[tuple[float, int]] = deque()
        self._leased = 0
        #: Numbers of 0 to 1 drawn ahead, as the system's are dear one by one.
        self._chances: list[float] = []

    @property
    def leased(self) -> int:
        """Pairs in use."""
        return self._leased

    @property
    def resting(self) -> int:
        """Pairs at rest after use."""
        return len(self._resting)

    @property
    def foreign(self) -> int:
        """Pairs that another program had when last tried."""
        return len(self._foreign)

    def lease(self, now: float) -> PortPair:
        """A random free pair, bound, else the one that has rested longest. `NoPortsError`."""
        self._refill(now)
        for _ in range(MAX_TRIES):
            port = self._next()
            if port is None:
                break
            try:
                pair = self._bind(port)
            except OSError as error:
                if error.errno in _FOREIGN:
                    self._foreign.append((now + self._drain_s, port))
                    continue
                self._free.append(port)
                raise NoPortsError(_said(error)) from error
            self._leased += 1
            return pair
        raise NoPortsError(
            f"of {self.size} port pairs {self._leased} are in use and {len(self._foreign)} another"
            " program's: widen media.ports"
        )

    def release(self, pair: PortPair, now: float) -> None:
        """Closes the pair; its number becomes free again after the drain time."""
        pair.rtp.close()
        pair.rtcp.close()
        self._leased -= 1
        self._resting.append((now + self._drain_s, pair.port))

    def _refill(self, now: float) -> None:
        for waiting in (self._resting, self._foreign):
            while waiting and waiting[0][0] <= now:
                self._free.append(waiting.popleft()[1])

    def _next(self) -> int | None:
        """Removes a random free one in constant time, else the one at rest for the longest."""
        free = self._free
        if not free:
            return self._resting.popleft()[1] if self._resting else None
        if not self._chances:
            self._chances = [self._rng.random() for _ in range(_CHANCES)]
        index = int(self._chances.pop() * len(free))
        free[index], free[-1] = free[-1], free[index]
        return free.pop()

    def _bind(self, port: int) -> PortPair:
        rtp = self._socket(port)
        try:
            set_buffers(rtp)
            return PortPair(port, rtp, self._socket(port + 1))
        except OSError:
            rtp.close()
            raise

    def _socket(self, port: int) -> socket.socket:
        sock = socket.socket(self._family, _KIND)
        try:
            if self._family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((self.host, port))
        except OSError:
            sock.close()
            raise
        return sock


def set_buffers(sock: socket.socket) -> None:
    """Gives a socket of audio room for what arrives and leaves meanwhile."""
    for option, size in _too_small():
        sock.setsockopt(socket.SOL_SOCKET, option, size)


@cache
def _too_small() -> tuple[tuple[int, int], ...]:
    """The buffers of which this system gives less by itself, and what is to be asked for.

    RTCP, a packet in some seconds, needs no more than that.
    """
    wanted = (socket.SO_RCVBUF, RECEIVE_BUFFER), (socket.SO_SNDBUF, SEND_BUFFER)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return tuple(
            [each for each in wanted if sock.getsockopt(socket.SOL_SOCKET, each[0]) < 2 * each[1]]
        )


def _said(error: OSError) -> str:
    if error.errno in _NO_FILES:
        return (
            f"no socket: {error.strerror}: raise the limit of open files (LimitNOFILE of systemd,"
            " ulimits of compose, ulimit -n)"
        )
    return f"no socket: {error.strerror}"
