"""Broken streams against a softswitch's TCP and TLS listeners, on virtual time.

`make hostile` makes ten thousand of them to a gateway process; this is a slice.
"""

import asyncio
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from config.values import Source
from sip.core.uri import Uri
from sip.softswitch.listeners import ListenerSpec
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint
from sip.transport.tls.contexts import ServerTls
from tests.hostile.parties import Callee, Caller
from tests.hostile.streams import BELOW_TLS, TCP, WITHIN_TLS, Streams
from tests.hostile.test_datagrams import CALLEE, FUZZED, HONEST, verbs
from tests.ladder import DID, Ladder, make_ladder
from tests.transport.tls.authority import Authority
from tests.virtual import virtual_time

ROUNDS = 10
KINDS = len(TCP) + len(BELOW_TLS) + len(WITHIN_TLS)


async def listen(ladder: Ladder, tls: ServerTls) -> tuple[tuple[str, int], tuple[str, int]]:
    """Open a TCP and a TLS listener beside the ladder's UDP."""
    await ladder.switch.listen(
        [
            Endpoint("tcp", "127.0.0.1", 0),
            ListenerSpec(endpoint=Endpoint("tls", "127.0.0.1", 0), tls=tls),
        ]
    )
    by_transport = {one.transport: (one.host, one.port) for one in ladder.switch.ua.listening}
    return by_transport["tcp"], by_transport["tls"]


@pytest.mark.slow
@pytest.mark.timeout(300)
@virtual_time
async def test_every_broken_stream_ends_and_an_honest_call_completes(tmp_path: Path) -> None:
    certificate = Authority(tmp_path).issue("gateway.example.com")
    callee = Callee(CALLEE, ("127.0.0.1", 0), random.Random(0))
    trunks = [
        Trunk(name="fuzzed", sources=(Source.parse(FUZZED),)),
        Trunk(name="honest", sources=(Source.parse(HONEST),)),
        Trunk(name="callee", gateways=(Uri.parse(f"sip:{callee.name}"),)),
    ]
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: unhandled.append(what))
    with capture_logs() as logged:
        async with make_ladder(trunks=trunks) as ladder, callee:
            ladder.app.verbs = verbs
            address = ladder.peer("carrier").gateway
            callee.gateway = (address.host, address.port)
            tcp, tls = await listen(ladder, ServerTls(certificate))
            streams = Streams(tcp, tls, FUZZED, seed=3261, together=100)
            half_way = asyncio.Event()

            def progress(number: int) -> None:
                if number > ROUNDS * KINDS / 2:
                    half_way.set()

            async with Caller(HONEST, callee.gateway) as honest, asyncio.TaskGroup() as together:
                together.create_task(streams.run(ROUNDS * KINDS, progress))
                sip_call_id = await honest.call(DID, half_way.wait())
            await ladder.settled(400)
            ended = [f["data"] for f in ladder.app.told("call:status")]
    assert streams.wrong == {}
    assert streams.fine == dict.fromkeys([*TCP, *BELOW_TLS, *WITHIN_TLS], ROUNDS)
    assert {f["call_status"] for f in ended if f["call_id"] == sip_call_id} >= {"completed"}
    assert not unhandled, unhandled[0]
    broken = [entry for entry in logged if entry["log_level"] in ("error", "critical")]
    assert not broken, broken[0]


@virtual_time
@pytest.mark.parametrize("first", [b"OPTIONS sip:x SIP/2.0\r\n", b"\r\n\r\n", b""])
async def test_a_stranger_gets_no_connection(first: bytes) -> None:
    async with make_ladder() as ladder:
        await ladder.switch.listen([Endpoint("tcp", "127.0.0.1", 0)])
        [tcp] = [one for one in ladder.switch.ua.listening if one.transport == "tcp"]
        reader, writer = await asyncio.open_connection(
            tcp.host, tcp.port, local_addr=("127.0.0.66", 0)
        )
        try:
            writer.write(first)
            async with asyncio.timeout(1):
                with suppress(ConnectionError):  # closed or reset, as the kernel has it
                    assert await reader.read() == b""
        finally:
            writer.transport.abort()
        assert ladder.switch.gauges["connections"] == 0
