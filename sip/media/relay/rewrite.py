"""SDP through the relay: what it reads of a description and what it writes into it.

The relay changes where media goes and nothing else: addresses and ports, and the attributes that
would lead around it (ICE, rtcp-mux, BUNDLE) or promise what it does not do (keys). Codecs, their
order and every unknown line pass as they came.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from sip.core.sdp import Media, Origin, SessionDescription, parse
from sip.core.sdp_lines import Attribute, Codec, Connection
from sip.errors import ParseError
from sip.media.plane import MediaError
from sip.media.relay import policy
from sip.media.relay.latch import SocketAddress
from sip.media.relay.rtp import DEFAULT_CLOCK_RATE_HZ

#: RTP without encryption, with or without feedback (RFC 3551, RFC 4585).
PLAIN_PROTOCOLS = frozenset({"RTP/AVP", "RTP/AVPF"})

#: Attributes that end at the relay.
STRIPPED = frozenset(
    {
        # RFC 8839: there is one way to us, the address of the c= line
        "candidate", "remote-candidates", "end-of-candidates", "ice-ufrag", "ice-pwd", "ice-lite",
        "ice-options", "ice-mismatch", "ice-pacing",
        # RFC 5761, RFC 9143: RTP and RTCP have a port each, and every medium its own
        "rtcp-mux", "rtcp-mux-only", "group", "mid", "bundle-only",
        # RFC 4568, RFC 5763: nothing is encrypted here
        "crypto", "fingerprint", "setup", "connection", "tls-id", "key-mgmt",
    }
)  # fmt: skip


_SEVEN_BITS = frozenset(map(str, range(128)))
_UNSAID = Codec("", DEFAULT_CLOCK_RATE_HZ)


@dataclass(frozen=True, slots=True)
class RemoteMedia:
    """Where a party wants its media (`rtp` None is hold) and by which payload types.

    `sends` and `hears` are its direction (RFC 3264 5.1).
    """

    rtp: SocketAddress | None
    rtcp: SocketAddress | None
    codecs: Mapping[int, Codec]
    sends: bool = False
    hears: bool = False


def read(text: str) -> SessionDescription:
    """Reads a description; `MediaError` bad-sdp if it cannot be read."""
    try:
        return parse(text)
    except ParseError as error:
        raise _bad(error.reason) from None


def remote_media(
    sdp: SessionDescription, version: int, *, offer: bool, signalling_ip: str | None = None
) -> RemoteMedia:
    """What the relay needs of a description; `MediaError` bad-sdp if it cannot be relayed.

    `version` is the relay's address family, 4 or 6. An offer must have audio; an answer may
    refuse it. Media for a host name goes to `signalling_ip`, where the description came from: a
    look-up would hold up every call.
    """
    audio = sdp.audio
    if audio is None:
        if offer or not sdp.media:
            raise _bad("no audio offered")
        return RemoteMedia(None, None, {})
    if audio.protocol.upper() not in PLAIN_PROTOCOLS:
        raise _bad(f"audio by {audio.protocol} is not supported")
    connection = sdp.connection_of(audio)
    if connection is None:
        raise _bad("no connection address")
    codecs = _codecs(
        audio.formats, tuple([item for item in audio.attributes if item[0] == "rtpmap"])
    )
    where = _host(connection.address)
    if normal_address(where) is None:
        where = signalling_ip or where
    host = _remote_address(where, version)
    if host is None:
        return RemoteMedia(None, None, codecs)
    direction = audio.direction
    return RemoteMedia(
        _socket_address(host, audio.port),
        _rtcp_address(audio, host, version),
        codecs,
        sends=direction in ("sendrecv", "sendonly"),
        hears=direction in ("sendrecv", "recvonly"),
    )


def rewritten(sdp: SessionDescription, address: str, port: int) -> str:
    """The description with `address` and `port` (RTCP one above) in place of the sender's.

    Media other than the relayed audio is refused on the way (port 0), so that the other side
    does not send it.
    """
    ours = Connection("IP6" if ":" in address else "IP4", address)
    audio, origin = sdp.audio, sdp.origin
    return SessionDescription(
        Origin(origin.username, origin.session_id, origin.version, ours.address_type, ours.address),
        sdp.name,
        _connected(sdp.connection, ours),
        _kept(sdp.attributes),
        tuple([_relayed(m, ours, port) if m is audio else m.refused for m in sdp.media]),
        sdp.other,
    ).to_string()


def own_address(text: str, version: int) -> str:
    """An address of ours to be written into SDP; `MediaError` refused if it cannot be one."""
    normal = normal_address(text)
    if normal is None or (6 if ":" in normal else 4) != version:
        raise MediaError("refused", f"media-address {text!r} is no IPv{version} address")
    return normal


@lru_cache(maxsize=1024)
def normal_address(text: str) -> str | None:
    """An IP address as `recvfrom` would write it; None for any other text."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _relayed(audio: Media, ours: Connection, port: int) -> Media:
    return Media(
        audio.kind,
        port,
        audio.protocol,
        _payload_types(audio.formats),
        1,
        _connected(audio.connection, ours),
        tuple(
            [
                ("rtcp", str(port + 1)) if attribute[0] == "rtcp" else attribute
                for attribute in audio.attributes
                if attribute[0] not in STRIPPED
            ]
        ),
        audio.other,
    )


