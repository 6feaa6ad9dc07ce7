"""SDP through the relay: what it reads of a description and what it writes into it.

The relay changes where media goes and nothing else: addresses and ports, and the attributes that
would lead around it (ICE, rtcp-mux, BUNDLE) or promise what it does not do (keys). Codecs, their
order and every unknown line pass as they came.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from sip.media.plane import MediaError
from sip.media.relay import policy
from sip.media.relay.latch import SocketAddress
from sip.media.relay.rtp import DEFAULT_CLOCK_RATE_HZ

#: Larger descriptions are refused; a long offer with video is 3 KB.
MAX_SIZE = 8192

#: RTP without encryption, with or without feedback (RFC 3551, RFC 4585).
PLAIN_PROTOCOLS = frozenset({"RTP/AVP", "RTP/AVPF"})

#: Attributes that end at the relay.
STRIPPED = frozenset(
    {
        "candidate", "remote-candidates", "end-of-candidates", "ice-ufrag", "ice-pwd", "ice-lite",
        "ice-options", "ice-mismatch", "ice-pacing",  # RFC 8839: we are the only candidate
        "rtcp-mux", "rtcp-mux-only", "group", "mid", "bundle-only",  # RFC 5761, 9143: own ports
        "crypto", "fingerprint", "setup", "connection", "tls-id", "key-mgmt",  # no SRTP here
    }
)  # fmt: skip

#: Clock rates of the static payload types that are not 8000 Hz (RFC 3551 table 4).
STATIC_RATES_HZ = {6: 16000, 10: 44100, 11: 44100, 14: 90000, 16: 11025, 17: 22050}


@dataclass(frozen=True, slots=True)
class RemoteMedia:
    """Where a party wants its media; `rtp` None is hold, and `rates_hz` has its payload types."""

    rtp: SocketAddress | None
    rtcp: SocketAddress | None
    rates_hz: dict[int, int] = field(hash=False)


@dataclass(slots=True)
class _Section:
    """One m= line with what belongs to it."""

    kind: str
    port: int
    protocol: str
    formats: list[str]
    lines: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Sdp:
    """A description in its lines, divided at the m= lines; `audio` is the section relayed."""

    session: list[str]
    sections: list[_Section]
    audio: _Section | None


def read(data: bytes) -> Sdp:
    """Divides a description into its sections; `MediaError` bad-sdp if it is none."""
    if len(data) > MAX_SIZE:
        raise _bad(f"{len(data)} bytes are more than {MAX_SIZE}")
    lines = [line for line in data.decode("utf-8", "surrogateescape").splitlines() if line]
    if not lines or lines[0] != "v=0":
        raise _bad("does not begin with v=0")
    session: list[str] = []
    sections: list[_Section] = []
    for line in lines:
        if len(line) < 2 or line[1] != "=" or not line[0].isalpha():
            raise _bad(f"line {line[:40]!r}")
        if line.startswith("m="):
            sections.append(_section(line))
        else:
            (sections[-1].lines if sections else session).append(line)
    audio = next((s for s in sections if s.kind == "audio" and s.port), None)
    return Sdp(session, sections, audio)


def _section(line: str) -> _Section:
    words = line[2:].split()
    if len(words) < 4:
        raise _bad(f"line {line[:40]!r}")
    port = words[1].partition("/")[0]
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise _bad(f"port in {line[:40]!r}")
    return _Section(words[0], int(port), words[2].upper(), words[3:])


def remote_media(sdp: Sdp, version: int, *, offer: bool) -> RemoteMedia:
    """What the relay needs of a description; `MediaError` bad-sdp if it cannot be relayed.

    `version` is the relay's address family. An offer must have audio; an answer may refuse it.
    """
    audio = sdp.audio
    if audio is None:
        if offer or not sdp.sections:
            raise _bad("no audio offered")
        return RemoteMedia(None, None, {})
    if audio.protocol not in PLAIN_PROTOCOLS:
        raise _bad(f"audio by {audio.protocol} is not supported")
    connection = _connection(audio.lines) or _connection(sdp.session)
    if connection is None:
        raise _bad("no c= line")
    host = _remote_address(connection, version)
    rtp = None if host is None else _socket_address(host, audio.port)
    rtcp = rtp and _socket_address(rtp[0], min(audio.port + 1, 65535))
    explicit = _attribute(audio.lines, "rtcp")
    if explicit is not None:
        rtcp = _rtcp_address(explicit, host, version)
    return RemoteMedia(rtp, rtcp if rtp else None, _rates(audio))


def rewritten(sdp: Sdp, address: str, port: int) -> str:
    """The description with `address` and `port` (RTCP one above) in place of the sender's.

    Media other than the relayed audio is refused on the way (port 0), so that the other side
    does not send it.
    """
    family = "IP6" if ":" in address else "IP4"
    network = f"IN {family} {address}"
    out = [_session_line(line, network) for line in sdp.session if not _stripped(line)]
    for section in sdp.sections:
        formats = " ".join(section.formats)
        if section is not sdp.audio:
            out.append(f"m={section.kind} 0 {section.protocol} {formats}")
            continue
        out.append(f"m={section.kind} {port} {section.protocol} {formats}")
        for line in section.lines:
            if line.startswith("a=rtcp:"):
                out.append(f"a=rtcp:{port + 1}")
            elif not _stripped(line):
                out.append(_session_line(line, network))
    return "\r\n".join(out) + "\r\n"


def own_address(text: str, version: int) -> str:
    """An address of ours to be written into SDP; `MediaError` refused if it cannot be one."""
    normal = normal_address(text)
    if normal is None or (6 if ":" in normal else 4) != version:
        raise MediaError("refused", f"media-address {text!r} is no IPv{version} address")
    return normal


def normal_address(text: str) -> str | None:
    """An IP address as `recvfrom` would write it; None if it is none."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _session_line(line: str, network: str) -> str:
    if line.startswith("c="):
        # RFC 3264 8.4: the all-zeroes address is a hold and must arrive as one.
        return line if _is_hold(line) else f"c={network}"
    if line.startswith("o="):
        words = line.split()
        if len(words) != 6:
            raise _bad("o= line")
        return " ".join([*words[:3], network])
    return line


