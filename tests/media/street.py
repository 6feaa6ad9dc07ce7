"""A call through the relay's control and real sockets, on a clock of our own: who is heard?

    street = Street()
    phone = street.speaker(PHONE)
    street.invite(phone)                        # offered and answered
    assert street.heard_of(phone, 1.0) == 50    # it speaks for a second, 20 ms a packet

Caller and callee are real sockets on loopback; the agent listens on the callee's. Time is virtual:
a silence of an hour takes none.
"""

from __future__ import annotations

import random
import select
import socket
from collections.abc import Callable, Mapping
from typing import Any

from sip.core.sdp import parse
from sip.core.sdp_crypto import Crypto, lines_of
from sip.media.ng.bencode import Decoded, Encodable
from sip.media.ng.form import Form, decode, encode
from sip.media.relay.control import Control
from sip.media.relay.gaps import Gaps
from sip.media.relay.notices import Notices
from sip.media.relay.ports import PortPool
from sip.media.relay.sessions import Sessions
from sip.media.relay.srtp import Receiver, Sender
from sip.media.relay.timers import Timers
from sip.media.relay.turn import Turn
from tests.media.talk import PATIENCE_S, receiver_report, rtp
from tests.ports import free_ports

RELAY = "127.0.0.9"
PHONE = "127.0.0.2"
"""Where a phone without NAT lives: its SDP says so."""
NEIGHBOUR = "127.0.0.77"
NAT = "127.0.50.1"
"""The outside of a NAT, from where a phone's signalling and audio come."""
PRIVATE = "10.0.0.5"
"""What the SDP of a phone behind NAT says."""
STRANGER = "127.0.99.1"
AGENT = "127.0.1.1"

PTIME_S = 0.02


class Speaker:
    """A socket that sends audio, and RTCP from another port. `moved` goes on at a new one.

    With `keys`, what it sends is encrypted by them, and what it hears by those that it was told.
    """

    def __init__(
        self, street: Street, host: str, ssrc: int, seq: int, keys: Crypto | None = None
    ) -> None:
        self.street = street
        self.keys = keys
        self.sender = None if keys is None else Sender(keys)
        self.receiver: Receiver | None = None
        self.ssrc, self.seq = ssrc, seq
        self.rtp, self.rtcp = street.bound(host), street.bound(host)
        self.host = host

    @property
    def port(self) -> int:
        port: int = self.rtp.getsockname()[1]
        return port

    def moved(self, host: str | None = None) -> Speaker:
        """The same stream from another port, as after a NAT has lost its mapping."""
        speaker = Speaker(self.street, host or self.host, self.ssrc, self.seq)
        speaker.keys, speaker.sender, speaker.receiver = self.keys, self.sender, self.receiver
        return speaker

    def told(self, sdp: str) -> None:
        """Our side's keys, of the description that came back."""
        audio = parse(sdp).audio
        lines = () if audio is None else lines_of(audio)
        if not lines:
            self.receiver = None
        elif self.receiver is None or not self.receiver.crypto.same_key(lines[0]):
            self.receiver = Receiver(lines[0])

    def sealed(self, packet: bytes) -> bytes:
        """The packet as it is sent."""
        wire = packet if self.sender is None else self.sender.protect(packet)
        assert wire is not None
        return wire

    def packet(self, payload_type: int = 0) -> bytes:
        self.seq += 1
        return rtp(payload_type, self.seq, self.seq * 160, self.ssrc)

    def hears_the_agent(self) -> bool:
        """Whether what the agent says comes here."""
        packet = self.street.agent.packet()
        self.street.deliver(self.street.agent.rtp, packet, self.street.agent_port)
        arrived = self.street.arrived(self.rtp)
        if self.receiver is not None:
            assert packet not in arrived, "in the clear"
            return packet in [self.receiver.unprotect(each) for each in arrived]
        return packet in arrived