def _connected(theirs: Connection | None, ours: Connection) -> Connection | None:
    """RFC 3264 8.4: the all-zeroes address is a hold and must arrive as one."""
    return theirs if theirs is None or theirs.unspecified else ours


def _kept(attributes: Iterable[Attribute]) -> tuple[Attribute, ...]:
    return tuple([attribute for attribute in attributes if attribute[0] not in STRIPPED])


def _rtcp_address(audio: Media, host: str, version: int) -> SocketAddress | None:
    """RFC 3605: a port and perhaps an address.

    Without it, or where it says nothing that can be used, the port above RTP's (RFC 3550 11): no
    call fails for want of reports.
    """
    port, *network = (audio.attribute("rtcp") or "").split() or [""]
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        return _socket_address(host, audio.port + 1) if audio.port < 65535 else None
    if len(network) != 3 or normal_address(network[2]) is None:
        return _socket_address(host, int(port))
    try:
        other = policy.media_address(network[2], version)
    except policy.AddressRefusedError:
        return None
    return None if other is None else _socket_address(other, int(port))


def _remote_address(text: str, version: int) -> str | None:
    try:
        return policy.media_address(text, version)
    except policy.AddressRefusedError as error:
        raise _bad(str(error)) from None


def _host(text: str) -> str:
    """An address without the TTL and count of multicast (RFC 8866 5.7)."""
    return text.partition("/")[0]


@lru_cache(maxsize=256)
def _codecs(formats: tuple[str, ...], rtpmaps: tuple[Attribute, ...]) -> Mapping[int, Codec]:
    """Each payload type's codec, its name in capitals; "" and G.711's clock where it is unsaid.

    Not to be changed: it is remembered, as most calls have what others had.
    """
    known = Media("audio", 0, "RTP/AVP", formats, attributes=rtpmaps).rtpmap()
    codecs: dict[int, Codec] = {}
    for text in _payload_types(formats):
        codec = known.get(int(text), _UNSAID)
        rate = codec.rate or DEFAULT_CLOCK_RATE_HZ
        codecs[int(text)] = Codec(codec.name.upper(), rate, codec.channels)
    if not codecs:
        raise _bad(f"no payload type among {' '.join(formats)}")
    return MappingProxyType(codecs)


def _payload_types(formats: tuple[str, ...]) -> tuple[str, ...]:
    """What can be one (RFC 3550 5.1: seven bits); some senders list 255 for what they lack."""
    return tuple([text for text in formats if text in _SEVEN_BITS])


def _socket_address(host: str, port: int) -> SocketAddress:
    return (host, port, 0, 0) if ":" in host else (host, port)


def _bad(reason: str) -> MediaError:
    return MediaError("bad-sdp", reason)
