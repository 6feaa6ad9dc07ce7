"""IPv6 end to end, over every transport, on each event loop."""

from pathlib import Path

import pytest

from sip.clock import LoopClock
from sip.transport.advertise import Advertiser, Public
from sip.transport.endpoint import Endpoint, Target
from sip.transport.tls.contexts import ClientTls, ServerTls
from tests.transport.loops import on_each_loop
from tests.transport.node import Node, request, running
from tests.transport.tls.authority import Authority


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@on_each_loop
async def test_there_and_back(transport: str, tmp_path: Path) -> None:
    root = Authority(tmp_path)
    tls = ServerTls(root.issue("::1", "sip.example.com")) if transport == "tls" else None
    one, other = Node(tls=ClientTls(ca=root.bundle)), Node(echo=True)
    async with running(one, other):
        local = await one.layer.listen(Endpoint("tcp" if tls else transport, "::1", 0))
        at = await other.layer.listen(Endpoint(transport, "::1", 0), tls=tls)
        assert str(at) == f"{transport}:[::1]:{at.port}"
        flow = one.layer.flow_to(Target(at, "::1"))
        flow.send(request())
        data, arrived = await other.take()
        assert data == request()
        assert arrived.remote.version == 6
        assert arrived.remote.host == "::1"
        assert (await one.take())[0] == request()
        assert Advertiser(Public("203.0.113.9"), LoopClock()).address("public", flow) == "::1"
        if transport == "udp":
            assert arrived.remote.port == local.port


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@on_each_loop
async def test_both_families_on_one_port(transport: str) -> None:
    """`[::]` does not take what belongs to `0.0.0.0`: peers are seen as what they are."""
    node, four, six = Node(), Node(), Node()
    async with running(node, four, six):
        at = await node.layer.listen(Endpoint(transport, "::", 0))
        await node.layer.listen(Endpoint(transport, "0.0.0.0", at.port))
        for host, caller in (("127.0.0.1", four), ("::1", six)):
            await caller.layer.listen(Endpoint(transport, host, 0))
            caller.layer.flow_to(Endpoint(transport, host, at.port)).send(request())
            _, flow = await node.take()
            assert flow.remote.host == host
            assert Advertiser(Public(), LoopClock()).address("auto", flow) == host
