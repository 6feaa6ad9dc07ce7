"""NG requests against the relay's control in this process; time is virtual, ports are real."""

import random
import select
import socket
import struct
from collections.abc import Callable

from sip.media.ng.bencode import Decoded, Encodable
from sip.media.ng.form import Form, decode, encode
from sip.media.relay.control import Control
from sip.media.relay.notices import Notices
from sip.media.relay.ports import PortPool
from sip.media.relay.sessions import Sessions
from sip.media.relay.timers import NEVER, Timers
from sip.media.relay.turn import Turn
from tests.media.talk import PATIENCE_S
from tests.ports import free_ports

HOST = "127.0.0.8"
CLIENT = ("127.0.0.1", 40000)
SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0 8\r\n"
)


class Desk:
    """A `Control` with all it needs, a list of what it logged, and the sockets it watches."""

    def __init__(self, form: Form, pairs: int = 4) -> None:
        self.form = form
        self.logged: list[str] = []
        self.watched: dict[socket.socket, Callable[[float], None]] = {}
        self.now = 1000.0
        first = free_ports(2 * pairs, HOST)
        self.pool = PortPool(HOST, first, first + 2 * pairs - 1, drain_s=0.0, rng=random.Random(7))
        self.timers = Timers()
        self.turn = Turn()
        self.sent: list[tuple[bytes, object]] = []
        notices = Notices("run", lambda data, to: self.sent.append((data, to)), self.timers, self)
        self.sessions = Sessions(
            self.pool, self, timers=self.timers, notices=notices, rng=random.Random(7)
        )
        self.control = Control(
            self.sessions,
            notices,
            advertise="203.0.113.10",
            version=4,
            problems=self,
        )
        self._cookies = 0

    def problem(self, event: str, **fields: object) -> None:
        self.logged.append(event)

    def watch(self, sock: socket.socket, reader: Callable[[float], None]) -> None:
        self.watched[sock] = reader

    def unwatch(self, sock: socket.socket) -> None:
        del self.watched[sock]

    def deliver(self) -> None:
        """What was sent to the relay's ports is read."""
        for sock in select.select(list(self.watched), [], [], PATIENCE_S)[0]:
            self.watched[sock](self.now)
        self.turn.end(self.now)

    def passes(self, seconds: float) -> None:
        """Time passes, and each timer fires when it is due."""
        end = self.now + seconds
        while self.timers.next_due <= end:
            self.now = self.timers.next_due
            self.timers.run(self.now)
        self.now = end

    @property
    def at_rest(self) -> bool:
        """Whether nothing will happen unless somebody asks."""
        return self.timers.next_due == NEVER

    def raw(self, datagram: bytes) -> bytes | None:
        return self.control.handle(datagram, CLIENT, self.now)

    def ask(self, command: str, **keys: Encodable) -> dict[str, Decoded]:
        self._cookies += 1
        named = {key.replace("_", "-"): value for key, value in keys.items()}
        request = encode({"command": command, **named}, self.form)
        reply = self.raw(b"c%d " % self._cookies + request)
        assert reply is not None
        cookie, _, body = reply.partition(b" ")
        assert cookie == b"c%d" % self._cookies
        message, form = decode(body)
        assert form is decode(request)[1], "a reply has the form of its request"
        return message

    def offer(self, **keys: Encodable) -> dict[str, Decoded]:
        return self.ask("offer", **{"call_id": "call", "from_tag": "A", "sdp": SDP, **keys})

    def answer(self, **keys: Encodable) -> dict[str, Decoded]:
        defaults: dict[str, Encodable] = {"call_id": "call", "from_tag": "A", "to_tag": "B"}
        return self.ask("answer", **{**defaults, "sdp": SDP, **keys})


def port(reply: dict[str, Decoded]) -> int:
    sdp = reply["sdp"]
    assert isinstance(sdp, str)
    return int(sdp.partition("m=audio ")[2].split()[0])


def reason(reply: dict[str, Decoded]) -> str:
    assert reply["result"] == "error"
    text = reply["error-reason"]
    assert isinstance(text, str)
    return text


SAMPLES = b"".join(struct.pack("<h", 100 * (n % 300)) for n in range(5 * 160))
FORMAT = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)


def clip(samples: bytes = SAMPLES) -> str:
    """A WAV file as NG's text."""
    data = b"RIFF\0\0\0\0WAVE" + FORMAT + struct.pack("<4sI", b"data", len(samples)) + samples
    return data.decode("utf-8", "surrogateescape")
