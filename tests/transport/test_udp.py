"""The UDP listener."""

import asyncio
import socket

import pytest
from structlog.testing import capture_logs

from sip.transport.endpoint import Endpoint
from tests.transport.loops import on_each_loop
from tests.transport.node import Node, running


async def test_what_the_kernel_will_not_send_is_told_of_once() -> None:
    """Nobody else would say why a carrier behind our own firewall stays silent."""
    node = Node()
    async with running(node):
        await node.layer.listen(Endpoint("udp", "127.0.0.1", 0))
        flow = node.layer.flow_to(Endpoint("udp", "255.255.255.255", 5060))
        with capture_logs() as lines:
            flow.send(b"not to everybody")
            flow.send(b"not to everybody")
    assert lines == [
        {
            "event": "send.failed",
            "log_level": "warning",
            "peer": "udp:255.255.255.255:5060",
            "error": "Permission denied",
        }
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@on_each_loop
async def test_a_closed_port_is_told_of_and_others_are_still_heard(host: str) -> None:
    """RFC 3261 18.4. libuv stops to watch a socket with an error; nobody else may suffer by it."""
    told: list[tuple[Endpoint, str]] = []
    node, other = Node(on_unreachable=lambda *what: told.append(what)), Node()
    async with running(node, other):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as unused:
            unused.bind((host, 0))
            closed = Endpoint("udp", host, unused.getsockname()[1])
        at = await node.layer.listen(Endpoint("udp", host, 0))
        there = await other.layer.listen(Endpoint("udp", host, 0))
        for number in range(1, 4):
            node.layer.flow_to(closed).send(b"to nobody")
            # the error of the line before is not this peer's
            node.layer.flow_to(there).send(b"to somebody %d" % number)
            assert (await other.take())[0] == b"to somebody %d" % number
            await asyncio.sleep(0.05)
            other.layer.flow_to(at).send(b"from somebody %d" % number)
            assert (await node.take())[0] == b"from somebody %d" % number
    assert told == [(closed, "connection refused: nothing listens there")] * 3
