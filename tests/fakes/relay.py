"""Our relay in the test's own process and loop, so that a call with media runs on virtual time.

Its control is called instead of being sent datagrams; its ports are real.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Mapping
from typing import Self

from sip.clock import LoopClock
from sip.media.ng.bencode import Decoded, Encodable
from sip.media.ng.client import TIMEOUT_S, _checked
from sip.media.ng.form import Form, decode, encode
from sip.media.ng.relay import RelayClient
from sip.media.relay.control import Control
from sip.media.relay.notices import Notices
from sip.media.relay.ports import PortPool
from sip.media.relay.sessions import Sessions
from sip.media.relay.timers import Timer, Timers

CLIENT = "client"


class _LoopTimers(Timers):
    """Run by the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop

    def at(self, due: float, callback: Callable[[float], None]) -> Timer:
        self._loop.call_at(due, self._due, due)
        return super().at(due, callback)

    def _due(self, due: float) -> None:
        # the loop may be a clock's resolution early
        self.run(max(due, self._loop.time()))


class RelayHere(RelayClient):
    """A media plane whose relay is here. Ports from `first` on."""

    def __init__(self, first: int, host: str = "127.0.0.1") -> None:
        super().__init__(LoopClock(), TIMEOUT_S, Form.JSON)
        self._loop = asyncio.get_running_loop()
        timers = _LoopTimers(self._loop)
        rng = random.Random(7)
        notices = Notices("run", self._notice, timers, self)
        pool = PortPool(host, first, first + 99, drain_s=0.0, rng=rng)
        self.sessions = Sessions(pool, self, timers=timers, notices=notices, rng=rng)
        self.control = Control(self.sessions, notices, advertise=host, version=4, problems=self)
        self._asked = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.sessions.close(self._loop.time())
        await self.close()

    # what the relay asks of its surroundings

    def problem(self, event: str, **fields: object) -> None:
        raise AssertionError((event, fields))

    def watch(self, sock: socket.socket, reader: Callable[[float], None]) -> None:
        self._loop.add_reader(sock, lambda: reader(self._loop.time()))

    def unwatch(self, sock: socket.socket) -> None:
        self._loop.remove_reader(sock)

    def _notice(self, datagram: bytes, to: object) -> None:
        self._loop.call_soon(self.received, datagram)

    # what the client sends

    async def request(self, command: str, keys: Mapping[str, Encodable]) -> dict[str, Decoded]:
        self._asked += 1
        cookie = b"c%d " % self._asked
        datagram = cookie + encode({"command": command, **keys}, Form.JSON)
        reply = self.control.handle(datagram, CLIENT, self._loop.time())
        assert reply is not None
        await asyncio.sleep(0)
        return _checked(decode(reply.removeprefix(cookie))[0])

    def _send_datagram(self, datagram: bytes) -> None:
        self.control.handle(datagram, CLIENT, self._loop.time())
