"""The relay's life: started, ended, started again, and left alone by a stalled parent."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sip.media.events import Digit, Lost, MediaEvent
from sip.media.ng.client import NgClient
from sip.media.ng.control_address import ControlAddress, read_control_address
from sip.media.plane import MediaError, call_sid_of, session_id
from sip.media.relay_lines import pass_on
from sip.media.supervisor import RelayOptions, RelayProcess
from tests.media.conftest import ROOT
from tests.media.talk import Talk, key_packets

OPTIONS = RelayOptions(advertise="127.0.0.1", listen="127.0.0.1", ports=(27100, 27199), drain_s=0)


def known_to(pid: int) -> list[str]:
    """A process's command line and environment."""
    files = [Path(f"/proc/{pid}") / name for name in ("cmdline", "environ")]
    return [text for file in files for text in file.read_text().split("\0")]


async def gone(pid: int) -> None:
    """Waits until a process that need not be our child has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, ended.set)
    try:
        async with asyncio.timeout(10):
            await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def stop(process: subprocess.Popen[str]) -> None:
    """Suspends a child of ours and returns when it is."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)


def folder_of(address: ControlAddress) -> Path:
    """Where a relay's control is, which must be a UNIX socket."""
    assert isinstance(address, Path)
    return address.parent


@contextmanager
def parent() -> Iterator[tuple[subprocess.Popen[str], int, ControlAddress]]:
    """Another process with a relay of its own: that process, the relay's pid and control."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.media.relay_parent"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        pid, control = process.stdout.readline().split()
        try:
            yield process, int(pid), read_control_address(control)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.stdin.close()
            process.wait(10)


async def test_it_serves_and_leaves_no_process_behind() -> None:
    async with RelayProcess(OPTIONS) as relay:
        pid = relay.pid
        async with Talk(relay.plane) as talk:
            a, b = talk.phone("A"), talk.phone("B")
            await talk.connect(a, b)
            await a.speaks_to(b)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(MediaError, match="not running"):
        _ = relay.plane


async def test_a_killed_relay_is_started_again() -> None:
    restarted = asyncio.Event()
    told: asyncio.Queue[MediaEvent] = asyncio.Queue()
    with capture_logs() as lines:
        async with RelayProcess(OPTIONS, on_restart=restarted.set) as relay:
            plane, first = relay.plane, relay.pid
            async with Talk(plane) as talk:
                a, b = talk.phone("A"), talk.phone("B")
                plane.listen(talk.call_id, told.put_nowait)
                await talk.connect(a, b)
                os.kill(first, signal.SIGKILL)
                async with asyncio.timeout(20):
                    await restarted.wait()
                second = relay.pid
                assert second != first
                assert relay.restarts == 1
                assert isinstance(told.get_nowait(), Lost), "each call that listens is told"
                with pytest.raises(MediaError) as lost:
                    await plane.query(talk.call_id)
                assert lost.value.slug == "unknown-call"
                # a re-INVITE brings the call back
                await talk.offer(a, b, again=True)
                await talk.answer(a, b)
                await a.speaks_to(b)
                for packet in key_packets(101, 7, seq=1, timestamp=160, ssrc=9):
                    a.snd(packet)
                async with asyncio.timeout(5):  # and hears of it from the new relay
                    assert isinstance(await told.get(), Digit)
    assert [line for line in lines if line["event"] != "relay.parent-gone"] == [
        {
            "event": "relay.ended",
            "log_level": "error",
            "relay": "builtin",
            "code": -signal.SIGKILL,
            "now": "its calls have no audio; it is started again",
        },
        {
            "event": "relay.restarted",
            "log_level": "warning",
            "relay": "builtin",
            "pid": second,
        },
    ]


async def test_a_relay_that_hangs_is_noticed_killed_and_replaced_within_three_seconds() -> None:
    """It neither ends nor answers, as in an endless loop; a request meanwhile waits."""
    restarted = asyncio.Event()
    with capture_logs() as lines:
        async with RelayProcess(OPTIONS, on_restart=restarted.set) as relay:
            first, began = relay.pid, time.monotonic()
            os.kill(first, signal.SIGSTOP)
            await relay.plane.ping()
            async with asyncio.timeout(1):
                await restarted.wait()
            assert time.monotonic() - began < 3
            assert relay.pid != first
            with pytest.raises(ProcessLookupError):
                os.kill(first, 0)
    supervisors = {"relay.hangs", "relay.ended", "relay.restarted"}
    assert [line["event"] for line in lines if line["event"] in supervisors] == [
        "relay.hangs",
        "relay.ended",
        "relay.restarted",
    ]


async def test_a_relay_that_is_busy_is_left_alone() -> None:
    """Its queue is long, and a ping's turn does not come in time; all the while it answers."""

    async def never() -> None:
        await asyncio.Event().wait()

    async with RelayProcess(OPTIONS) as relay:
        first = relay.pid
        relay.plane.ping = never  # type: ignore[method-assign]
        for _ in range(40):
            await relay.plane.statistics()
            await asyncio.sleep(0.1)
        assert (relay.pid, relay.restarts) == (first, 0)


async def test_a_stall_of_our_own_is_not_taken_for_the_relays() -> None:
    async with RelayProcess(OPTIONS) as relay:
        first = relay.pid
        for _ in range(2):
            await asyncio.sleep(0.6)
            time.sleep(2.5)  # noqa: ASYNC251 - the stall
        await asyncio.sleep(2.5)
        assert relay.pid == first
        assert relay.restarts == 0


