"""Ports for a program that is told its ports before it binds them.

A port that the kernel chose (`bind` to 0) and that was closed again may be given to any other
process before the program binds it. These are outside the range that the kernel chooses from, and
one that was handed out comes again only after all the others. Workers that run beside each other
share none: two may look at a port at the same moment, and both find it free.
"""

import os
import socket

#: Each worker of pytest-xdist (gw0, gw1, …) has a share; beyond so many they would have to share.
_WORKERS = 5
_COUNT = 400
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % _WORKERS
_FIRST = 22_000 + _WORKER * _COUNT
#: What a media engine that lasts as long as the worker is given.
_ENGINE_COUNT = 200


class _Turn:
    """Where the next search begins; every process begins elsewhere."""

    at = os.getpid() * 98 % _COUNT


def free_port(host: str = "127.0.0.1") -> int:
    """An even port of `host` that nothing is bound to, on UDP or on TCP."""
    return free_ports(1, host)


def free_ports(count: int, host: str = "127.0.0.1") -> int:
    """The first of `count` such ports in a row; it is even."""
    for _ in range(_COUNT // 2):
        first = _FIRST + _Turn.at
        _Turn.at += count + count % 2
        if _Turn.at + count > _COUNT:
            _Turn.at = 0
        if all(_is_free(host, port) for port in range(first, first + count)):
            return first
    raise OSError(f"{host} has no {count} free ports from {_FIRST} to {_FIRST + _COUNT - 1}")


def bound_tcp(port: int) -> socket.socket:
    """A TCP socket to connect from a port of 127.0.0.1 that a connection may have had before."""
    # asyncio sends without delay where it is told that this is TCP
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setblocking(False)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def engine_ports(first: int) -> tuple[int, int]:
    """First and last port of this worker's share of the thousand from `first` on.

    An engine learns a party by its first packet: a port that another engine has just left may
    still be sent to.
    """
    ours = first + _WORKER * _ENGINE_COUNT
    return ours, ours + _ENGINE_COUNT - 1


def _is_free(host: str, port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            # as listeners do: a test's connections that are closing take its ports from nobody
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True
