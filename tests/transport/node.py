"""A transport layer whose user writes down what it is told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sip.clock import LoopClock
from sip.core.message import MessageError
from sip.transport.endpoint import Endpoint, Flow
from sip.transport.layer import TransportLayer
from sip.transport.stream_limits import StreamLimits
from sip.transport.tls.contexts import ClientTls


def request(number: int = 1, body: bytes = b"") -> bytes:
    """A message as far as framing goes."""
    head = f"OPTIONS sip:x SIP/2.0\r\nCSeq: {number} OPTIONS\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Node:
    """One side. `inbox` holds messages with their flows, `lost` the flows that ended."""

    def __init__(
        self,
        *,
        tls: ClientTls | None = None,
        admit: Callable[[Flow], bool] = lambda _: True,
        limits: StreamLimits | None = None,
        keepalive_s: float | None = None,
        echo: bool = False,
        on_unreachable: Callable[[Endpoint, str], None] = lambda _, __: None,
    ) -> None:
        self.inbox: asyncio.Queue[tuple[bytes, Flow]] = asyncio.Queue()
        self.lost: asyncio.Queue[Flow] = asyncio.Queue()
        self.broken: list[MessageError] = []
        self.echo = echo
        self.layer = TransportLayer(
            clock=LoopClock(),
            on_message=self._take,
            on_flow_lost=lambda flow, _: self.lost.put_nowait(flow),
            on_unreachable=on_unreachable,
            on_broken=lambda _, error: self.broken.append(error),
            admit=admit,
            tls=tls,
            limits=limits,
            keepalive_s=keepalive_s,
        )

    def _take(self, data: bytes, flow: Flow) -> None:
        if self.echo:
            flow.send(data)
        self.inbox.put_nowait((data, flow))

    async def take(self) -> tuple[bytes, Flow]:
        async with asyncio.timeout(10):
            return await self.inbox.get()

    async def loses(self) -> Flow:
        async with asyncio.timeout(90):
            return await self.lost.get()


@asynccontextmanager
async def running(*nodes: Node) -> AsyncIterator[None]:
    """Closes the nodes, and checks that nothing of theirs is left."""
    try:
        yield
    finally:
        for node in nodes:
            await node.layer.close()
        for _ in range(200):
            if not any(node.layer.open_connections for node in nodes):
                break
            await asyncio.sleep(0.01)
        assert [node.layer.open_connections for node in nodes] == [0] * len(nodes)
