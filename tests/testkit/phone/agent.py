"""A SIP user agent of a few lines, on raw sockets: what the phone calls in its tests.

It shares nothing with the gateway's stack, so that the phone is tested on its own. It answers as
it is told to, in the manners that real peers have.
"""

import audioop
import random
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from testkit.melody import AGENT, FRAME_SAMPLES, synthesise


@dataclass(kw_only=True)
class Manner:
    """How the agent answers an INVITE."""

    provisional: tuple[str, ...] = ("100 Trying", "180 Ringing")
    final: str | None = "200 OK"
    compact: bool = False  # compact header names, no space after the colon, SDP at media level
    payload_type: int = 0
    sing: bool = True
    echo: bool = True
    hang_up_after_s: float | None = None
    drop_first_invites: int = 0
    drop_first_byes: int = 0
    challenge: str | None = None  # a Proxy-Authenticate value: the first INVITE gets 407
    sdp: bool = True
    loss: float = 0.0  # of the audio we send


@dataclass
class Seen:
    requests: list[str] = field(default_factory=list)

    def methods(self) -> list[str]:
        return [text.split(" ", 1)[0] for text in self.requests]

    def first(self, method: str) -> str:
        return next(text for text in self.requests if text.startswith(method + " "))

    def last(self, method: str) -> str:
        return [text for text in self.requests if text.startswith(method + " ")][-1]


