"""The relay as a process: limits, leaks, hostile input, bad usage."""

import asyncio
import os
import random
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from sip.media.ng.client import NgClient
from sip.media.ng.relay import RelayClient
from sip.media.plane import MediaError
from sip.media.supervisor import RelayOptions, RelayProcess
from tests.media.conftest import ROOT, Engine
from tests.media.talk import Talk, rtp


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sip.media.relay", *arguments],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


async def test_no_ports_and_their_return() -> None:
    """Two calls fill four pairs; the third is told so; when one ends it finds room."""
    options = RelayOptions(
        advertise="127.0.0.1", listen="127.0.0.1", ports=(26000, 26007), drain_s=0
    )
    async with RelayProcess(options) as relay:
        full = [Talk(relay.plane, f"full-{n}") for n in range(2)]
        async with full[0], full[1], Talk(relay.plane, "third") as third:
            for talk in full:
                await talk.offer(talk.phone("A"), talk.phone("B"))
            a, b = third.phone("A"), third.phone("B")
            with pytest.raises(MediaError) as refused:
                await third.offer(a, b)
            assert refused.value.slug == "no-ports"
            full[0].deleted = True
            await relay.plane.delete(full[0].call_id)
            await third.connect(a, b)
            await a.speaks_to(b)


async def test_resting_ports_are_lent_and_late_packets_of_the_old_call_not_heard() -> None:
    """Nothing else is left: the new call gets them at once, and hears its own parties alone."""
    options = RelayOptions(
        advertise="127.0.0.1", listen="127.0.0.1", ports=(26010, 26013), drain_s=3600
    )
    async with RelayProcess(options) as relay, Talk(relay.plane, "second") as second:
        async with Talk(relay.plane, "first") as first:
            old = first.phone("A", "127.0.0.3"), first.phone("B", "127.0.0.3")
            await first.connect(*old)
            await old[0].speaks_to(old[1])
            await relay.plane.delete("first")
            first.deleted = True
            new = second.phone("A"), second.phone("B")
            await second.connect(*new)
            assert {phone.told_port for phone in new} == {phone.told_port for phone in old}
            for _ in range(30):
                for late in old:
                    late.snd(late.voice())
            for _ in range(3):
                await new[0].speaks_to(new[1])
                await new[1].speaks_to(new[0])
        stats = await relay.plane.query("second")
        assert [party.packets_received for party in stats.parties.values()] == [3, 3]
        assert sum(party.foreign for party in stats.parties.values()) == 60


async def test_a_thousand_calls_leave_no_sockets() -> None:
    """Answered, hunted, and given up calls, some of them at once."""
    options = RelayOptions(
        advertise="127.0.0.1", listen="127.0.0.1", ports=(26100, 26899), drain_s=0
    )
    async with RelayProcess(options) as relay:
        before = open_files(relay.pid)

        async def one(number: int) -> None:
            call_id = f"call-{number}"
            await relay.plane.offer(call_id, "A", _sdp())
            if number % 3:
                await relay.plane.answer(call_id, "A", "B", _sdp())
            if number % 3 == 2:
                await relay.plane.offer(call_id, "A", _sdp())
                await relay.plane.answer(call_id, "A", "C", _sdp())
            await relay.plane.delete(call_id)

        for start in range(0, 1000, 50):
            await asyncio.gather(*(one(start + n) for n in range(50)))
        assert open_files(relay.pid) == before


async def test_garbage_on_rtp_and_control_ports_harms_nobody(
    relay_talk: Talk, relay_engine: Engine
) -> None:
    """Mutated packets to every port of a call and to control; then it works as before."""
    assert isinstance(relay_engine.address, Path)
    control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    control.bind(f"{relay_engine.address}.noise")
    control.connect(str(relay_engine.address))
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    stranger = relay_talk.socket("127.0.99.1")
    await relay_talk.connect(a, b)
    await a.speaks_to(b)
    noise = random.Random(3)
    good = [rtp(0, 1, 160, 1), b"x d7:command5:offer7:call-id1:c8:from-tag1:A3:sdp3:v=0e"]
    targets = [a.told_port, a.told_rtcp_port, b.told_port, 0]
    for _ in range(5000):
        packet = bytearray(noise.choice(good))
        for _ in range(noise.randrange(4)):
            packet[noise.randrange(len(packet))] = noise.randrange(256)
        data, target = bytes(packet[: noise.randrange(len(packet) + 1)]), noise.choice(targets)
        if target:
            stranger.send(data, target)
            continue
        with suppress(BlockingIOError):  # its queue is full
            control.send(data)
    control.close()
    await relay_talk.plane.ping()
    await a.speaks_to(b)
    await b.speaks_to(a)
    stats = await relay_talk.plane.query(relay_talk.call_id)
    assert stats.parties["A"].packets_received == 2
    assert stats.parties["A"].foreign > 0


