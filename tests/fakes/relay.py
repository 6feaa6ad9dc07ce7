"""Our relay in the test's own process and loop, so that a call with media runs on virtual time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Self

from sip.media.relay.timers import Timer, Timers
from tests.fakes.relay_media import RelayMedia


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


class RelayHere(RelayMedia):
    """A media plane whose relay is here, and runs by itself. Ports from `first` on."""

    def __init__(self, first: int) -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__(first, 20, _LoopTimers(self._loop))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.sessions.close(self._loop.time())
        await self.close()

    def problem(self, event: str, **fields: object) -> None:
        raise AssertionError((event, fields))

    def watch(self, sock: socket.socket, reader: Callable[[float], None]) -> None:
        self._loop.add_reader(sock, lambda: self._read(reader))

    def _read(self, reader: Callable[[float], None]) -> None:
        reader(self._loop.time())
        self.turn.end(self._loop.time())

    def unwatch(self, sock: socket.socket) -> None:
        self._loop.remove_reader(sock)

    def notify(self, datagram: bytes, to: object) -> None:
        self._loop.call_soon(self.received, datagram)

    def _send_datagram(self, datagram: bytes) -> None:
        self._control.handle(datagram, "client", self._loop.time())
