"""A client's socket to an engine's control: datagrams both ways, over UDP or a UNIX socket."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from pathlib import Path
from typing import Protocol, Self

from sip.media.ng.control_address import CLIENT_LETTERS, ControlAddress


class Client(Protocol):
    """Whose channel it is."""

    def received(self, datagram: bytes) -> None:
        """A datagram from the engine."""
        ...

    def failed(self, error: OSError) -> None:
        """Nobody is there: ICMP says so, or at once a UNIX socket."""
        ...


class Channel:
    """Made by `open`; close it with `close`. Nothing but what the engine sends is received."""

    def __init__(self, transport: asyncio.DatagramTransport, token: bytes, own: Path | None):
        self._transport = transport
        self._first_word = token + b" " if token else b""
        self._own = own

    @classmethod
    async def open(
        cls,
        address: ControlAddress,
        client: Client,
        token: bytes = b"",
    ) -> Self:
        """A socket that speaks with `address` alone. Raises OSError.

        `token` is what our relay wants as the first word over UDP.
        """
        loop = asyncio.get_running_loop()

        def protocol() -> _Protocol:
            return _Protocol(client)

        if not isinstance(address, Path):
            transport, _ = await loop.create_datagram_endpoint(protocol, remote_addr=address)
            return cls(transport, token, None)
        own = address.with_name(f"{address.name}.{secrets.token_hex(CLIENT_LETTERS // 2)}")
        sock = _unix_socket(own, address)
        transport, _ = await loop.create_datagram_endpoint(protocol, sock=sock)
        return cls(transport, token, own)

    def send(self, datagram: bytes) -> None:
        """Puts it out, or waits where the engine's queue is full."""
        self._transport.sendto(self._first_word + datagram)

    def close(self) -> None:
        """Nothing is received any more."""
        self._transport.close()
        if self._own is not None:
            self._own.unlink(missing_ok=True)


def _unix_socket(own: Path, engine: Path) -> socket.socket:
    """A socket at `own`, to which the engine replies, connected to the engine's."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.bind(str(own))
        os.chmod(own, 0o600)
        sock.connect(str(engine))
        _empty(sock)
    except OSError:
        sock.close()
        own.unlink(missing_ok=True)
        raise
    return sock


def _empty(sock: socket.socket) -> None:
    """What came before the socket was connected may be from anybody."""
    while True:
        try:
            sock.recv(1)
        except BlockingIOError:
            return


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, client: Client) -> None:
        self._client = client

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._client.received(data)

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError):
            self._client.failed(exc)
