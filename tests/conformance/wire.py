"""Messages put on a real wire as they are, and what comes back for them.

A response to a request over UDP goes to the port in its topmost Via, or 5060 (RFC 3261 18.2.2), so
the sender listens there, on an address of its own where the machine has more than one.
"""

import asyncio
import contextlib
import socket
from dataclasses import dataclass

from sip.core.message import Request, Response
from sip.core.parser import parse_message
from sip.transport.endpoint import Endpoint


@dataclass
class Sender:
    """Somebody at `host` who sends to `gateway` and listens."""

    host: str
    gateway: Endpoint

    async def over_udp(self, data: bytes, port: int, within_s: float) -> list[Response | Request]:
        """Send one datagram from `port`; all that comes back in so many seconds."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        loop = asyncio.get_running_loop()
        found: list[Response | Request] = []
        with socket.socket(family, socket.SOCK_DGRAM) as ours:
            ours.setblocking(False)
            ours.bind((self.host, port))
            ours.sendto(data, (self.gateway.host, self.gateway.port))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    while True:
                        found.append(parse_message(await loop.sock_recv(ours, 65535)))
        return found

    async def over_tcp(self, data: bytes, within_s: float) -> list[Response | Request]:
        """Send on a connection of its own; all that comes back on it."""
        reader, writer = await asyncio.open_connection(
            self.gateway.host, self.gateway.port, local_addr=(self.host, 0)
        )
        writer.write(data)
        got = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(within_s):
                while piece := await reader.read(65535):
                    got += piece
        writer.close()
        found: list[Response | Request] = []
        while got:
            head, _, got = got.partition(b"\r\n\r\n")
            length = next(
                int(line.partition(b":")[2])
                for line in head.splitlines()
                if line.lower().startswith(b"content-length")
            )
            found.append(parse_message(head + b"\r\n\r\n" + got[:length]))
            got = got[length:]
        return found