async def test_requests_during_the_restart_wait_for_the_new_relay() -> None:
    """The client repeats them, and is told of the new address meanwhile."""
    async with RelayProcess(OPTIONS, timeout_s=30) as relay:
        first = relay.pid
        os.kill(first, signal.SIGKILL)
        await gone(first)
        with pytest.raises(MediaError, match="Connection refused") as dead:
            await NgClient.connect(relay.plane.address)
        assert dead.value.slug == "refused"
        with pytest.raises(MediaError) as unknown:
            await relay.plane.query("a call of the first one")
        assert unknown.value.slug == "unknown-call"
        assert relay.pid != first


async def test_ports_that_cannot_be_are_said_on_entering() -> None:
    relay = RelayProcess(RelayOptions(advertise="127.0.0.1", ports=(27101, 27102)))
    with (
        capture_logs() as lines,
        pytest.raises(MediaError, match="27101-27102 hold no even/odd pair") as refused,
    ):
        await relay.__aenter__()
    assert refused.value.slug == "refused"
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("relay.cannot-start", "error")


async def test_its_control_is_for_this_user_alone_and_leaves_nothing_behind() -> None:
    async with RelayProcess(OPTIONS) as relay:
        folder = folder_of(relay.plane.address)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert not folder.exists()


@pytest.mark.parametrize("base", ["XDG_RUNTIME_DIR", "TMPDIR"])
async def test_a_folder_that_is_too_deep_for_a_socket_is_passed_over(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv(base, str(deep))
    monkeypatch.setattr("tempfile.tempdir", None)  # where Python keeps what TMPDIR said
    async with RelayProcess(OPTIONS) as relay:
        assert deep not in folder_of(relay.plane.address).parents
        await relay.plane.ping()
    assert not list(deep.iterdir())


async def test_audio_flows_while_the_parent_stalls() -> None:
    """A garbage collection, a debugger, a suspended terminal: nobody hears it."""
    with parent() as (process, _, control):
        client = await NgClient.connect(control)
        async with Talk(client) as talk:
            a, b = talk.phone("A"), talk.phone("B")
            await talk.connect(a, b)
            stop(process)
            for _ in range(50):
                await a.speaks_to(b)
                await b.speaks_to(a)
            # even when it has something to say to a log that nobody reads
            for _ in range(5):
                with pytest.raises(MediaError):
                    await client.request("nonsense", {})
            await a.speaks_to(b)
        await client.close()


async def test_what_it_says_of_a_call_has_the_calls_id() -> None:
    """Also in a media session beside the call's first, whose name is the call's with a number."""
    with capture_logs() as lines:
        async with RelayProcess(OPTIONS) as relay:
            for number in (0, 1):
                async with Talk(relay.plane, session_id("the-sid", number)) as talk:
                    a, b = talk.phone("A"), talk.phone("B")
                    await talk.connect(a, b)
                    a.snd(a.voice(), by=talk.socket("127.0.99.1"))
                    await a.speaks_to(b)
    (line,) = (line for line in lines if line["event"] == "relay.foreign-packets")
    assert (line["call_sid"], line["party"], line["packets"]) == ("the-sid", "A", 1)
    assert line["log_level"] == "warning"
    assert call_sid_of(session_id("the-sid", 1)) == "the-sid"


async def test_what_is_no_line_of_its_log_is_logged_as_it_is() -> None:
    """A traceback of Python's, for instance; and a line that only looks like one of ours."""
    stream = asyncio.StreamReader()
    stream.feed_data(
        b'Traceback (most recent call last):\n[1]\n{"event": 5}\n'
        b'{"level": "loud", "event": "relay.odd", "_record": 1}\n\xff\n'
    )
    stream.feed_eof()
    with capture_logs() as lines:
        await pass_on(stream)
    says = [line["line"] for line in lines if line["event"] == "relay.says"]
    assert says == ["Traceback (most recent call last):", "[1]", '{"event": 5}', "\ufffd"]
    assert {line["log_level"] for line in lines} == {"error"}
    assert {line["event"] for line in lines} == {"relay.says", "relay.odd"}


async def test_it_knows_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment is what Python needs, whatever ours holds."""
    for name in ("RETELL_API_KEY", "GATEWAY_ADMIN_TOKEN", "PGPASSWORD", "TRUNK"):
        monkeypatch.setenv(name, "a-secret")
    monkeypatch.setenv("TZ", "UTC")
    async with RelayProcess(OPTIONS) as relay:
        known = known_to(relay.pid)
    assert "a-secret" not in " ".join(known)
    assert "TZ=UTC" in known


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_relay_ends_with_its_parent(how: signal.Signals) -> None:
    with parent() as (process, pid, control):
        process.send_signal(how)
        process.wait(10)
        await gone(pid)
    assert not folder_of(control).exists(), "also what its parent would have removed"


async def test_signals_to_the_whole_group_leave_the_relay_to_its_parent() -> None:
    """Ctrl-C and systemd signal both; calls are ended, and counters read, before audio stops."""
    with parent() as (_, pid, control):
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
        client = await NgClient.connect(control)
        async with Talk(client) as talk:
            a, b = talk.phone("A"), talk.phone("B")
            await talk.connect(a, b)
            await a.speaks_to(b)
        await client.close()


def test_alone_it_ends_on_sigterm(tmp_path: Path) -> None:
    control = tmp_path / "control"
    with subprocess.Popen(
        [sys.executable, "-m", "sip.media.relay", "--control", f"unix:{control}",
         "--listen", "127.0.0.1", "--ports", "27200-27209"],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == f"ready control=unix:{control}\n"
        process.terminate()
        assert process.wait(10) == 0
    assert not list(tmp_path.iterdir())