class Agent:
    """`with Agent(manner) as agent:` listens on agent.port and notes what it sees."""

    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self.seen = Seen()
        self._sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sip.bind(("127.0.0.1", 0))
        self._sip.settimeout(0.05)
        self.port: int = self._sip.getsockname()[1]
        self._rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._rtp.bind(("127.0.0.1", 0))
        self._rtp.settimeout(0.05)
        self._stop = threading.Event()
        self._talking = threading.Event()
        self._caller: tuple[str, int] = ("127.0.0.1", 9)
        self._threads = [threading.Thread(target=self._signal), threading.Thread(target=self._talk)]
        self._hang_up_at: float | None = None
        self._invite = ""
        self._peer: tuple[str, int] = ("127.0.0.1", 9)
        self._challenged = False

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._sip.close()
        self._rtp.close()

    # --- signalling ---------------------------------------------------------------------------

    def _signal(self) -> None:
        while not self._stop.is_set():
            if self._hang_up_at is not None and time.monotonic() >= self._hang_up_at:
                self._hang_up_at = None
                self._talking.clear()
                self._send(self._bye())
            try:
                data, self._peer = self._sip.recvfrom(65535)
            except TimeoutError:
                continue
            text = data.decode()
            if not text.strip() or text.startswith("SIP/2.0"):
                continue
            self.seen.requests.append(text)
            getattr(self, f"_on_{text.split(' ', 1)[0].lower()}", self._ignore)(text)

    def _on_invite(self, text: str) -> None:
        if self.manner.drop_first_invites:
            self.manner.drop_first_invites -= 1
            return
        for status in self.manner.provisional:
            self._send(self._response(text, status))
        if self.manner.challenge is not None and not self._challenged:
            self._challenged = True
            extra = f"Proxy-Authenticate: {self.manner.challenge}\r\n"
            self._send(self._response(text, "407 Proxy Authentication Required", extra))
            return
        if self.manner.final is None:
            return
        if not self.manner.final.startswith("2"):
            self._send(self._response(text, self.manner.final))
            return
        self._invite = text
        self._caller = (
            _find(r"^c=IN IP4 (\S+)", text),
            int(_find(r"^m=audio (\d+) ", text)),
        )
        self._send(self._response(text, self.manner.final, body=self._sdp()))

    def _on_ack(self, text: str) -> None:
        if self._invite and not self._talking.is_set():
            self._talking.set()
            if self.manner.hang_up_after_s is not None:
                self._hang_up_at = time.monotonic() + self.manner.hang_up_after_s

    def _on_bye(self, text: str) -> None:
        if self.manner.drop_first_byes:
            self.manner.drop_first_byes -= 1
            return
        self._talking.clear()
        self._send(self._response(text, "200 OK"))

    def _on_cancel(self, text: str) -> None:
        self._send(self._response(text, "200 OK"))
        self._send(self._response(self.seen.first("INVITE"), "487 Request Terminated"))

    def _ignore(self, text: str) -> None: ...

    def _send(self, text: str) -> None:
        self._sip.sendto(text.encode(), self._peer)

    def _response(self, request: str, status: str, extra: str = "", body: str = "") -> str:
        via, from_ = _header(request, "Via"), _header(request, "From")
        to, call_id = _header(request, "To"), _header(request, "Call-ID")
        if ";tag=" not in to and not status.startswith("100"):
            to += ";tag=agent1"
        names = ("v", "f", "t", "i", "m", "c", "l") if self.manner.compact else _FULL
        colon = ":" if self.manner.compact else ": "
        lines = [f"SIP/2.0 {status}", f"{names[0]}{colon}{via}", f"{names[1]}{colon}{from_}"]
        lines += [f"{names[2]}{colon}{to}", f"{names[3]}{colon}{call_id}"]
        lines.append(f"CSeq{colon}{_header(request, 'CSeq')}")
        lines.append(f"{names[4]}{colon}{self._contact()}")
        if body:
            lines.append(f"{names[5]}{colon}application/sdp")
        lines.append(f"{names[6]}{colon}{len(body)}")
        return "\r\n".join(lines) + "\r\n" + extra + "\r\n" + body

    def _contact(self) -> str:
        uri = f"sip:agent@127.0.0.1:{self.port};transport=udp"
        return f'"The, agent" <{uri}>;expires=60' if self.manner.compact else f"<{uri}>"

    def _sdp(self) -> str:
        if not self.manner.sdp:
            return ""
        port, kind = self._rtp.getsockname()[1], self.manner.payload_type
        name = {0: "PCMU", 8: "PCMA"}[kind]
        if self.manner.compact:
            return (
                "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nb=AS:64\r\n"
                f"t=0 0\r\na=group:x\r\nm=audio {port} RTP/AVP {kind} 101\r\nc=IN IP4 127.0.0.1\r\n"
                f"a=rtpmap:{kind} {name}/8000/1\r\na=rtpmap:101 telephone-event/8000\r\n"
                "a=fmtp:96 x=y=z\r\na=rtpmap:96 opus/48000/2\r\na=candidate:1 1 udp 1 192.0.2.1\r\n"
                "m=video 0 RTP/AVP 31\r\nc=IN IP4 192.0.2.9\r\n"
            )
        return (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP {kind}\r\na=rtpmap:{kind} {name}/8000\r\n"
        )

    def _bye(self) -> str:
        to, from_ = _header(self._invite, "From"), _header(self._invite, "To") + ";tag=agent1"
        return (
            f"BYE {_find(r'^Contact: <(.*)>', self._invite)} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bKbye1\r\nMax-Forwards: 70\r\n"
            f"From: {from_}\r\nTo: {to}\r\nCall-ID: {_header(self._invite, 'Call-ID')}\r\n"
            "CSeq: 7 BYE\r\nContent-Length: 0\r\n\r\n"
        )

    # --- audio --------------------------------------------------------------------------------

    def _talk(self) -> None:
        """Sings its melody once, if it sings, and then sends back what it hears."""
        while not self._stop.is_set():
            if not self._talking.wait(timeout=0.02):
                continue
            song = synthesise(AGENT) if self.manner.sing else b""
            size = 2 * FRAME_SAMPLES
            frames = [song[at : at + size] for at in range(0, len(song), size)]
            encode = audioop.lin2ulaw if self.manner.payload_type == 0 else audioop.lin2alaw
            rng, sequence, due = random.Random(7), 65530, time.monotonic()
            while self._talking.is_set() and not self._stop.is_set():
                if frames:
                    payload = encode(frames.pop(0).ljust(size, b"\0"), 2)
                    due += 0.02
                    time.sleep(max(0.0, due - time.monotonic()))
                    self._drain()
                else:
                    try:
                        packet = self._rtp.recv(2048)
                    except TimeoutError:
                        continue
                    payload = packet[12:] if self.manner.echo else encode(bytes(size), 2)
                sequence += 1
                if rng.random() >= self.manner.loss:
                    self._send_audio(sequence, payload)

    def _drain(self) -> None:
        self._rtp.setblocking(False)
        try:
            while True:
                self._rtp.recv(2048)
        except BlockingIOError:
            self._rtp.settimeout(0.05)

    def _send_audio(self, sequence: int, payload: bytes) -> None:
        header = bytes((0x80, self.manner.payload_type)) + (sequence & 0xFFFF).to_bytes(2, "big")
        timestamp = (0xFFFFFF00 + sequence * FRAME_SAMPLES) & 0xFFFFFFFF  # wraps early on
        packet = header + timestamp.to_bytes(4, "big") + b"\0\0\0\7" + payload
        self._rtp.sendto(packet, self._caller)


_FULL = ("Via", "From", "To", "Call-ID", "Contact", "Content-Type", "Content-Length")


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text.replace("\r", ""), re.MULTILINE)
    assert found is not None, f"{pattern} is not in the request"
    return found[1]


def _header(text: str, name: str) -> str:
    return _find(rf"^{name}: (.*)$", text)
