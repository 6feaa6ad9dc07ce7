"""The UDP listener."""

from structlog.testing import capture_logs

from sip.transport.endpoint import Endpoint
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
