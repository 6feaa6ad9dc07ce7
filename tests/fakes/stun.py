"""A STUN server that says what a test wants, and counts its requests."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any, cast

_COOKIE = 0x2112A442


class StunServer(asyncio.DatagramProtocol):
    """`sees` is the address that it answers with, None for no answer at all; it answers nothing to
    the first `deaf_for` requests, and to each with `lies` first."""

    def __init__(self, sees: str | None) -> None:
        self.sees = sees
        self.deaf_for = 0
        self.refuses = False
        self.lies = ""
        self.asked = 0
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.asked += 1
        kind, size, cookie = struct.unpack_from("!HHI", data)
        assert (kind, size, cookie, len(data)) == (0x0001, 0, _COOKIE, 20)
        assert self._transport is not None
        if self.sees is None or self.asked <= self.deaf_for:
            return
        if self.lies:
            self._transport.sendto(_response(bytes(12), self.lies), addr)
        if self.refuses:
            refusal = struct.pack("!HHHBB", 0x0009, 4, 0, 4, 0)
            self._transport.sendto(struct.pack("!HH", 0x0111, 8) + data[4:] + refusal, addr)
            return
        self._transport.sendto(_response(data[8:], self.sees), addr)


def _response(transaction_id: bytes, host: str) -> bytes:
    mask = struct.pack("!I", _COOKIE) + transaction_id
    octets = bytes(a ^ b for a, b in zip(ip_address(host).packed, mask, strict=False))
    value = struct.pack("!BBH", 0, 1 if len(octets) == 4 else 2, 5060 ^ 0x2112) + octets
    head = struct.pack("!HHI", 0x0101, 4 + len(value), _COOKIE) + transaction_id
    return head + struct.pack("!HH", 0x0020, len(value)) + value


@asynccontextmanager
async def stun_server(sees: str | None) -> AsyncIterator[StunServer]:
    """One on loopback."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: StunServer(sees), local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
