"""Starts the engines of `media.engine`: our relay, and clients of rtpengines that run elsewhere."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from config.settings import MediaSettings, Settings
from gateway.start.errors import StartupError, cannot_listen
from gateway.start.reload import Reloader
from sip.clock import LoopClock
from sip.media.ng.key_log import KeyLog
from sip.media.ng.rtpengine import RtpengineClient, RtpengineOptions
from sip.media.plane import Capability, MediaError
from sip.media.pool.member import Member
from sip.media.pool.pool import EnginePool
from sip.media.relays import most_processes, start_relays
from sip.media.supervisor import RelayOptions
from sip.transport.address import is_loopback

log = structlog.get_logger(__name__)

#: Seconds for an rtpengine to answer, which may be starting as well.
REACH_S = 3.0


async def start_media(
    settings: Settings,
    stack: AsyncExitStack,
    reloader: Reloader,
    recorder: Path | None = None,
) -> EnginePool:
    """The engines of `media.engine`, as one. Raises StartupError.

    `recorder` is the recorder's socket, where calls can be recorded.
    """
    engines = Engines(recorder)
    pool = engines.pool = EnginePool(await engines.make(settings), clock=LoopClock())
    stack.callback(engines.key_log.close)
    stack.push_async_callback(pool.close)
    pool.start()
    engines.say_what_lacks()
    reloader.add_slow(engines.prepare)
    return pool


class Engines:
    """Makes the members of the pool, at the start and when the configuration names others."""

    def __init__(self, recorder: Path | None = None) -> None:
        self._recorder = recorder
        #: where all rtpengines tell keys
        self.key_log = KeyLog()
        self.pool: EnginePool | None = None
        #: the members that each engine of the configuration is
        self._names: dict[str, tuple[str, ...]] = {}

    async def make(self, settings: Settings) -> list[Member]:
        """Those that the settings name and the pool has not. Raises StartupError.

        Of several, one that answers is enough: the others may come later.
        """
        members: list[Member] = []
        try:
            for engine in settings.media.engine:
                if not self._runs(engine):
                    made = await self._members(engine, settings)
                    self._names[engine] = tuple(member.name for member in made)
                    members += made
            self._check_reachable(settings, members)
            await self._listen_for_keys(settings)
        except StartupError:
            for member in members:
                await member.close()
            raise
        return members

    async def prepare(self, settings: Settings) -> Callable[[], Awaitable[None]]:
        """Other engines, from the next call on: a part of the `Reloader`."""
        assert self.pool is not None
        roster = self.pool.roster
        new = await self.make(settings)
        wanted = {name for engine in settings.media.engine for name in self._names[engine]}

        async def take() -> None:
            roster.configure(wanted, new)
            self.say_what_lacks()

        return take

    def say_what_lacks(self) -> None:
        """An operator may wonder why no key is heard."""
        for engine in self.pool.roster.in_use if self.pool is not None else ():
            if Capability.DIGITS not in engine.plane.capabilities:
                log.info("media.no-digits", engine=engine.name, key="media.rtpengine.dtmf_log")

    def _runs(self, engine: str) -> bool:
        """Whether the pool has it, though it may retire."""
        names = self._names.get(engine, ())
        return self.pool is not None and any(name in self.pool.roster for name in names)

    async def _members(self, engine: str, settings: Settings) -> list[Member]:
        if engine == "builtin":
            return await self._builtin(settings)
        return [await self._rtpengine(engine)]

    async def _builtin(self, settings: Settings) -> list[Member]:
        host = _host(settings)
        options = RelayOptions(
            advertise="::1" if ":" in host else "127.0.0.1",  # each call says what it tells
            listen=host,
            ports=(settings.media.ports.first, settings.media.ports.last),
            recorder=None if self._recorder is None else str(self._recorder),
        )
        processes = relay_processes(settings.media)
        try:
            return await start_relays(options, processes, clock=LoopClock(), on_end=self._ended)
        except MediaError as error:
            raise StartupError(f"media: the relay cannot start: {error.text}") from None

    async def _rtpengine(self, name: str) -> Member:
        host, _, port = name.removeprefix("ng:udp:").rpartition(":")
        options = RtpengineOptions(key_log=self.key_log)
        try:
            client = await RtpengineClient.connect(
                (host.strip("[]"), int(port)), clock=LoopClock(), options=options
            )
        except MediaError as error:
            raise StartupError(f"media.engine: {name} does not answer: {error.text}") from None
        return Member(name=name, plane=client, close=client.close, up=await _answers(client))

    def _ended(self, name: str) -> None:
        if self.pool is not None:
            self.pool.roster.fallen(name)

    def _check_reachable(self, settings: Settings, new: list[Member]) -> None:
        down = [member.name for member in new if not member.up]
        if len(down) == len(settings.media.engine):
            names = " and ".join(down)
            raise StartupError(f"media.engine: {names} does not answer; is it running there?")
        for name in down:
            log.error("media.engine-down", engine=name, calls=0)

    async def _listen_for_keys(self, settings: Settings) -> None:
        keys = settings.media.rtpengine.dtmf_log
        try:
            await self.key_log.listen((keys.host, keys.port) if keys is not None else None)
        except OSError as error:
            address = f"{keys.host}:{keys.port}" if keys is not None else ""
            reason = cannot_listen(address, error)
            raise StartupError(f"media.rtpengine.dtmf_log: {reason}") from None


async def _answers(client: RtpengineClient) -> bool:
    """Whether an rtpengine answers within `REACH_S`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + REACH_S
    while True:
        try:
            await client.ping()
        except MediaError:
            if loop.time() > end:
                return False
            await asyncio.sleep(0.1)
        else:
            return True


def relay_processes(media: MediaSettings) -> int:
    """How many relays: with `auto` one for each core that this process may use, as far as there are
    ports for them."""
    if media.processes != "auto":
        return media.processes
    return min(len(os.sched_getaffinity(0)), most_processes((media.ports.first, media.ports.last)))


def _host(settings: Settings) -> str:
    """Media stays within the machine where signalling does; else any interface may carry it."""
    hosts = {listening.address.host for listening in settings.sip.listen}
    return hosts.pop() if len(hosts) == 1 and all(map(is_loopback, hosts)) else "0.0.0.0"
