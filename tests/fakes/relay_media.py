"""Our relay in this process, as a media plane without a control socket; its ports are real."""

import random
import socket
from collections.abc import Callable, Mapping

from sip.clock import LoopClock
from sip.media.ng.bencode import Decoded, Encodable
from sip.media.ng.client import TIMEOUT_S, checked
from sip.media.ng.form import Form, decode, encode
from sip.media.ng.relay import RelayClient
from sip.media.relay.control import Control
from sip.media.relay.notices import Notices
from sip.media.relay.ports import PortPool
from sip.media.relay.sessions import Sessions
from sip.media.relay.timers import Timers
from sip.media.relay.turn import Turn
from tests.ports import engine_ports

HOST = "127.0.0.1"


class RelayMedia(RelayClient):
    """Every description goes through the relay's control; `carry` moves the packets that wait."""

    def __init__(
        self, first_port: int | None = None, pairs: int = 8, timers: Timers | None = None
    ) -> None:
        """`first_port` is of this worker's own, if it is not said."""
        first_port = engine_ports(30_000)[0] if first_port is None else first_port
        super().__init__(LoopClock(), TIMEOUT_S, Form.JSON, silence_s=None)
        self.refuse: None = None
        self._readers: dict[socket.socket, Callable[[float], None]] = {}
        self.turn = Turn()
        timers = timers or Timers()
        notices = Notices("run", self.notify, timers, self)
        rng = random.Random(7)
        pool = PortPool(HOST, first_port, first_port + 2 * pairs - 1, drain_s=0.0, rng=rng)
        self.sessions = Sessions(pool, self, timers=timers, notices=notices, rng=rng)
        self._control = Control(self.sessions, notices, advertise=HOST, version=4, problems=self)
        #: Every request and reply, as they would pass the control socket.
        self.texts: list[bytes] = []

    @property
    def open_calls(self) -> int:
        return len(self.sessions)

    def notify(self, datagram: bytes, to: object) -> None:
        """What the relay tells of its own accord; here, nobody listens."""

    def problem(self, event: str, **fields: object) -> None:
        """What the relay would log."""
        self.texts.append(f"{event} {fields}".encode())

    def watch(self, sock: socket.socket, reader: Callable[[float], None]) -> None:
        self._readers[sock] = reader

    def unwatch(self, sock: socket.socket) -> None:
        del self._readers[sock]

    def carry(self) -> None:
        """Reads every socket until nothing waits."""
        for _ in range(20):
            for reader in list(self._readers.values()):
                reader(self._clock.now())
            self.turn.end(self._clock.now())

    async def request(self, command: str, keys: Mapping[str, Encodable]) -> dict[str, Decoded]:
        """See `NgClient.request`."""
        self._count += 1
        cookie = b"c%d " % self._count
        request = cookie + encode({"command": command, **keys}, Form.JSON)
        reply = self._control.handle(request, "client", self._clock.now())
        assert reply is not None
        return checked(decode(reply.removeprefix(cookie))[0])
