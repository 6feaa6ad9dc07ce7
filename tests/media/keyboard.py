"""A call through the relay's control and real sockets, on virtual time: one side presses keys.

    board = Board(a=Side(), b=Side(number=96))
    board.press("5", lost={2})
    board.speaks(0.4)
    assert board.heard_by_b() == [Heard("5", 120)]

Both sides speak all the time, 20 ms a packet, with silence where they have nothing to say.
"""

from __future__ import annotations

import audioop
import select
import socket
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from sip.core.info_keys import KEYS
from sip.media.key_tones import KeyToneReader, key_tone
from sip.media.ng.bencode import Decoded, Encodable
from sip.media.ng.form import Form, decode
from sip.media.relay.rtp import payload_of
from sip.media.relay.turn import Turn
from tests.media.desk import HOST, Desk, port
from tests.media.talk import PATIENCE_S, key_packets, rtp

PTIME_S = 0.02
QUIET = b"\xff" * 160


@dataclass(frozen=True)
class Side:
    """How a party describes itself: its number of telephone-event, if it has any, and terms."""

    number: int | None = 101
    dtmf: str = "auto"
    takes_info: bool = False

    def sdp(self, port: int) -> str:
        events = "" if self.number is None else f" {self.number}"
        rtpmap = "" if self.number is None else f"a=rtpmap:{self.number} telephone-event/8000\r\n"
        return (
            f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0{events}\r\n{rtpmap}a=sendrecv\r\n"
        )

    @property
    def keys(self) -> dict[str, Encodable]:
        return {"dtmf": self.dtmf, "takes_info": int(self.takes_info)}


class Heard(NamedTuple):
    """A key that somebody heard, and for how many ms it was held."""

    key: str
    duration_ms: int


class Packet(NamedTuple):
    """An RTP packet."""

    marker: bool
    payload_type: int
    seq: int
    timestamp: int
    ssrc: int
    payload: bytes

    @classmethod
    def read(cls, data: bytes) -> Packet:
        first, second, seq, timestamp, ssrc = struct.unpack_from("!BBHII", data)
        assert first == 0x80
        return cls(bool(second & 0x80), second & 0x7F, seq, timestamp, ssrc, payload_of(data))


class Party:
    """One side's socket and stream."""

    def __init__(self, ssrc: int, host: str = HOST) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((host, 0))
        self.ssrc = ssrc
        self.seq, self.timestamp = 100, 16000
        #: what it says instead of silence, each 20 ms: packets, or the payload of one
        self.next: list[list[bytes] | bytes] = []
        self.heard: list[Packet] = []
        self.told = host, 0

    @property
    def port(self) -> int:
        number: int = self.socket.getsockname()[1]
        return number

    def take(self) -> list[bytes]:
        """What it says in the next 20 ms."""
        said = self.next.pop(0) if self.next else QUIET
        self.timestamp += 160
        if isinstance(said, list):
            return said
        self.seq += 1
        return [rtp(0, self.seq, self.timestamp, self.ssrc, said)]

    def listen(self) -> None:
        while True:
            try:
                self.heard.append(Packet.read(self.socket.recv(2000)))
            except BlockingIOError:
                return


