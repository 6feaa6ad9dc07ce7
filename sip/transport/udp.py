"""SIP over UDP: one socket per listener, read straight from the event loop.

A reader on a bare socket costs a third less than a DatagramProtocol, and a burst is drained in one
wake-up. The network's word that a peer cannot be reached (ICMP) comes by the socket's error queue
(ip(7), IP_RECVERR), where the system has one.
"""

import asyncio
import errno
import functools
import os
import socket
import struct
import sys
from collections.abc import Callable

from sip.transport.endpoint import Endpoint

#: A SIP datagram; larger ones cannot arrive.
MAX_DATAGRAM = 65535
#: Most datagrams read in one wake-up; then other work gets its turn.
BURST = 64
#: Room for a burst of calls while the loop is busy, in bytes.
RECEIVE_BUFFER = 4 << 20

#: Linux's numbers, which `socket` does not name: by family, level and option.
_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
#: `struct sock_extended_err`: error number and origin; that of ICMP and ICMPv6.
_EXTENDED_ERROR = struct.Struct("=IB")
_ICMP = (2, 3)
#: RFC 3261 18.4: what counts as a failure to send. Others pass, such as a time exceeded.
_UNREACHABLE = {
    errno.ECONNREFUSED: "connection refused: nothing listens there",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network is unreachable",
    errno.ENOPROTOOPT: "it does not speak UDP",
}
#: Most errors taken from the queue at a time.
ERRORS = 64


class UdpFlow:
    """Our listener and one peer's address."""

    __slots__ = ("_address", "advertise", "listener", "local", "remote", "standing")

    reliable = False
    closed = False
    proven = True
    deaf = False
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
        except OSError:
            self.listener.send_again(data, self.remote, self._address)

    def abort(self) -> None:
        return None

    def keep(self) -> None:
        return None


class UdpListener:
    """A bound UDP socket.

    `on_datagram(data, flow)` gets what arrives, `on_unsent(remote, error)` gets what the
    kernel would not send, `on_unreachable(remote, why)` whom the network says it cannot reach.
    """

    def __init__(
        self,
        local: Endpoint,
        on_datagram: Callable[[bytes, UdpFlow], None],
        on_unsent: Callable[[Endpoint, OSError], None],
        on_unreachable: Callable[[Endpoint, str], None],
        advertise: str | None = None,
    ) -> None:
        """Binds at once: raises OSError when the port is taken."""
        self._on_datagram = on_datagram
        self._on_unsent = on_unsent
        self._on_unreachable = on_unreachable
        #: an error was taken by a send, and not yet by the reader
        self._stirred = False
        self.advertise = advertise
        family = socket.AF_INET6 if ":" in local.host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self.socket.setblocking(False)
            if family == socket.AF_INET6:  # IPv4 peers have a listener of their own
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            if sys.platform == "linux":
                self.socket.setsockopt(*_RECVERR[family], 1)
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

    def send_again(self, data: bytes, remote: Endpoint, address: tuple[str, int]) -> None:
        """A send failed, perhaps by an ICMP error about an earlier one, to somebody else."""
        self._stirred = True
        self._take_errors()
        try:
            self.socket.sendto(data, address)
        except OSError as error:
            self._on_unsent(remote, error)
            if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
                why = os.strerror(error.errno).lower()
                # not now: the transaction that sends is in the middle of a step
                asyncio.get_running_loop().call_soon(self._on_unreachable, remote, why)

    def _read(self) -> None:
        for _ in range(BURST):
            try:
                data, address = self.socket.recvfrom(MAX_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self._stirred = True
                self._take_errors()
                continue
            self._on_datagram(data, self.flow_from(address[0], address[1]))
        if self._stirred and self.socket.fileno() >= 0:
            # libuv stops to watch a socket once it has had an error
            self._stirred = False
            loop = asyncio.get_running_loop()
            loop.remove_reader(self.socket.fileno())
            loop.add_reader(self.socket.fileno(), self._read)

    def _take_errors(self) -> None:
        """Empty the error queue: each entry has the address that our datagram was for."""
        if sys.platform != "linux":
            return
        for _ in range(ERRORS):
            try:
                _, about, _, address = self.socket.recvmsg(0, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            for level, kind, data in about:
                if (level, kind) != _RECVERR[self.socket.family]:
                    continue
                number, origin = _EXTENDED_ERROR.unpack_from(data)
                if origin in _ICMP and number in _UNREACHABLE:
                    remote = Endpoint("udp", address[0], address[1])
                    loop = asyncio.get_running_loop()
                    loop.call_soon(self._on_unreachable, remote, _UNREACHABLE[number])

    def _make_flow(self, host: str, port: int) -> UdpFlow:
        return UdpFlow(self, Endpoint("udp", host, port))
