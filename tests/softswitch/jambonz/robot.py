"""A peer of one call that answers by itself, sometimes late, sometimes with another port or 491."""

import asyncio
from collections.abc import Coroutine
from random import Random

from sip.core.message import Request, Response
from tests.b2bua.stage import port_in, sdp_at
from tests.ladder import Peer

DELAYS_S = (0.0, 0.0, 0.02, 0.3, 2.0)
NEWS: tuple[list[int], ...] = ([], [100], [100, 180, 200], [100, 486], [200], [0], [100, 0])
"""What the peer tells of a REFER that it took; 0 is a BYE."""


class Robot:
    """One dialog of `peer`. It has one request of its own open at a time."""

    def __init__(
        self, peer: Peer, dice: Random, port: int, rings: tuple[float, int] | None
    ) -> None:
        """`port` is where it wants its audio. `rings`: it is called, and answers after those
        seconds with that status; None where it talks already."""
        self.peer = peer
        self.port = port
        self.up = rings is None
        #: the port that it was told last, of what it took
        self.told = 0
        #: where its audio goes if its own offer is refused
        self._stands = port
        self._dice = dice
        self._rings = rings
        self._asks = False
        self._attends = False
        self._tasks = [asyncio.create_task(self._run())]

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def act(self, what: str) -> None:
        """Hang up, hold, change the port, or send REFER, where that is possible now."""
        if not self.up or self._asks:
            return
        if what == "bye":
            self.up = False
            await self.peer.send("BYE")
        elif what == "refer":
            self._asks = True
            await self.peer.send("REFER", headers=(("Refer-To", "<sip:200@pbx.test>"),))
        elif not self._attends:
            self._asks = True
            self._stands = self.port
            self.port += 100 if what == "port" else 0
            hold = "a=sendonly\r\n" if what == "hold" else ""
            await self.peer.send("INVITE", sdp=sdp_at(self.port) + hold)

    async def _run(self) -> None:
        while True:
            message = await self.peer.next(100_000)
            if isinstance(message, Response):
                await self._answered(message)
            elif message.method != "ACK":
                self.peer._received[message.method] = message
                await self._asked(message)

    async def _answered(self, response: Response) -> None:
        if response.status < 200:
            return
        self._asks = False
        if response.cseq.method != "INVITE":
            return
        before, self.peer._answer = self.peer._answer, response
        await self.peer.send("ACK")
        if response.status < 300:
            self.told = port_in(response)
        else:
            self.peer._answer, self.port = before, self._stands

    async def _asked(self, request: Request) -> None:
        peer = self.peer
        match request.method:
            case "INVITE" if self._rings is not None:
                self._begin(self._answer(request, *self._rings))
            case "INVITE" if self._asks:
                await peer.send(491)
            case "INVITE":
                self._attends = True
                self._begin(self._follow(request))
            case "CANCEL":
                await peer.send(200, answering="CANCEL")
                if self._rings is not None:
                    self._rings = None
                    await peer.send(487)
            case "REFER":
                self._begin(self._refer())
            case method:
                self.up = self.up and method != "BYE"
                await peer.send(200, answering=method)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _answer(self, invite: Request, after_s: float, status: int) -> None:
        """As one that is called."""
        await self.peer.send(180)
        await asyncio.sleep(after_s)
        if self._rings is None:
            return
        self._rings = None
        self.up = status == 200
        self.told = port_in(invite)
        await self.peer.send(status, sdp=sdp_at(self.port) if self.up else None)

    async def _follow(self, invite: Request) -> None:
        """A re-INVITE."""
        await asyncio.sleep(self._dice.choice(DELAYS_S))
        self._attends = False
        if not self.up:
            return
        if self._dice.random() < 0.1:
            await self.peer.send(491)
            return
        self.port += 100 if self._dice.random() < 0.2 else 0
        self.told = port_in(invite)
        await self.peer.send(200, sdp=sdp_at(self.port))

    async def _refer(self) -> None:
        await asyncio.sleep(self._dice.choice(DELAYS_S))
        status = self._dice.choice((202, 202, 200, 403, 603))
        if not self.up:
            return
        await self.peer.send(status, answering="REFER")
        for news in self._dice.choice(NEWS) if status < 300 else []:
            await asyncio.sleep(self._dice.choice((0, 0.01, 1, 19.99, 25)))
            if news:
                await self._notify(news)
            else:
                await self.act("bye")

    async def _notify(self, status: int) -> None:
        if not self.up or self._asks:
            return
        self._asks = True
        state = "active;expires=60" if status < 200 else "terminated;reason=noresource"
        fields = (
            ("Event", "refer"),
            ("Subscription-State", state),
            ("Content-Type", "message/sipfrag"),
        )
        await self.peer.send("NOTIFY", headers=fields, sdp=f"SIP/2.0 {status} Any\r\n")