def _is_hold(line: str) -> bool:
    return line.split()[-1] in ("0.0.0.0", "::")


def _stripped(line: str) -> bool:
    return line.startswith("a=") and line[2:].partition(":")[0] in STRIPPED


def _connection(lines: list[str]) -> str | None:
    for line in lines:
        if line.startswith("c="):
            words = line[2:].split()
            if len(words) != 3 or words[0] != "IN":
                raise _bad("c= line")
            return words[2].partition("/")[0]
    return None


def _remote_address(text: str, version: int) -> str | None:
    try:
        return policy.media_address(text, version)
    except policy.AddressRefusedError as error:
        raise _bad(str(error)) from None


def _rtcp_address(value: str, host: str | None, version: int) -> SocketAddress | None:
    """RFC 3605: a port, and perhaps an address."""
    words = value.split()
    if not words or not words[0].isdigit() or not 0 < int(words[0]) < 65536:
        raise _bad("a=rtcp")
    if len(words) == 4:
        host = _remote_address(words[3], version)
    return None if host is None else _socket_address(host, int(words[0]))


def _attribute(lines: list[str], name: str) -> str | None:
    prefix = f"a={name}:"
    return next((line[len(prefix) :] for line in lines if line.startswith(prefix)), None)


def _socket_address(host: str, port: int) -> SocketAddress:
    return (host, port, 0, 0) if ":" in host else (host, port)


def _rates(audio: _Section) -> dict[int, int]:
    rates: dict[int, int] = {}
    for text in audio.formats:
        if not (text.isascii() and text.isdigit()) or int(text) > 127:
            raise _bad(f"payload type {text[:20]!r}")
        payload_type = int(text)
        rates[payload_type] = STATIC_RATES_HZ.get(payload_type, DEFAULT_CLOCK_RATE_HZ)
    for line in audio.lines:
        if line.startswith("a=rtpmap:"):
            number, _, codec = line[9:].partition(" ")
            rate = codec.strip().split("/")[1:2]
            if number.isdigit() and int(number) in rates and rate and rate[0].isdigit():
                rates[int(number)] = int(rate[0]) or DEFAULT_CLOCK_RATE_HZ
    return rates


def _bad(reason: str) -> MediaError:
    return MediaError("bad-sdp", reason)
