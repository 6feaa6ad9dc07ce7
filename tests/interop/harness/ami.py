"""Asterisk's manager interface: actions in, events out, over one TCP connection."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from typing import Self

Event = dict[str, str]


class Manager:
    """Logged in and listening until it is closed. Keys of events are lower-case."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._more = asyncio.Condition()
        self._responses: dict[str, Event] = {}
        self.events: list[Event] = []
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def login(cls, host: str, port: int, username: str, secret: str) -> Self:
        reader, writer = await asyncio.open_connection(host, port)
        await reader.readline()  # the greeting
        manager = cls(reader, writer)
        await manager.act("Login", Username=username, Secret=secret)
        return manager

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def act(self, action: str, timeout: float = 10.0, **fields: str | list[str]) -> Event:
        """Do `action` and return its response; a refusal is an AssertionError."""
        number = str(next(self._numbers))
        lines = [f"Action: {action}", f"ActionID: {number}"]
        for key, value in fields.items():
            lines += [f"{key}: {one}" for one in ([value] if isinstance(value, str) else value)]
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await self._writer.drain()
        async with asyncio.timeout(timeout), self._more:
            await self._more.wait_for(lambda: number in self._responses)
        response = self._responses.pop(number)
        assert response["response"] in ("Success", "Follows"), f"{action}: {response}"
        return response

    async def event(
        self, name: str, matches: Callable[[Event], bool], timeout: float = 15.0, since: int = 0
    ) -> Event:
        """The first event of that name that matches, counted from event number `since`."""

        def found() -> Event | None:
            for event in self.events[since:]:
                if event.get("event") == name and matches(event):
                    return event
            return None

        try:
            async with asyncio.timeout(timeout), self._more:
                await self._more.wait_for(lambda: found() is not None)
        except TimeoutError:
            seen = [event for event in self.events[since:] if event.get("event") == name]
            raise AssertionError(f"no such {name} within {timeout:g} s, only {seen}") from None
        event = found()
        assert event is not None
        return event

    async def _read(self) -> None:
        while block := await self._block():
            async with self._more:
                if "event" in block:
                    self.events.append(block)
                else:
                    self._responses[block.get("actionid", "")] = block
                self._more.notify_all()

    async def _block(self) -> Event:
        block: Event = {}
        while line := (await self._reader.readline()).decode(errors="replace"):
            key, colon, value = line.rstrip("\r\n").partition(": ")
            if not line.strip():
                if block:
                    return block
            elif colon:
                known = block.get(key.lower())
                block[key.lower()] = value if known is None else f"{known}\n{value}"
        return {}
