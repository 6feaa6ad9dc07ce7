"""A UDP wire between one party and the gateway that loses datagrams, by a fixed pattern.

The gateway sees the wire's address in the party's place, as it would see a carrier's edge: the
wire also writes itself into the party's Contact, so that every request of a dialog crosses it.
"""

import asyncio
import random
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.interop.harness.network import Party

Address = tuple[str, int]


@dataclass(slots=True)
class Way:
    """One direction: how many datagrams were passed and lost."""

    loss: random.Random
    passed: int = 0
    lost: int = 0

    def loses(self, share: float) -> bool:
        lost = self.loss.random() < share
        self.lost += lost
        self.passed += not lost
        return lost


class Wire(asyncio.DatagramProtocol):
    """Async context manager: datagrams of `party` go to `gateway` and the other way round."""

    def __init__(
        self, at: Party, party: Party, gateway: Party, *, share: float = 0.0, seed: int = 0
    ) -> None:
        """`share` of the datagrams is lost each way, the same ones for the same `seed`."""
        self.at = at
        self._party: Address = (party.host, party.port)
        self._gateway: Address = (gateway.host, gateway.port)
        self._contact = f"@{party}".encode(), f"@{at}".encode()
        self._share = share
        self.inward = Way(random.Random(seed))
        self.outward = Way(random.Random(seed + 1))
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=(self.at.host, self.at.port)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        assert self._transport is not None
        if addr == self._gateway:
            if not self.outward.loses(self._share):
                self._transport.sendto(self.outwards(data), self._party)
        elif not self.inward.loses(self._share):
            self._transport.sendto(self._inwards(data), self._gateway)

    def outwards(self, data: bytes) -> bytes:
        """What the party gets for what the gateway sent."""
        return data

    def _inwards(self, data: bytes) -> bytes:
        head, gap, body = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        for index, line in enumerate(lines):
            if line.lower().startswith(b"contact:"):
                lines[index] = line.replace(*self._contact)
        return b"\r\n".join(lines) + gap + body
