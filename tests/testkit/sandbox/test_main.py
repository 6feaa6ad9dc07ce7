"""The program: listeners, errors, the way it ends."""

import asyncio
import errno
import os
import signal
import socket

import pytest

from testkit.sandbox.errors import ListenError
from testkit.sandbox.main import serve
from tests.testkit.sandbox.peers import Caller, SipPeer, udp
from tests.testkit.sandbox.stage import AGENT, NUMBER, number, settings, stage


def sockets() -> set[str]:
    """The sockets that this process has open."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


async def test_a_taken_rest_port_is_one_clear_line_and_leaves_nothing_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        before, tasks = sockets(), asyncio.all_tasks()
        with pytest.raises(ListenError) as caught:
            await serve(settings(http_port=port))
        assert str(caught.value) == (
            f"sandbox: cannot listen on 127.0.0.1:{port} for REST: {os.strerror(errno.EADDRINUSE)}"
        )
        await asyncio.sleep(0)
        assert sockets() == before
        assert asyncio.all_tasks() == tasks


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_taken_sip_port_is_one_clear_line(transport: str) -> None:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if transport == "tcp":
            taken.listen()
        where = f"{transport}:127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ListenError, match=f"cannot listen on {where} for SIP: "):
            await serve(settings(sip_listen=("udp:127.0.0.1:0", where)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_runs_until_it_is_told_to_stop(number: signal.Signals) -> None:
    before = sockets()
    ready = asyncio.Event()
    served = asyncio.create_task(serve(settings(), ready=ready))
    await ready.wait()
    assert sockets() != before
    os.kill(os.getpid(), number)
    await served
    assert sockets() == before


async def test_it_ends_when_it_is_cancelled() -> None:
    ready = asyncio.Event()
    served = asyncio.create_task(serve(settings(), ready=ready))
    await ready.wait()
    served.cancel()
    with pytest.raises(asyncio.CancelledError):
        await served


async def test_calls_in_every_state_are_ended_and_nothing_stays_open() -> None:
    """One rings, one is up, one is dialled out; then the sandbox ends."""
    before = sockets()
    async with udp() as trunk, udp() as first, udp() as second:
        async with stage(preset_numbers=(number(trunk.address),), concurrency_limit=2) as on:
            up, ringing = Caller(SipPeer(first), on.sip), Caller(SipPeer(second), on.sip)
            up.invite(NUMBER, ("127.0.0.1", 9))
            await up.answered()
            await on.call(await on.only_call(), "ongoing")
            body = {"from_number": NUMBER, "to_number": "+14155550199"}
            assert (await on.ask("POST", "/v2/create-phone-call", body))[0] == 201
            await trunk.received.get()
            ringing.invite(NUMBER, ("127.0.0.1", 9))
            await ringing.peer.expect(180)
            await on.retell.call.register_phone_call(agent_id=AGENT)
        await up.peer.expect("BYE")
        assert (await ringing.peer.next()).status == 503
    assert sockets() == before
