"""A measuring caller and agent in one process, on one clock: INVITE in to INVITE out.

Raw UDP on purpose: what a call costs here is a few dozen microseconds, so at 50 calls a second the
instrument is idle and its own stack cannot colour the figure. Each call in flight dials a number of
its own, by which the INVITE that comes out is matched to the one that went in.
"""

import select
import socket
import time
from dataclasses import dataclass, field

from bench.clocked import now_ns, receive_stamped, stamp_arrivals
from bench.sipp import AGENT_HOST, CALLER_HOST, TESTED_HOST

NUMBERS = tuple(f"+1415555{line:04d}" for line in range(100, 200))
"""The numbers set aside for fiction; a system under test must route all of them to the agent."""

_HOLD_NS = 200_000_000
_RING_NS = 50_000_000
_STRAGGLERS_NS = 3_000_000_000
_SDP = (
    "v=0\r\no=bench 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupDelays:
    """Milliseconds, one value a call; `unfinished` calls did not reach their 200 to BYE."""

    invite_ms: list[float]
    calls: int
    unfinished: int
    repeated: int
    """Requests that came out more than once: retransmitted by the tested system."""


@dataclass(slots=True)
class _Call:
    number: str
    call_id: str
    sent_ns: int = 0
    out_ns: int = 0
    done: bool = False
    target: str = ""
    to: str = ""
    seen: set[str] = field(default_factory=set)


@dataclass(order=True, slots=True)
class _Later:
    due_ns: int
    datagram: bytes = field(compare=False)
    sock: socket.socket = field(compare=False)
    peer: tuple[str, int] = field(compare=False)


class SetupCaller:
    """Places calls at a steady rate through the tested system and answers them itself."""

    def __init__(self, *, target_port: int, caller_port: int, agent_port: int) -> None:
        self._target = (TESTED_HOST, target_port)
        self._caller_port = caller_port
        self._agent_port = agent_port
        self._caller = _bound(CALLER_HOST, caller_port)
        self._agent = _bound(AGENT_HOST, agent_port)
        self._calls: dict[str, _Call] = {}
        self._by_number: dict[str, _Call] = {}
        self._later: list[_Later] = []
        self._repeated = 0
        self._buffer = bytearray(65_536)

    def run(self, *, rate: int, seconds: float) -> SetupDelays:
        """Place `rate` calls a second for `seconds`, then wait for the last ones."""
        with self._caller, self._agent, select.epoll() as poll:
            poll.register(self._caller, select.EPOLLIN)
            poll.register(self._agent, select.EPOLLIN)
            total = round(rate * seconds)
            start_ns = time.monotonic_ns() + 50_000_000
            end_ns = start_ns + total * 1_000_000_000 // rate + _STRAGGLERS_NS
            placed = 0
            while (now := time.monotonic_ns()) < end_ns:
                if placed < total and now >= start_ns + placed * 1_000_000_000 // rate:
                    self._place(placed)
                    placed += 1
                    continue
                self._send_due(now)
                if placed == total and all(call.done for call in self._calls.values()):
                    break
                for descriptor, _event in poll.poll(0.001):
                    if descriptor == self._caller.fileno():
                        self._caller_receives()
                    else:
                        self._agent_receives()
        calls = self._calls.values()
        return SetupDelays(
            invite_ms=[(c.out_ns - c.sent_ns) / 1e6 for c in calls if c.out_ns],
            calls=len(calls),
            unfinished=sum(not c.done for c in calls),
            repeated=self._repeated,
        )

    def _place(self, index: int) -> None:
        number = NUMBERS[index % len(NUMBERS)]
        call = _Call(number=number, call_id=f"setup-{index}-{self._caller_port}@{CALLER_HOST}")
        self._calls[call.call_id] = call
        self._by_number[number] = call
        sdp = _SDP.format(host=CALLER_HOST, port=30_000 + 2 * (index % 5_000))
        call.to = f"<sip:{number}@{TESTED_HOST}>"
        invite = self._request(call, "INVITE", f"sip:{number}@{TESTED_HOST}:{self._target[1]}", sdp)
        call.sent_ns = now_ns()
        self._caller.sendto(invite, self._target)

    def _request(self, call: _Call, method: str, target: str, sdp: str = "") -> bytes:
        number = 2 if method == "BYE" else 1
        tag = call.call_id.partition("@")[0]
        contact = f"<sip:+12125550123@{CALLER_HOST}:{self._caller_port}>"
        lines = [
            f"{method} {target} SIP/2.0",
            f"Via: SIP/2.0/UDP {CALLER_HOST}:{self._caller_port};branch=z9hG4bK{tag}{method}",
            f"From: <sip:+12125550123@{CALLER_HOST}>;tag={tag}",
            f"To: {call.to}",
            f"Call-ID: {call.call_id}",
            f"CSeq: {number} {method}",
            f"Contact: {contact}",
            "Max-Forwards: 70",
            *(["Content-Type: application/sdp"] if sdp else []),
            f"Content-Length: {len(sdp)}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n" + sdp).encode()

    def _caller_receives(self) -> None:
        length, _arrived = receive_stamped(self._caller, self._buffer)
        first, headers = _split(bytes(self._buffer[:length]))
        call = self._calls.get(headers.get("call-id", ""))
        if call is None or not first.startswith("SIP/2.0 "):
            return
        status = int(first[8:11])
        if headers["cseq"].endswith("BYE"):
            call.done = True
        elif status >= 300:
            call.to = headers["to"]
            self._caller.sendto(self._request(call, "ACK", _uri(headers["to"])), self._target)
        elif status >= 200:
            call.to = headers["to"]
            call.target = _uri(headers.get("contact", headers["to"]))
            self._caller.sendto(self._request(call, "ACK", call.target), self._target)
            if "200" not in call.seen:
                call.seen.add("200")
                bye = self._request(call, "BYE", call.target)
                self._send_later(_HOLD_NS, bye, self._caller, self._target)

    def _agent_receives(self) -> None:
        length, arrived_ns = receive_stamped(self._agent, self._buffer)
        first, headers = _split(bytes(self._buffer[:length]))
        method, _, rest = first.partition(" ")
        if method == "SIP/2.0" or method == "ACK":
            return
        peer = self._target
        if method != "INVITE":
            self._agent.sendto(self._response(headers, "200 OK"), peer)
            return
        call = self._by_number.get(rest.partition("@")[0].removeprefix("sip:"))
        if call is None:
            self._agent.sendto(self._response(headers, "404 Not Found"), peer)
            return
        if call.out_ns:
            self._repeated += 1
            return
        call.out_ns = arrived_ns
        self._agent.sendto(self._response(headers, "180 Ringing"), peer)
        sdp = _SDP.format(host=AGENT_HOST, port=40_000).replace("0 8 101", "0 101")
        answer = self._response(headers, "200 OK", sdp)
        self._send_later(_RING_NS, answer, self._agent, peer)

    def _response(self, headers: dict[str, str], status: str, sdp: str = "") -> bytes:
        to = headers["to"] if ";tag=" in headers["to"] else headers["to"] + ";tag=agent"
        lines = [
            f"SIP/2.0 {status}",
            *(f"Via: {via}" for via in headers["via"].split("\n")),
            f"From: {headers['from']}",
            f"To: {to}",
            f"Call-ID: {headers['call-id']}",
            f"CSeq: {headers['cseq']}",
            f"Contact: <sip:agent@{AGENT_HOST}:{self._agent_port}>",
            *(["Content-Type: application/sdp"] if sdp else []),
            f"Content-Length: {len(sdp)}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n" + sdp).encode()

    def _send_later(
        self, delay_ns: int, datagram: bytes, sock: socket.socket, peer: tuple[str, int]
    ) -> None:
        self._later.append(_Later(time.monotonic_ns() + delay_ns, datagram, sock, peer))

    def _send_due(self, now: int) -> None:
        due = sorted(later for later in self._later if later.due_ns <= now)
        if due:
            self._later = [later for later in self._later if later.due_ns > now]
        for later in due:
            later.sock.sendto(later.datagram, later.peer)


def _bound(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    stamp_arrivals(sock)
    sock.bind((host, port))
    return sock


def _split(datagram: bytes) -> tuple[str, dict[str, str]]:
    """The first line and the headers by lower-case name; repeated ones joined by newlines."""
    first, *lines = datagram.partition(b"\r\n\r\n")[0].decode("utf-8", "replace").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name = _COMPACT.get(name.strip().lower(), name.strip().lower())
        value = value.strip()
        headers[name] = f"{headers[name]}\n{value}" if name in headers else value
    return first, headers


_COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact"}


def _uri(value: str) -> str:
    """The address inside a To or Contact value."""
    return value.partition("<")[2].partition(">")[0] if "<" in value else value.partition(";")[0]
