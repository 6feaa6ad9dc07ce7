"""Asterisk as the office's PBX: its process, its extensions, and what they said and heard."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.interop.harness import asterisk_config
from tests.interop.harness.ami import Event, Manager
from tests.interop.harness.certificates import Authority
from tests.interop.harness.network import SIP_PORT, Party
from tests.interop.harness.pbx import PbxTrunk
from tests.interop.harness.peers import Tree
from tests.interop.harness.programs import Program
from tests.interop.harness.siplog import MessageLog, of_asterisk
from tests.interop.harness.sockets import bound

READY_S = 30.0


class Asterisk:
    """Async context manager: a PBX with `trunks` to the gateway.

    Extension 200 picks up, says `speech` and records; every call over a trunk ends there. A
    phone at `desk`, if there is one, may dial out over any of them.
    """

    def __init__(
        self,
        control: Party,
        trunks: list[PbxTrunk],
        speech: Path,
        directory: Path,
        authority: Authority,
        desk: Party | None = None,
        phones: Sequence[Party] = (),
        hands_on_to: str = "",
    ) -> None:
        """`control` is where it takes orders; `speech` is WAV, 8 kHz, mono, 16 bits. `phones` are
        its extensions from 201 on, `hands_on_to` is what extension 205 tells Transfer()."""
        self._control = control
        self._trunks = trunks
        self._speech = speech
        self._directory = directory
        self._authority = authority
        self._desk = desk
        self._phones = phones
        self._hands_on_to = hands_on_to
        self._program: Program | None = None
        self._manager: Manager | None = None

    async def __aenter__(self) -> Self:
        tree = Tree()
        certificate = self._authority.certificate(
            "asterisk", *(one.pbx.host for one in self._trunks)
        )
        asterisk_config.write(
            self._directory,
            tree=tree,
            control=self._control,
            trunks=self._trunks,
            speech=self._speech,
            ca=self._authority.ca,
            certificate=certificate,
            desk=self._desk,
            phones=self._phones,
            hands_on_to=self._hands_on_to,
        )
        self._program = await Program.start(
            tree.argv("asterisk", "-f", "-n", "-C", str(self._directory / "asterisk.conf")),
            log=self._directory / "asterisk.log",
            cwd=self._directory,
            env={"OPENSSL_CONF": "/dev/null"},
        )
        try:
            async with asyncio.timeout(READY_S):
                await self._ready()
        except BaseException:
            await self._program.kill()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._program is not None
        if self._manager is not None:
            await self._manager.close()
        await self._program.stop()

    @property
    def desk_host(self) -> str:
        """Where the phone at the desk finds Asterisk."""
        return self._control.host

    @property
    def manager(self) -> Manager:
        assert self._manager is not None, "not started"
        return self._manager

    async def register(self) -> None:
        """Register with the gateway where the trunks say so; returns once it is done."""
        since = len(self.manager.events)
        module = asterisk_config.REGISTERS
        await self.manager.act("ModuleLoad", Module=module, LoadType="load")
        for trunk in self._trunks:
            if trunk.way == "registers":
                await self._registered(trunk, since)

    async def call(self, trunk: PbxTrunk, number: str) -> Event:
        """Extension 200 calls `number` over `trunk`; returns once the other side has answered.

        The returned event names the `channel`.
        """
        since = len(self.manager.events)
        await self.manager.act(
            "Originate",
            Channel=asterisk_config.dialled(trunk, number),
            Context="office",
            Exten="200",
            Priority="1",
            CallerID=f"Extension 200 <{asterisk_config.OFFICE_NUMBER}>",
            Variable=f"RECORDING={self.directory_of(trunk)}/call",
            Async="true",
        )
        answer = await self.manager.event(
            "OriginateResponse", lambda event: trunk.name in event["channel"], since=since
        )
        assert answer["response"] == "Success", f"{answer}\n{self.log()}"
        return answer

    async def called(self, trunk: PbxTrunk, since: int) -> Event:
        """The event of a call that has come over `trunk`, answered."""
        return await self.manager.event(
            "Newstate",
            lambda event: (
                f"/{trunk.name}-" in event["channel"] and event["channelstatedesc"] == "Up"
            ),
            since=since,
        )

    async def hang_up(self, channel: str) -> None:
        await self.manager.act("Hangup", Channel=channel, Cause="16")

    async def gone(self, channel: str, timeout: float = 15.0) -> Event:
        """The event that ended `channel`; its `cause` is the Q.850 one."""
        return await self.manager.event(
            "Hangup", lambda event: event["channel"] == channel, timeout
        )

    def heard(self, trunk: PbxTrunk) -> Path:
        """The recording of what came over `trunk`; complete once the channel is gone."""
        return self.directory_of(trunk) / "call-heard.wav"

    def told(self, trunk: PbxTrunk) -> Path:
        """The recording of what the phone at the desk was sent in a call over `trunk`."""
        return self.directory_of(trunk) / "desk-told.wav"

    def directory_of(self, trunk: PbxTrunk) -> Path:
        return self._directory / "recordings" / trunk.name

    async def command(self, line: str) -> str:
        """The output of a command of Asterisk's console."""
        return (await self.manager.act("Command", Command=line)).get("output", "")

    def messages(self) -> MessageLog:
        """Every SIP message that it has sent and received."""
        assert self._program is not None
        return of_asterisk(self._program.log.read_bytes())

    def desk_uri(self, trunk: PbxTrunk, number: str) -> str:
        """What the phone at the desk dials to reach `number` over `trunk`."""
        return f"sip:{self._trunks.index(trunk)}{number}@{self._control.host}:{SIP_PORT}"

    def log(self, lines: int = 80) -> str:
        assert self._program is not None
        return self._program.tail(lines)

    async def _registered(self, trunk: PbxTrunk, since: int) -> None:
        def matches(event: Event) -> bool:
            return event["status"] == "Registered" and f":{trunk.name}@" in event["username"]

        await self.manager.event("Registry", matches, since=since)

    async def _ready(self) -> None:
        assert self._program is not None
        while not bound("tcp", self._control.host, self._control.port):
            assert self._program.running, f"Asterisk did not start:\n{self.log()}"
            await asyncio.sleep(0.05)
        user, secret = asterisk_config.MANAGER
        self._manager = await Manager.login(self._control.host, self._control.port, user, secret)
        while "FullyBooted" not in [event["event"] for event in self._manager.events]:
            assert self._program.running, f"Asterisk did not start:\n{self.log()}"
            await asyncio.sleep(0.05)
