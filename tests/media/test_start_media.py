"""The engines that the gateway starts with, and goes on with when its configuration changes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from config.settings import Settings
from config.values import PortRange
from gateway.http.ports import ReloadRefusedError
from gateway.start.errors import StartupError
from gateway.start.media import relay_processes, start_media
from gateway.start.reload import Reloader
from sip.media.events import Lost, MediaEvent
from sip.media.ng.relay import RelayClient
from sip.media.plane import Capability
from sip.media.pool.member import Health
from sip.media.pool.pool import EnginePool
from tests.media.conftest import Engine
from tests.media.talk import Talk
from tests.ports import free_port

PORTS = "27600-27699"


def with_engines(*engines: str, dtmf_log: tuple[str, int] | None = None) -> Settings:
    media: dict[str, object] = {"engine": list(engines), "ports": PORTS}
    if dtmf_log is not None:
        media["rtpengine"] = {"dtmf_log": f"{dtmf_log[0]}:{dtmf_log[1]}"}
    return Settings.model_validate({"media": media, "sip": {"listen": ["udp:127.0.0.1:5060"]}})


def ng(engine: Engine) -> str:
    assert isinstance(engine.address, tuple)
    host, port = engine.address
    return f"ng:udp:{host}:{port}"


@dataclass
class Running:
    """Engines that run, and the configuration that they are of."""

    pool: EnginePool
    reloader: Reloader
    settings: Settings

    async def reload(self, settings: Settings) -> None:
        self.settings = settings
        await self.reloader.reload()

    @property
    def calls(self) -> dict[str, int]:
        return {state.name: state.calls for state in self.pool.roster.states}


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        reloader = Reloader(settings, lambda: now.settings)
        now = Running(await start_media(settings, stack, reloader), reloader, settings)
        yield now


async def test_keys_are_heard_where_the_configuration_says(rtpengine_engine: Engine) -> None:
    settings = with_engines(ng(rtpengine_engine), dtmf_log=rtpengine_engine.dtmf_log)
    with capture_logs() as logs:
        async with running(settings) as now:
            assert Capability.DIGITS in now.pool.capabilities
            with pytest.raises(StartupError, match=r"^media.rtpengine.dtmf_log: .* is taken by"):
                async with running(settings):
                    pass
    assert logs == []


async def test_without_that_address_it_is_logged_once(rtpengine_engine: Engine) -> None:
    with capture_logs() as logs:
        async with running(with_engines(ng(rtpengine_engine))) as now:
            assert Capability.DIGITS not in now.pool.capabilities
    assert [log["event"] for log in logs] == ["media.no-digits"]
    assert logs[0]["key"] == "media.rtpengine.dtmf_log"


async def test_an_rtpengine_that_is_not_there_is_said() -> None:
    nowhere = f"ng:udp:127.0.0.1:{free_port()}"
    with pytest.raises(StartupError, match=f"^media.engine: {nowhere} does not answer; is it"):
        async with running(with_engines(nowhere)):
            pass


async def test_one_engine_that_answers_is_enough() -> None:
    nowhere = f"ng:udp:127.0.0.1:{free_port()}"
    with capture_logs() as logs:
        async with running(with_engines("builtin", nowhere)) as now, Talk(now.pool) as talk:
            assert {s.name: s.health for s in now.pool.roster.states} == {
                "builtin": Health.UP,
                nowhere: Health.DOWN,
            }
            await talk.connect(talk.phone("A"), talk.phone("B"))
            assert now.calls == {"builtin": 1, nowhere: 0}
    assert ("media.engine-down", nowhere) in [(log["event"], log.get("engine")) for log in logs]


async def test_engines_change_by_configuration_alone_with_calls_up(
    rtpengine_engine: Engine,
) -> None:
    other = ng(rtpengine_engine)
    async with running(with_engines("builtin")) as now:
        before, after = Talk(now.pool), Talk(now.pool)
        async with before, after:
            a, b = before.phone("A"), before.phone("B")
            await before.connect(a, b)
            await now.reload(with_engines(other, dtmf_log=rtpengine_engine.dtmf_log))
            c, d = after.phone("C"), after.phone("D")
            await after.connect(c, d)
            assert now.calls == {"builtin": 1, other: 1}
            for speaker, hearer in ((a, b), (b, a), (c, d), (d, c)):
                await speaker.speaks_to(hearer)
            # the old call is negotiated where it is, and its record is true
            await before.offer(a, b, again=True)
            await before.answer(a, b)
            await a.speaks_to(b)
            before.deleted = True
            stats = await now.pool.delete(before.call_id)
            assert stats.parties["A"].packets_received == 2
        await until(lambda: list(now.calls) == [other])
        # and back
        await now.reload(with_engines("builtin"))
        async with Talk(now.pool) as talk:
            await talk.connect(talk.phone("A"), talk.phone("B"))
            assert now.calls["builtin"] == 1


async def test_processes_share_the_calls_and_one_that_dies_loses_its_own_alone() -> None:
    settings = with_engines("builtin")
    media = settings.media.model_copy(update={"processes": 2})
    told: list[tuple[str, MediaEvent]] = []

    def listener(call_id: str) -> Callable[[MediaEvent], None]:
        return lambda event: told.append((call_id, event))

    async with (
        running(settings.model_copy(update={"media": media})) as now,
        AsyncExitStack() as stack,
    ):
        talks = [await stack.enter_async_context(Talk(now.pool)) for _ in range(4)]
        phones = [(talk.phone("A"), talk.phone("B")) for talk in talks]
        for talk, (a, b) in zip(talks, phones, strict=True):
            now.pool.listen(talk.call_id, listener(talk.call_id))
            await talk.connect(a, b)
        assert now.calls == {"builtin-1": 2, "builtin-2": 2}
        first = next(engine for engine in now.pool.roster if engine.name == "builtin-1")
        lost = set(first.calls)
        os.kill(pid_of(now.pool, "builtin-1"), signal.SIGKILL)
        await until(lambda: len(told) == 2)
        assert {call_id for call_id, _ in told} == lost
        assert {type(event) for _, event in told} == {Lost}
        for talk, (a, b) in zip(talks, phones, strict=True):
            if talk.call_id in lost:  # by a re-INVITE
                await talk.offer(a, b, again=True)
                await talk.answer(a, b)
            await a.speaks_to(b)
            await b.speaks_to(a)
        await until(lambda: all(state.health is Health.UP for state in now.pool.roster.states))


def test_auto_is_a_process_a_core_as_far_as_there_are_ports() -> None:
    media = with_engines("builtin").media.model_copy(update={"processes": "auto"})
    assert relay_processes(media) == min(len(os.sched_getaffinity(0)), 25)
    few = media.model_copy(update={"ports": PortRange(20000, 20003)})
    assert relay_processes(few) == 1


def pid_of(pool: EnginePool, name: str) -> int:
    """The process of one of our relays, by its control."""
    (plane,) = (engine.plane for engine in pool.roster if engine.name == name)
    assert isinstance(plane, RelayClient)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and str(plane.address) in _command(folder):
            return int(folder.name)
    raise AssertionError(f"no relay at {plane.address}")


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:  # it has ended meanwhile
        return ""


async def test_a_reload_with_an_engine_that_is_not_there_changes_nothing() -> None:
    async with running(with_engines("builtin")) as now:
        with pytest.raises(ReloadRefusedError, match="does not answer"):
            await now.reload(with_engines(f"ng:udp:127.0.0.1:{free_port()}"))
        assert list(now.calls) == ["builtin"]
        async with Talk(now.pool) as talk:
            await talk.connect(talk.phone("A"), talk.phone("B"))


async def test_calls_of_our_relay_go_to_another_engine_when_it_is_killed(
    rtpengine_engine: Engine,
) -> None:
    told: asyncio.Queue[MediaEvent] = asyncio.Queue()
    async with running(with_engines("builtin", ng(rtpengine_engine))) as now:
        async with Talk(now.pool) as talk:
            a, b = talk.phone("A"), talk.phone("B")
            now.pool.listen(talk.call_id, told.put_nowait)
            await talk.connect(a, b)
            assert now.calls["builtin"] == 1
            os.kill(pid_of(now.pool, "builtin"), signal.SIGKILL)
            async with asyncio.timeout(2):
                assert isinstance(await told.get(), Lost)
            await talk.connect(a, b)
            assert now.calls == {"builtin": 0, ng(rtpengine_engine): 1}
            await a.speaks_to(b)
        await until(lambda: all(s.health is Health.UP for s in now.pool.roster.states))


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    for _ in range(round(within_s / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    assert condition()