async def test_a_ping_tells_how_many_ports_are_in_use(relay_talk: Talk) -> None:
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    await relay_talk.connect(a, b)
    plane = relay_talk.plane
    assert isinstance(plane, RelayClient)
    await plane.ping()
    assert plane.ports is not None
    in_use, in_all = plane.ports
    assert 4 <= in_use <= in_all
    await plane.delete(relay_talk.call_id)
    relay_talk.deleted = True
    await plane.ping()
    assert plane.ports == (in_use - 4, in_all)


async def test_the_partys_own_garbage_harms_nobody(relay_talk: Talk) -> None:
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    await relay_talk.connect(a, b)
    await a.speaks_to(b)
    for size in (0, 1, 11):
        a.snd(b"\x80" * size)
    a.snd(rtp(0, 102, 102 * 160, int.from_bytes(b"A\0\0\0"), b"\0" * 60_000))
    await a.speaks_to(b)
    stats = (await relay_talk.plane.query(relay_talk.call_id)).parties["A"]
    assert stats.refused == 4


async def test_setting_up_calls_does_not_delay_packets(relay_talk: Talk) -> None:
    """A burst of requests is served one at a time, packets in between."""
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    await relay_talk.connect(a, b)
    finished = 0
    room = asyncio.Semaphore(40)  # so many have ports at a time

    async def call(number: int) -> None:
        nonlocal finished
        async with room:
            await relay_talk.plane.offer(f"busy-{number}", "A", _sdp())
            await relay_talk.plane.delete(f"busy-{number}")
        finished += 1

    calls = [asyncio.create_task(call(number)) for number in range(200)]
    while finished < len(calls):
        await a.speaks_to(b)
    await asyncio.gather(*calls)
    assert (await relay_talk.plane.query(relay_talk.call_id)).parties["A"].packets_received > 20


_UDP = ("--control", "127.0.0.1:0", "--no-token")
_TOLD = ("--advertise", "192.0.2.1")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--control", "nowhere"], "neither unix:PATH nor HOST:PORT"),
        (["--control", "gw.example.com:2223"], "not an IP address"),
        (["--control", "unix:"], "no path of 1 to 98 octets"),
        (["--control", "unix:/tmp/" + "d" * 100], "(it has 105)"),
        (["--control", "unix:/nowhere/control", "--listen", "::1"], "No such file or directory"),
        (["--control", "unix:/dev/null", "--listen", "::1"], "already in use"),
        ([*_UDP], "--advertise is needed"),
        ([*_UDP, "--advertise", "gw.example.com"], "not an IP address"),
        ([*_UDP, "--advertise", "::1"], "address families"),
        ([*_UDP, *_TOLD, "--ports", "30000-20000"], "not FIRST-LAST"),
        ([*_UDP, *_TOLD, "--ports", "20001-20002"], "no even/odd pair"),
        ([*_UDP, *_TOLD, "--drain", "soon"], "not a number of seconds"),
        (["--control", "192.0.2.1:2223", "--no-token", *_TOLD], "Cannot assign"),
        (["--control", "127.0.0.1:0", *_TOLD], "other users' programs: use unix:PATH"),
        (["--control", "127.0.0.1:0", *_TOLD, "--token-file", "/nowhere"], "No such file"),
        (["--control", "127.0.0.1:0", *_TOLD, "--token-file", "/dev/null"], "one word of 16"),
    ],
)
def test_bad_usage_is_one_clear_line_and_exit_code_2(arguments: list[str], why: str) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert why in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_taken_control_address_is_one_clear_line() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run("--control", address, "--no-token", "--advertise", "192.0.2.1")
    assert result.returncode == 2
    assert address in result.stderr
    assert "Address already in use" in result.stderr


async def test_ipv6() -> None:
    options = RelayOptions(advertise="::1", listen="::1", ports=(26900, 26919))
    async with RelayProcess(options) as relay:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as phone:
            phone.bind(("::1", 0))
            phone.setblocking(False)
            port = phone.getsockname()[1]
            sdp = _sdp().replace("IN IP4 127.0.0.2", "IN IP6 ::1").replace("4000", str(port))
            told = await relay.plane.offer("six", "A", sdp)
            assert "c=IN IP6 ::1" in told
            told = await relay.plane.answer("six", "A", "B", sdp)
            to = int(told.partition("m=audio ")[2].split()[0])
            packet = rtp(0, 1, 160, 1)
            phone.sendto(packet, ("::1", to))
            async with asyncio.timeout(5):
                assert await asyncio.get_running_loop().sock_recv(phone, 2048) == packet
        stats = await relay.plane.delete("six")
        assert stats.parties["A"].address == ("::1", port)


async def test_one_client_at_a_time_is_not_needed(relay_engine: Engine) -> None:
    """Cookies of two clients never meet: each has its own prefix and port."""
    clients = [await NgClient.connect(relay_engine.address) for _ in range(3)]
    await asyncio.gather(*(client.ping() for client in clients for _ in range(20)))
    for client in clients:
        await client.close()


def _sdp() -> str:
    return (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\n"
        "m=audio 4000 RTP/AVP 0\r\n"
    )
