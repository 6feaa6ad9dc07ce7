"""SIP over UDP: one socket per listener, read straight from the event loop.

A reader on a bare socket costs a third less than a DatagramProtocol, and a burst is drained in one
wake-up.
"""

import asyncio
import functools
import socket
from collections.abc import Callable

from sip.transport.endpoint import Endpoint

#: A SIP datagram; larger ones cannot arrive.
MAX_DATAGRAM = 65535
#: Most datagrams read in one wake-up; then other work gets its turn.
BURST = 64
#: Room for a burst of calls while the loop is busy, in bytes.
RECEIVE_BUFFER = 4 << 20


class UdpFlow:
    """Our listener and one peer's address."""

    __slots__ = ("_address", "advertise", "listener", "local", "remote", "standing")

    reliable = False
    closed = False
    peer_names = ()
    error = None

    def __init__(self, listener: "UdpListener", remote: Endpoint) -> None:
        self.remote = remote
        self.local = listener.local
        self.advertise = listener.advertise
        self.listener = listener
        self.standing: object = None
        self._address = (remote.host, remote.port)

    def send(self, data: bytes) -> None:
        """Send one datagram; a failed send is logged, and SIP retransmits."""
        try:
            self.listener.socket.sendto(data, self._address)
        except OSError as error:
            self.listener.on_unsent(self.remote, error)

    def abort(self) -> None:
        return None

    def keep(self) -> None:
        return None


class UdpListener:
    """A bound UDP socket.

    `on_datagram(data, flow)` gets what arrives, `on_unsent(remote, error)` gets what the
    kernel would not send.
    """

    def __init__(
        self,
        local: Endpoint,
        on_datagram: Callable[[bytes, UdpFlow], None],
        on_unsent: Callable[[Endpoint, OSError], None],
        advertise: str | None = None,
    ) -> None:
        """Binds at once: raises OSError when the port is taken."""
        self._on_datagram = on_datagram
        self.on_unsent = on_unsent
        self.advertise = advertise
        family = socket.AF_INET6 if ":" in local.host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self.socket.setblocking(False)
            if family == socket.AF_INET6:  # IPv4 peers have a listener of their own
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self.socket.bind((local.host, local.port))
        except OSError:
            self.socket.close()
            raise
        self.local = Endpoint("udp", local.host, self.socket.getsockname()[1])
        #: The way between this socket and a host and port. The same few peers send nearly
        #: everything; bounded, for the sake of the others.
        self.flow_from = functools.lru_cache(maxsize=4096)(self._make_flow)

    def start(self) -> None:
        """Begin to read."""
        asyncio.get_running_loop().add_reader(self.socket.fileno(), self._read)

    def close(self) -> None:
        if self.socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self.socket.fileno())
            self.socket.close()

    def _read(self) -> None:
        for _ in range(BURST):
            try:
                data, address = self.socket.recvfrom(MAX_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error for something we sent; the timers notice
            self._on_datagram(data, self.flow_from(address[0], address[1]))

    def _make_flow(self, host: str, port: int) -> UdpFlow:
        return UdpFlow(self, Endpoint("udp", host, port))
