"""SIP messages on the phone's wire, as pyVoIP can bear them.

pyVoIP 1.6.8 understands messages as its own examples write them. Others are as valid: compact and
differently cased header names, no space after the colon, parameters in any order, unknown status
codes, SDP with connection lines at both levels or attributes of formats that are not offered. Each
of those raises inside pyVoIP, and the message is dropped. So a message is read here first and
handed on in pyVoIP's own manner (`tidied`).
"""

import re
from dataclasses import dataclass

from testkit.phone.library import SIP

_COMPACT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
    "c": "content-type",
    "k": "supported",
}
_KNOWN_STATUS = {1: 183, 2: 200, 3: 302, 4: 480, 5: 500, 6: 603}
_ADDRESS = re.compile(r'\s*(?:"(?:[^"\\]|\\.)*"|[^<"]*?)\s*<([^>]*)>(.*)', re.DOTALL)


class WireError(Exception):
    """Not a SIP message, or one without the headers that every message has."""


@dataclass(frozen=True, slots=True)
class Message:
    """Start line, headers (lower-case full names, in order) and body."""

    start: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def status(self) -> int | None:
        """A response's code; None for a request."""
        parts = self.start.split(" ", 2)
        return int(parts[1]) if parts[0] == "SIP/2.0" else None

    @property
    def reason(self) -> str:
        """The phrase of a response, fit for a terminal."""
        phrase = self.start.partition(" ")[2].partition(" ")[2]
        return "".join(letter if letter.isprintable() else "\ufffd" for letter in phrase)

    @property
    def method(self) -> str:
        """A request's method, or that of the request which a response answers."""
        if self.status is None:
            return self.start.split(" ", 1)[0]
        return self.get("cseq").split()[-1]

    def get(self, name: str) -> str:
        """The first header of that name; '' if there is none."""
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    @property
    def contact_uri(self) -> str:
        return address_uri(self.get("contact"))

    def response(self, status: str) -> bytes:
        """RFC 3261 8.2.6: to the top Via, with From, To, Call-ID and CSeq as they came."""
        lines = [f"SIP/2.0 {status}"]
        lines += [f"Via: {via}" for via in self.all("via")]
        lines += [f"From: {self.get('from')}", f"To: {self.get('to')}"]
        lines += [f"Call-ID: {self.get('call-id')}", f"CSeq: {self.get('cseq')}"]
        lines += ["Content-Length: 0", "", ""]
        return "\r\n".join(lines).encode()


def parse(data: bytes) -> Message:
    head, separator, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    lines = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "replace")).split("\r\n")
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            name = name.strip().lower()
            headers.append((_COMPACT.get(name, name), value.strip()))
    message = Message(start=lines[0], headers=tuple(headers), body=body)
    if not re.fullmatch(r"SIP/2\.0 \d{3}( .*)?|[A-Z]+ \S+ SIP/2\.0", lines[0]) or not separator:
        raise WireError(f"not a SIP message: {lines[0][:60]!r}")
    for name in ("via", "from", "to", "call-id", "cseq"):
        if not message.get(name):
            raise WireError(f"no {name} header")
    return message


def tidied(message: Message) -> bytes:
    """The message in the form that pyVoIP's own parser was written against."""
    start = message.start
    if message.status is not None:
        # The codes that pyVoIP lists are an enum; it only ever asks for the class of others.
        start = f"SIP/2.0 {_known(message.status)} {message.reason or '-'}"
    lines = [start]
    lines += [f"Via: {via.split(',')[0]}" for via in message.all("via")[:1]]
    for name in ("From", "To"):
        uri, tag = address_uri(message.get(name.lower())), tag_of(message.get(name.lower()))
        uri = "sip:" + uri.partition(":")[2]  # it splits at "sip:", whatever the scheme
        lines.append(f"{name}: <{uri}>" + (f";tag={tag}" if tag else ""))
    if message.contact_uri:
        lines.append(f"Contact: <{message.contact_uri}>")
    lines += [f"Call-ID: {message.get('call-id')}", f"CSeq: {message.get('cseq')}"]
    sdp = _tidied_sdp(message.body.decode("utf-8", "replace")) if message.body else []
    if sdp:
        lines.append("Content-Type: application/sdp")
    return "\r\n".join([*lines, "", *sdp, ""]).encode()


def address_uri(value: str) -> str:
    """RFC 3261 20.10: the URI of a From, To or Contact, with or without angle brackets."""
    match = _ADDRESS.match(value)
    return match[1].strip() if match else value.partition(";")[0].strip()


def tag_of(value: str) -> str:
    match = _ADDRESS.match(value)
    tag = re.search(r";\s*tag\s*=\s*([^;\s]+)", match[2] if match else value, re.IGNORECASE)
    return tag[1] if tag else ""


def _known(status: int) -> int:
    try:
        SIP.SIPStatus(status)
    except ValueError:
        return _KNOWN_STATUS[status // 100]
    return status


def _tidied_sdp(text: str) -> list[str]:
    """One audio line, its formats' rtpmaps, one connection line (its own before the session's)."""
    session: list[str] = []
    audio: list[str] = []
    section: list[str] | None = session
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.startswith("m="):
            wanted = line.startswith("m=audio ") and not audio
            section = audio if wanted else None
        if section is not None and len(line) > 2:
            section.append(line)
    if not audio or audio[0].split()[1] == "0":
        return []
    formats = audio[0].split()[3:]
    connections = [line for line in (*audio, *session) if line.startswith("c=IN IP4 ")]
    origin = [line for line in session if line.startswith("o=")]
    maps = [
        line
        for line in audio
        if line.startswith("a=rtpmap:") and line[9:].split(" ", 1)[0] in formats
    ]
    directions = [
        line
        for line in (*audio, *session)
        if line in {"a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"}
    ]
    return ["v=0", *origin[:1], *connections[:1], audio[0], *maps, *directions[:1]]
