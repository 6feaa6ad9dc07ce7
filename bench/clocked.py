"""Sockets whose datagrams the kernel stamps on arrival, against the same clock as the sender's.

A stamp taken by the kernel leaves out the time a datagram waits until the measuring program
reads it, so that a busy generator does not make the tested system look slow.
"""

import socket
import struct
import time

_SO_TIMESTAMPNS = 35
"""asm-generic/socket.h; the ancillary message of the same number holds a struct timespec."""
_TIMESPEC = struct.Struct("@qq")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)


def now_ns() -> int:
    """The clock of the kernel's stamps."""
    return time.clock_gettime_ns(time.CLOCK_REALTIME)


def stamp_arrivals(sock: socket.socket) -> None:
    """Ask the kernel for a stamp on every datagram of this socket."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def receive_stamped(sock: socket.socket, buffer: bytearray) -> tuple[int, int]:
    """One datagram into `buffer`: its length and its arrival in nanoseconds."""
    length, ancillary, _flags, _source = sock.recvmsg_into([buffer], _ANCILLARY_BYTES)
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack(data[: _TIMESPEC.size])
            return length, seconds * 1_000_000_000 + nanoseconds
    return length, now_ns()
