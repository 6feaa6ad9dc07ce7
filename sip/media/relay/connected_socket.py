"""A second socket on a leased port, connected to the party that was learned.

Between two sockets on one port the kernel gives the connected one exactly its peer's packets and
the other one the rest. The connected one hears its peer alone, which saves making and comparing a
source, and the address and route look-up of each send: about a quarter of a packet's cost. The
leased socket stays and keeps counting strangers, and does everything if a connected one cannot be
had.
"""

from __future__ import annotations

import socket

from sip.media.relay.latch import SocketAddress
from sip.media.relay.ports import set_buffers


def open_connected(leased: socket.socket, peer: SocketAddress) -> socket.socket:
    """A socket on the port of `leased`, connected to `peer`; raises OSError.

    Until it was connected it may have received what is not from `peer`: whoever calls must look
    at the sources of what is waiting. SO_REUSEADDR is on for this moment only, because while it
    is on another program could bind the port too.
    """
    sock = socket.socket(leased.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if leased.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        set_buffers(sock)
        _share(leased, sock, 1)
        try:
            sock.bind(leased.getsockname())
        finally:
            _share(leased, sock, 0)
        sock.connect(peer)
    except OSError:
        sock.close()
        raise
    return sock


def _share(one: socket.socket, other: socket.socket, on: int) -> None:
    for each in (one, other):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, on)