class Board(Desk):
    """The relay with one call, of which a client hears."""

    def __init__(self, a: Side, b: Side) -> None:
        super().__init__(Form.BENCODE)
        self._poll = select.epoll()
        self._readers: dict[int, Callable[[float], None]] = {}
        self.turn = Turn()
        self.a, self.b = Party(0xA), Party(0xB)
        self.sides = a, b
        #: keys that the client was told, with their parties
        self.told: list[tuple[str, Heard]] = []
        #: what else it was told
        self.events: list[tuple[str, str]] = []
        #: the same in full
        self.noticed: list[dict[str, Decoded]] = []
        self.b.told = HOST, port(self.offer(sdp=a.sdp(self.a.port), notify=1, **a.keys))
        self.a.told = HOST, port(self.answer(sdp=b.sdp(self.b.port), **b.keys))
        self.speaks(0.5)
        self.a.heard.clear()
        self.b.heard.clear()

    def watch(self, sock: socket.socket, reader: Callable[[float], None]) -> None:
        self._poll.register(sock, select.EPOLLIN)
        self._readers[sock.fileno()] = reader

    def unwatch(self, sock: socket.socket) -> None:
        self._poll.unregister(sock)
        del self._readers[sock.fileno()]

    # what the parties do

    def press(
        self,
        key: str,
        *,
        number: int | None = None,
        lost: Collection[int] = (),
        marker: bool = True,
        ssrc: int | None = None,
        packets: int = 5,
    ) -> None:
        """A presses a key, by events, without the packets of these indices."""
        party = self.a
        at = party.timestamp + 160 * (len(party.next) + 1)
        sent = key_packets(
            number or self.sides[0].number or 101,
            KEYS.index(key),
            seq=(party.seq + 1) if ssrc is None else at // 160,
            timestamp=at,
            ssrc=ssrc or party.ssrc,
            packets=packets,
            marker=marker,
        )
        if ssrc is None:
            party.seq += len(sent)
        arrive = [[data] if n not in lost else [] for n, data in enumerate(sent)]
        # the repeated ends come at once, as many senders have it
        party.next += [*arrive[:-2], arrive[-2] + arrive[-1]]

    def sounds(self, key: str, ms: int = 100, level_dbm0: float = -8.0) -> None:
        """A sends the tone of a key."""
        pcm = key_tone(key, ms, level_dbm0=level_dbm0)
        coded = audioop.lin2ulaw(pcm, 2)
        frames = [coded[at : at + 160].ljust(160, b"\xff") for at in range(0, len(coded), 160)]
        self.a.next += frames

    def speaks(self, seconds: float) -> None:
        """Both speak for so long."""
        for _ in range(round(seconds / PTIME_S)):
            for party in (self.a, self.b):
                for data in party.take():
                    self.carry(party.socket, data, party.told)
            self.passes(PTIME_S)
            self.a.listen()
            self.b.listen()
            self._acknowledge()

    def carry(self, by: socket.socket, packet: bytes, to: tuple[str, int]) -> None:
        """One datagram to one of the relay's ports."""
        by.sendto(packet, to)
        for fd, _ in self._poll.poll(PATIENCE_S):
            self._readers[fd](self.now)
        self.turn.end(self.now)

    # what came of it

    def heard_by(self, party: Party, number: int = 101) -> list[Heard]:
        """The keys in the events that came to a party; each must be clean."""
        return clean_events(party.heard, number)

    def tones_in(self, party: Party) -> list[str]:
        """The keys in the audio that came to a party."""
        reader = KeyToneReader()
        audio = b"".join([each.payload for each in party.heard if each.payload_type == 0])
        changes = reader.take(audioop.ulaw2lin(audio, 2)) + reader.end()
        return [change.key for change in changes if change.held_s is None]

    def _acknowledge(self) -> None:
        if not self.sent:
            return
        datagram, to = self.sent[-1]
        self.sent.clear()
        events = decode(datagram.partition(b" ")[2])[0]["events"]
        assert isinstance(events, list)
        last = 0
        for event in events:
            assert isinstance(event, dict)
            number, duration = event["number"], event.get("duration")
            assert isinstance(number, int)
            last = number
            if event["event"] == "digit":
                assert isinstance(duration, int)
                self.told.append((str(event["tag"]), Heard(str(event["digit"]), duration)))
            else:
                self.events.append((str(event["event"]), str(event["tag"])))
                self.noticed.append(event)
        self.control.handle(b"notice-1 d6:numberi%de6:result2:oke" % last, to, self.now)

    def close(self) -> None:
        self.sessions.close(self.now)
        self.passes(60)
        assert self.at_rest
        assert self._readers == {}
        self._poll.close()
        self.a.socket.close()
        self.b.socket.close()


def clean_events(packets: list[Packet], number: int) -> list[Heard]:
    """The keys in a stream, all of which must be as RFC 4733 2.5 has it, in one stream of RTP.

    One SSRC, no gap in its sequence, timestamps that never go back; a marker on the first packet
    of a key and on no other of it, durations that grow, three ends with the same one, and no audio
    in between.
    """
    assert len({each.ssrc for each in packets}) <= 1
    for before, after in pairwise(packets):
        assert after.seq == (before.seq + 1) & 0xFFFF, "nothing is missing"
        on = (after.timestamp - before.timestamp) & 0xFFFFFFFF
        assert on < 0x80000000, "time goes on"
    found: list[Heard] = []
    key: list[Packet] = []
    until = 0
    for each in packets:
        if each.payload_type != number:
            assert not key, "audio while a key is down"
            assert each.timestamp >= until, "audio in the time of a key"
            continue
        event, flags, duration = struct.unpack("!BBH", each.payload)
        assert each.marker is not bool(key)
        if key:
            assert each.timestamp == key[0].timestamp
            assert each.payload[:1] == key[0].payload[:1]
            assert duration >= struct.unpack("!BBH", key[-1].payload)[2]
        key.append(each)
        ends = [one for one in key if one.payload[1] & 0x80]
        if len(ends) == 3:
            assert key[-3:] == ends
            assert len({one.payload for one in ends}) == 1
            until = each.timestamp + duration
            found.append(Heard(KEYS[event], round(duration / 8)))
            key = []
        assert flags & 0x3F == 8, "a level"
    assert not key, "a key without its end"
    return found
