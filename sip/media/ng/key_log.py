"""The keys that rtpengines tell by datagrams, to the address of their ``--dtmf-log-dest``.

One address serves all of them: each client knows its own calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class KeyLog:
    """Where we listen for keys; nowhere before `listen`."""

    def __init__(self) -> None:
        self._readers: list[Callable[[bytes], None]] = []
        self._transport: asyncio.DatagramTransport | None = None
        self._address: tuple[str, int] | None = None

    @property
    def listens(self) -> bool:
        """Whether keys can be heard at all."""
        return self._transport is not None

    async def listen(self, address: tuple[str, int] | None) -> None:
        """Listen at another address, or no more. Raises OSError; then all is as it was."""
        if address == self._address:
            return
        transport = None
        if address is not None:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Lines(self), local_addr=address
            )
        self.close()
        self._transport, self._address = transport, address

    def add(self, reader: Callable[[bytes], None]) -> None:
        """`reader` gets every line from now on."""
        self._readers.append(reader)

    def remove(self, reader: Callable[[bytes], None]) -> None:
        """`reader` gets no more."""
        if reader in self._readers:
            self._readers.remove(reader)

    def came(self, datagram: bytes) -> None:
        """A line came."""
        for reader in tuple(self._readers):
            reader(datagram)

    def close(self) -> None:
        """Listen no more."""
        if self._transport is not None:
            self._transport.close()
        self._transport = self._address = None


class _Lines(asyncio.DatagramProtocol):
    def __init__(self, key_log: KeyLog) -> None:
        self._key_log = key_log

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._key_log.came(data)
