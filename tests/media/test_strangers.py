"""Who may steer the relay: its own user's programs by a UNIX socket, by UDP who knows the word."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sip.media.ng.control_address import ControlAddress, read_control_address, written
from sip.media.ng.relay import RelayClient
from sip.media.plane import MediaError
from sip.media.supervisor import RelayOptions, RelayProcess
from tests.media.conftest import ROOT
from tests.media.talk import Talk
from tests.media.test_relay_process import run

OPTIONS = RelayOptions(advertise="127.0.0.1", listen="127.0.0.1", ports=(27300, 27339), drain_s=0)
NOBODY = 65534
TOKEN = b"a-word-of-its-clients"

#: Another user's program: it tells what came of its attempt to delete a call.
STRANGER = """
import os, socket, sys
control, call, user = sys.argv[1:]
os.setgroups([]); os.setgid(int(user)); os.setuid(int(user))
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.bind("")  # an address of the kernel's choice, to which an answer could come
sock.settimeout(0.3)
try:
    sock.sendto(b'evil_1 {"command": "delete", "call-id": "%s"}' % call.encode(), control)
    print(sock.recv(65535))
except OSError as error:
    print(type(error).__name__)
"""

as_root = pytest.mark.skipif(os.getuid() != 0, reason="becomes another user, which root alone may")


def stranger(control: ControlAddress, call_id: str, user: int = NOBODY) -> str:
    """What another user's program sees."""
    arguments = [sys.executable, "-c", STRANGER, str(control), call_id, str(user)]
    return subprocess.run(
        arguments, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
        check=True,
    ).stdout.strip()  # fmt: skip


@contextmanager
def standalone(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], ControlAddress]]:
    """A relay of its own, told of its control on the command line."""
    with subprocess.Popen(
        [sys.executable, "-m", "sip.media.relay", "--parent", "--listen", "127.0.0.1",
         "--ports", "27340-27379", *arguments],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        ready = process.stdout.readline().strip()
        yield process, read_control_address(ready.removeprefix("ready control="))
        process.stdin.close()
        process.wait(10)


def said(process: subprocess.Popen[str]) -> str:
    """Ends a relay; what it has logged."""
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.close()
    return process.stderr.read()


@as_root
async def test_another_users_program_cannot_reach_the_gateways_relay() -> None:
    async with RelayProcess(OPTIONS) as relay, Talk(relay.plane) as talk:
        a, b = talk.phone("A"), talk.phone("B")
        await talk.connect(a, b)
        assert stranger(relay.plane.address, talk.call_id) == "PermissionError"
        await a.speaks_to(b)
        await b.speaks_to(a)


@as_root
async def test_a_socket_that_everybody_may_write_to_obeys_its_own_user_alone(
    tmp_path: Path,
) -> None:
    """The kernel says who sent a request, whatever the permissions of path and folder are."""
    with standalone("--control", f"unix:{tmp_path}/control") as (process, control):
        assert isinstance(control, Path)
        for path in (control, *control.parents):
            if path.owner() == "root" and path.is_relative_to("/tmp/"):
                path.chmod(0o777)
        client = await RelayClient.connect(control)
        async with Talk(client) as talk:
            a, b = talk.phone("A"), talk.phone("B")
            await talk.connect(a, b)
            assert stranger(control, talk.call_id) == "TimeoutError"
            assert "evil_1" in stranger(control, "unknown", user=0), "the same by root"
            await a.speaks_to(b)
        await client.close()
        assert f'"user": {NOBODY}}}' in said(process)


async def test_over_udp_the_word_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(TOKEN + b"\n")
    with standalone("--control", "127.0.0.1:0", "--token-file", str(file)) as (process, control):
        client = await RelayClient.connect(control, token=TOKEN)
        async with Talk(client) as talk:
            a, b = talk.phone("A"), talk.phone("B")
            await talk.connect(a, b)
            for token in (b"", TOKEN[:-1], TOKEN + b"s", b"another-word-altogether"):
                liar = await RelayClient.connect(control, token=token, timeout_s=0.05)
                with pytest.raises(MediaError) as refused:
                    await liar.delete(talk.call_id)
                assert refused.value.slug == "timeout"
                await liar.close()
            await a.speaks_to(b)
        await client.close()
        line = said(process)
    assert '"event": "relay.control-stranger"' in line
    assert TOKEN.decode() not in line
    assert TOKEN.decode() not in " ".join(process.args)  # type: ignore[arg-type]


async def test_a_client_hears_its_relay_alone() -> None:
    """Even another program of the same user cannot answer in its stead."""
    async with RelayProcess(OPTIONS) as relay:
        address = relay.plane.address
        assert isinstance(address, Path)
        (client,) = address.parent.glob("control.*")
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as forger,
            pytest.raises(PermissionError),
        ):
            forger.sendto(b"x {}", str(client))


async def test_a_client_that_does_not_read_holds_up_nobody() -> None:
    """Its socket is full after a few replies; others get theirs, and it too once it reads."""
    async with RelayProcess(OPTIONS) as relay:
        address = relay.plane.address
        assert isinstance(address, Path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as idle:
            idle.bind(f"{address}.idle")
            idle.connect(str(address))
            idle.settimeout(5)
            for number in range(100):
                idle.send(b'%d {"command": "ping"}' % number)
            await relay.plane.ping()
            cookies = [int(idle.recv(65535).partition(b" ")[0]) for _ in range(100)]
        assert cookies == list(range(100))


async def test_a_relay_takes_the_place_of_one_that_was_killed(tmp_path: Path) -> None:
    where = f"unix:{tmp_path}/control"
    with standalone("--control", where) as (process, _):
        process.kill()
        process.wait(10)
    assert (tmp_path / "control").is_socket()
    with standalone("--control", where) as (_, control):
        client = await RelayClient.connect(control)
        await client.ping()
        second = run("--control", where, "--advertise", "127.0.0.1")
        assert (second.returncode, "already in use" in second.stderr) == (2, True)
        await client.ping()
        await client.close()
    assert written(control) == where
