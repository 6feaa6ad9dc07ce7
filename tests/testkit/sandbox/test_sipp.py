"""SIPp at the other end, over UDP and TCP: a stack that shares nothing with ours."""

import asyncio
import shutil
from pathlib import Path

import pytest

from testkit.sandbox.settings import Agent
from tests.ports import free_port
from tests.testkit.sandbox.stage import NUMBER, number, stage

pytestmark = pytest.mark.skipif(
    shutil.which("sipp") is None, reason="SIPp is not installed (Debian package sip-tester)"
)

MODES = {"udp": "u1", "tcp": "t1"}


async def sipp(at: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "sipp",
        *arguments,
        "-i",
        "127.0.0.1",
        "-nostdin",
        "-timeout",
        "20",
        "-timeout_error",
        cwd=at,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_sipp_calls_the_imported_number(transport: str, tmp_path: Path) -> None:
    async with stage(preset_numbers=(number(),)) as on:
        (local,) = [one for one in on.sandbox.sip if one.transport == transport]
        caller = await sipp(
            tmp_path,
            local.hostport,
            *("-sn", "uac", "-t", MODES[transport], "-s", NUMBER, "-m", "5", "-r", "20"),
            *("-d", "100"),
        )
        assert await caller.wait() == 0
        _, found = await on.ask("GET", "/sandbox/calls")
        endings = [one["call"]["disconnection_reason"] for one in found["items"]]
        assert endings == ["user_hangup"] * 5
        assert on.sandbox.endpoint.gauges["dialogs"] == 0


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_the_sandbox_calls_sipp_and_hangs_up(transport: str, tmp_path: Path) -> None:
    port = free_port()
    callee = await sipp(tmp_path, "-sn", "uas", "-t", MODES[transport], "-p", str(port), "-m", "1")
    await listening(transport, port)
    preset = number(("127.0.0.1", port), transport=transport.upper())
    agent = Agent(greeting=False, hangup_after_s=0.1)
    async with stage(preset_numbers=(preset,), agent=agent) as on:
        call = await on.retell.call.create_phone_call(from_number=NUMBER, to_number="+14155550199")
        ended = await on.call(call.call_id, "ended", "not_connected")
        assert ended["disconnection_reason"] == "agent_hangup"
        # the built-in scenario takes the BYE for what it is and ends in success
        assert await callee.wait() == 0


def table(transport: str) -> str:
    """The kernel's list of sockets."""
    return Path(f"/proc/net/{transport}").read_text()


async def listening(transport: str, port: int) -> None:
    """Wait until SIPp has its socket."""
    wanted = f"0100007F:{port:04X}"
    async with asyncio.timeout(10):
        while True:
            if wanted in table(transport):
                return
            await asyncio.sleep(0.02)