class Street:
    """The relay with one call, and everybody who sends to it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._poll = select.epoll()
        self._readers: dict[int, Callable[[float], None]] = {}
        self.turn = Turn()
        self._sockets: list[socket.socket] = []
        self._requests = 0
        self._last_notice = 0
        self._timers = timers = Timers()
        #: What the relay told of its own accord: the time, the event, and of whom.
        self.told: list[tuple[float, str, str]] = []
        notices = Notices("run", self._noticed, timers, self)
        rng = random.Random(7)
        first = free_ports(8, RELAY)
        pool = PortPool(RELAY, first, first + 7, drain_s=0.0, rng=rng)
        self._sessions = Sessions(
            pool,
            self,
            timers=timers,
            notices=notices,
            rng=rng,
            gaps=Gaps(Timers()),  # whose time stands still: who is heard is all that counts here
        )
        self._control = Control(self._sessions, notices, advertise=RELAY, version=4, problems=self)
        self.agent = self.speaker(AGENT)
        self.caller_port = self.agent_port = 0
        self._last = ""

    # what the relay asks of its surroundings

    def problem(self, event: str, **fields: object) -> None:
        raise AssertionError((event, fields))

    def watch(self, sock: socket.socket, reader: Callable[[float], None]) -> None:
        self._poll.register(sock, select.EPOLLIN)
        self._readers[sock.fileno()] = reader

    def unwatch(self, sock: socket.socket) -> None:
        self._poll.unregister(sock)
        del self._readers[sock.fileno()]

    def _noticed(self, datagram: bytes, to: object) -> None:
        events: Any = decode(datagram.partition(b" ")[2])[0]["events"]
        for event in events:
            told = (self.now, event["event"], event["tag"])
            if event["number"] > self._last_notice:
                self._last_notice = event["number"]
                self.told.append(told)
        self._control.handle(
            b"notice-1 " + encode({"result": "ok", "number": self._last_notice}, Form.JSON),
            to,
            self.now,
        )

    # signalling

    def invite(
        self, caller: Speaker, *, address: str | None = None, port: int | None = None,
        again: bool = False, direction: str = "sendrecv", direct: bool = False,
        silence_s: float | None = None, extra: str = "",
    ) -> None:  # fmt: skip
        """The caller's INVITE or re-INVITE, answered; its SDP says `address`, `port` and `extra`.

        The signalling comes from the caller's host; `direct` says that no NAT is in between. Of
        silences of `silence_s` the relay tells.
        """
        rtcp_port = caller.rtcp.getsockname()[1] if port is None else None
        offer = _sdp(address or caller.host, port or caller.port, direction, rtcp_port, caller.keys)
        offer = offer.replace("a=rtpmap", extra + "a=rtpmap", 1)
        tags: dict[str, str | int] = {"to-tag": "B"} if again else {}
        if silence_s is not None:
            tags |= {"notify": 1, "silence": round(silence_s * 1000)}
        keys: dict[str, str | int] = {
            "from-tag": "A", "sdp": offer, "transport-protocol": "RTP/AVP", **tags
        }  # fmt: skip
        self.agent_port = self._ask("offer", caller.host, direct=int(direct), **keys)
        answer = _sdp(AGENT, self.agent.port, "sendrecv", self.agent.rtcp.getsockname()[1])
        keys = {"from-tag": "A", "to-tag": "B", "sdp": answer}
        self.caller_port = self._ask("answer", AGENT, **keys)
        caller.told(self._last)

    def refuse(self, caller: Speaker, port: int) -> None:
        """A re-INVITE to `port` that is not answered."""
        offer = _sdp(caller.host, port, "sendrecv")
        self._ask("offer", caller.host, **{"from-tag": "A", "to-tag": "B", "sdp": offer})

    def play_to_caller(self, wav: str) -> None:
        """The caller hears a file instead of the agent."""
        self.request("play media", {"from-tag": "A", "blob": wav})

    def caller_stats(self, command: str = "query") -> Mapping[str, Decoded]:
        """What the relay has counted of the caller's audio; `delete` also ends the call."""
        party: Any = self.request(command, {})["tags"]
        stats: Mapping[str, Decoded] = party["A"]["medias"][0]["streams"][0]["stats"]
        return stats

    def _ask(self, command: str, source: str, **keys: str | int) -> int:
        """The port in the description that comes back."""
        message = self.request(command, {"received-from": ["IP4", source], **keys})
        sdp = message.get("sdp")
        assert isinstance(sdp, str), message
        self._last = sdp
        return int(sdp.partition("m=audio ")[2].split()[0])

    def request(self, command: str, keys: Mapping[str, Encodable]) -> dict[str, Decoded]:
        self._requests += 1
        request: dict[str, Encodable] = {"command": command, "call-id": "call", **keys}
        cookie = b"c%d " % self._requests
        reply = self._control.handle(cookie + encode(request, Form.JSON), "client", self.now)
        assert reply is not None
        return decode(reply.removeprefix(cookie))[0]

    # media

    def bound(self, host: str) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((host, 0))
        self._sockets.append(sock)
        return sock

    def speaker(self, host: str, keys: Crypto | None = None) -> Speaker:
        """Somebody with a stream of its own."""
        number = len(self._sockets) + 1
        return Speaker(self, host, 0x1111 * number, 100 * number, keys)

    def passes(self, seconds: float) -> None:
        """Nobody speaks for so long; each timer of the relay's fires when it is due."""
        end = self.now + seconds
        while self._timers.next_due <= end:
            self.now = max(self.now, self._timers.next_due)
            self._timers.run(self.now)
        self.now = end

    def deliver(self, by: socket.socket, packet: bytes, port: int) -> None:
        """One datagram to one of the relay's ports, read by whichever socket gets it."""
        by.sendto(packet, (RELAY, port))
        for fd, _ in self._poll.poll(PATIENCE_S):
            self._readers[fd](self.now)
        self.turn.end(self.now)

    def arrived(self, at: socket.socket) -> list[bytes]:
        """All that a socket has received since it was last asked."""
        packets = []
        while True:
            try:
                packets.append(at.recv(65535))
            except BlockingIOError:
                return packets

    def heard(self, seconds: float, *speakers: Speaker) -> list[int]:
        """All speak at once, for so long: how many packets of each does the agent hear?"""
        count = [0] * len(speakers)
        for _ in range(round(seconds / PTIME_S)):
            for index, speaker in enumerate(speakers):
                packet = speaker.packet()
                self.deliver(speaker.rtp, speaker.sealed(packet), self.caller_port)
                count[index] += packet in self.arrived(self.agent.rtp)
            self.passes(PTIME_S)
        return count

    def heard_of(self, speaker: Speaker, seconds: float = PTIME_S) -> int:
        """Of what one says alone."""
        (count,) = self.heard(seconds, speaker)
        return count

    def reported(self, speaker: Speaker) -> bool:
        """Whether the agent gets a report (RTCP) of the speaker."""
        report = receiver_report(speaker.ssrc, self.agent.ssrc)
        wire = report if speaker.sender is None else speaker.sender.protect_rtcp(report)
        assert wire is not None
        self.deliver(speaker.rtcp, wire, self.caller_port + 1)
        return report in self.arrived(self.agent.rtcp)

    def close(self) -> None:
        self._sessions.close(self.now)
        assert self._readers == {}
        self._poll.close()
        for sock in self._sockets:
            sock.close()


def _sdp(
    address: str,
    port: int,
    direction: str,
    rtcp_port: int | None = None,
    keys: Crypto | None = None,
) -> str:
    protocol, line = "RTP/AVP", ""
    if keys is not None:
        protocol, line = "RTP/SAVP", f"a=crypto:{keys.value}\r\n"
    rtcp = "" if rtcp_port is None else f"a=rtcp:{rtcp_port}\r\n"
    return (
        f"v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
        f"m=audio {port} {protocol} 0 13 101\r\na=rtpmap:101 telephone-event/8000\r\n"
        f"a={direction}\r\n{rtcp}{line}"
    )
