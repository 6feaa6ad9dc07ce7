"""SDP through the relay: what it reads of a description and what it writes into it.

The relay changes where media goes and how it is encrypted: addresses and ports, the protocol and
keys (each side has its own), and the attributes that would lead around it (ICE, rtcp-mux, BUNDLE)
or promise what it does not do (DTLS). Codecs, their order and every unknown line pass as they
came, if nothing else is asked for (`sip.core.sdp_codecs`). The descriptions of a peer's calls
differ in two numbers, mostly, and what was read of the rest is remembered.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from sip.core.sdp import Media, Origin, SessionDescription, parse
from sip.core.sdp_crypto import Chosen, Crypto, Encryption, choose_audio, why_not
from sip.core.sdp_lines import Attribute, Codec, Connection
from sip.errors import ParseError
from sip.media.plane import MediaError
from sip.media.relay import policy
from sip.media.relay.latch import SocketAddress
from sip.media.relay.rtp import DEFAULT_CLOCK_RATE_HZ
from sip.media.relay.srtp import available

#: What an offer without keys is made by (RFC 3551).
_CLEAR: Final = "RTP/AVP"

#: Attributes that end at the relay.
STRIPPED = frozenset(
    {
        # RFC 8839: there is one way to us, the address of the c= line
        "candidate", "remote-candidates", "end-of-candidates", "ice-ufrag", "ice-pwd", "ice-lite",
        "ice-options", "ice-mismatch", "ice-pacing",
        # RFC 3605, RFC 5761, RFC 9143: every medium has an own port, and RTCP the one above
        "rtcp", "rtcp-mux", "rtcp-mux-only", "group", "mid", "bundle-only",
        # RFC 4568: keys are each side's own; RFC 5763: there is no DTLS here
        "crypto", "fingerprint", "setup", "connection", "tls-id", "key-mgmt",
    }
)  # fmt: skip


_SEVEN_BITS = frozenset(map(str, range(128)))
_UNSAID = Codec("", DEFAULT_CLOCK_RATE_HZ)

#: Payload types with their codecs, in the order of the description.
Codecs: TypeAlias = tuple[tuple[int, Codec], ...]

#: Patterns that are remembered at most.
_MAX_PATTERNS: Final = 512

#: Longest description of which something is remembered, in characters; and lines that are one
#: call's own or secret, so that nothing is: an address that is a name stands for the sender's.
_MAX_REMEMBERED: Final = 1024
_OWN_LINE: Final = re.compile(
    r"a=(?:rtcp:|candidate|ice-|crypto|key-mgmt|fingerprint)"
    r"|(?i:c= *IN +IP(?:4 [^\r\n]*[a-z]|6 [^:\r\n]*[\r\n]))"
)

#: A description as far as its session's numbers; a port in use.
_SESSION: Final = re.compile(r"v=0\r?\no=([^\s\0]+ [^\s\0]+ [0-9]{1,64})")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")

#: Forms in which one description is sent on, at most, that are remembered.
_MAX_TOLD: Final = 16

#: What the audio's port follows, and what stands for one.
_AUDIO: Final = "\nm=audio "
_FAX: Final = "\nm=image "
_ANY_PORT: Final = 9


class Transport(NamedTuple):
    """How audio is described to a party: the protocol, and our keys where it is encrypted."""

    protocol: str
    keys: tuple[Crypto, ...] = ()


class RemoteMedia(NamedTuple):
    """Where a party wants its media (`rtp` None is hold) and by which payload types.

    `sends` and `hears` are its direction (RFC 3264 5.1), `keys` those by which it encrypts, `audio`
    is all that it says of its audio, but for the port. With `fax` it is no audio but T.38
    (RFC 3362), in datagrams that are no RTP.
    """

    rtp: SocketAddress | None
    rtcp: SocketAddress | None
    codecs: Codecs
    sends: bool = False
    hears: bool = False
    protocol: str = _CLEAR
    keys: tuple[Crypto, ...] = ()
    audio: Media | None = None
    fax: bool = False

    def at(self, port: int) -> RemoteMedia:
        """The same with another port, and RTCP above it."""
        if self.rtp is None:
            return self
        host = self.rtp[0]
        rtp, rtcp = _socket_address(host, port), _socket_address(host, port + 1)
        return RemoteMedia(rtp, rtcp, *self[2:])


class Pattern:
    """A description but for the numbers of its session and the port of its audio."""

    __slots__ = ("_around_port", "_sdp", "media")

    def __init__(self, sdp: SessionDescription, media: RemoteMedia) -> None:
        self._sdp = sdp
        self.media = media
        self._around_port: dict[tuple[str, Media | None], tuple[str, str]] = {}

    def around_port(self, address: str, told: Media | None = None) -> tuple[str, str]:
        """What is sent on with `address`, one of ours: from the origin's to the port, and after.

        There is nothing after it where there is no audio. `told` stands in place of the audio.
        """
        around = self._around_port.get((address, told))
        if around is None:
            text = _relayed(self._sdp, address, told).to_string().partition(" IN ")[2]
            medium = _FAX if self.media.fax else _AUDIO
            before, audio, after = text.partition(f"{medium}{_ANY_PORT} ")
            around = (before + medium, " " + after) if audio else (before, "")
            if len(self._around_port) >= _MAX_TOLD:
                self._around_port.clear()
            self._around_port[address, told] = around
        return around


class ReceivedSdp(NamedTuple):
    """A description that came: what the relay acts on, and what is sent on in its place."""

    media: RemoteMedia
    session: str
    pattern: Pattern

    def rewritten(
        self,
        address: str,
        port: int,
        transport: Transport | None = None,
        told: Media | None = None,
    ) -> str:
        """The description with `address` and `port` (RTCP one above) in place of the sender's,
        `transport` in place of its own, and `told` in place of its audio.

        Media other than the relayed audio is refused on the way (port 0), so that the other side
        does not send it.
        """
        before, after = self.pattern.around_port(address, told)
        if after and transport is not None and not self.media.fax:
            after = _transported(after, transport)
        return f"v=0\r\no={self.session} IN {before}{port if after else ''}{after}"


def read(text: str, version: int, *, offer: bool, signalling_ip: str | None = None) -> ReceivedSdp:
    """Reads a description; `MediaError` bad-sdp if it cannot be read, or not be relayed.

    `version` is the relay's address family, 4 or 6. An offer must have audio, or T.38 in its
    place; an answer may refuse it. Media for a host name goes to `signalling_ip`, where the
    description came from: a look-up would hold up every call.
    """
    start, _, rest = text.partition(" IN ")
    before, _, audio = rest.partition(_AUDIO)
    port, _, after = audio.partition(" ")
    session = _SESSION.fullmatch(start)
    if session is not None and _PORT.fullmatch(port) and int(port) < 65535:
        pattern = _PATTERNS.get((before, after, version))
        if pattern is None and len(text) <= _MAX_REMEMBERED and not _OWN_LINE.search(text):
            pattern = _remember(before, after, version)
        if pattern is not None:
            return ReceivedSdp(pattern.media.at(int(port)), session[1], pattern)
    sdp = _parsed(text)
    origin = sdp.origin
    media = _remote_media(sdp, version, offer=offer, signalling_ip=signalling_ip)
    numbers = f"{origin.username} {origin.session_id} {origin.version}"
    return ReceivedSdp(media, numbers, Pattern(sdp, media))


def remembered() -> int:
    """How many patterns are remembered."""
    return len(_PATTERNS)


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


#: What is remembered, by what stands from a description's origin to its audio's port and after it,
#: and the address family.
_PATTERNS: Final[dict[tuple[str, str, int], Pattern]] = {}


def _remember(before: str, after: str, version: int) -> Pattern:
    sdp = _parsed(f"v=0\r\no=- 0 0 IN {before}{_AUDIO}{_ANY_PORT} {after}")
    pattern = Pattern(sdp, _remote_media(sdp, version, offer=True, signalling_ip=None))
    if len(_PATTERNS) >= _MAX_PATTERNS:
        del _PATTERNS[next(iter(_PATTERNS))]  # the oldest
    _PATTERNS[before, after, version] = pattern
    return pattern


def _parsed(text: str) -> SessionDescription:
    try:
        return parse(text)
    except ParseError as error:
        raise _bad(error.reason) from None


def _remote_media(
    sdp: SessionDescription, version: int, *, offer: bool, signalling_ip: str | None
) -> RemoteMedia:
    if sdp.fax is not None:
        return _remote_fax(sdp, sdp.fax, version, signalling_ip)
    if sdp.audio is None:
        if offer or not sdp.media:
            raise _bad("no audio offered")
        return RemoteMedia(None, None, ())
    chosen = _chosen(sdp)
    if chosen is None:
        raise _bad(why_not(sdp, Encryption.OPTIONAL, available())[1])
    audio = chosen.media
    codecs = _codecs(audio)
    host = _remote_host(sdp, audio, version, signalling_ip)
    if host is None:
        return RemoteMedia(
            None, None, codecs, protocol=audio.protocol, keys=chosen.lines, audio=audio
        )
    direction = audio.direction
    return RemoteMedia(
        _socket_address(host, audio.port),
        _rtcp_address(audio, host, version),
        codecs,
        sends=direction in ("sendrecv", "sendonly"),
        hears=direction in ("sendrecv", "recvonly"),
        protocol=audio.protocol,
        keys=chosen.lines,
        audio=audio,
    )


def _remote_fax(
    sdp: SessionDescription, fax: Media, version: int, signalling_ip: str | None
) -> RemoteMedia:
    host = _remote_host(sdp, fax, version, signalling_ip)
    where = None if host is None else _socket_address(host, fax.port)
    return RemoteMedia(where, None, (), sends=True, hears=True, fax=True)


def _remote_host(
    sdp: SessionDescription, media: Media, version: int, signalling_ip: str | None
) -> str | None:
    """Where a medium is to be sent; None for nowhere, a hold."""
    connection = sdp.connection_of(media)
    if connection is None:
        raise _bad("no connection address")
    where = _host(connection.address)
    if normal_address(where) is None:
        where = signalling_ip or where
    return _remote_address(where, version)


def _chosen(sdp: SessionDescription) -> Chosen | None:
    """The audio that is relayed: encrypted audio where there is any."""
    return choose_audio(sdp, Encryption.OPTIONAL, available())


def _relayed(sdp: SessionDescription, address: str, told: Media | None) -> SessionDescription:
    """What is sent on, with a stand-in for the port, and perhaps for the audio."""
    ours = Connection("IP6" if ":" in address else "IP4", address)
    chosen, origin = _chosen(sdp), sdp.origin
    audio = sdp.fax if chosen is None else chosen.media
    return SessionDescription(
        Origin(origin.username, origin.session_id, origin.version, ours.address_type, ours.address),
        sdp.name,
        _connected(sdp.connection, ours),
        _kept(sdp.attributes),
        tuple([_relayed_audio(told or m, ours) if m is audio else m.refused for m in sdp.media]),
        sdp.other,
    )


def _relayed_audio(audio: Media, ours: Connection) -> Media:
    return audio.replace(
        port=_ANY_PORT,
        formats=_payload_types(audio.formats) if audio.kind == "audio" else audio.formats,
        port_count=1,
        connection=_connected(audio.connection, ours),
        attributes=_kept(audio.attributes),
    )


def _connected(theirs: Connection | None, ours: Connection) -> Connection | None:
    """RFC 3264 8.4: the all-zeroes address is a hold and must arrive as one."""
    return theirs if theirs is None or theirs.unspecified else ours


def _transported(after: str, transport: Transport) -> str:
    """What follows the audio's port, with another protocol, and keys at the end of the medium."""
    if not transport.keys and after.startswith(f" {transport.protocol} "):
        return after
    _, _, formats = after.split(" ", 2)
    audio, others, rest = formats.partition("\r\nm=")
    end = "\r\n" if others else ""
    keys = [f"a=crypto:{key.value}\r\n" for key in transport.keys]
    text = "".join((audio, end, *keys)) if keys else audio + end
    return f" {transport.protocol} {text}" + ("m=" + rest if others else "")


def _kept(attributes: tuple[Attribute, ...]) -> tuple[Attribute, ...]:
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


def _codecs(audio: Media) -> Codecs:
    """See `codecs_of`; `MediaError` bad-sdp if there are none."""
    codecs = codecs_of(audio)
    if not codecs:
        raise _bad(f"no payload type among {' '.join(audio.formats)}")
    return codecs


def codecs_of(audio: Media) -> Codecs:
    """Each payload type's codec, its name in capitals; "" and G.711's clock where it is unsaid."""
    known = audio.rtpmap()
    codecs: list[tuple[int, Codec]] = []
    for text in _payload_types(audio.formats):
        codec = known.get(int(text), _UNSAID)
        rate = codec.rate or DEFAULT_CLOCK_RATE_HZ
        codecs.append((int(text), Codec(codec.name.upper(), rate, codec.channels)))
    return tuple(codecs)


def _payload_types(formats: tuple[str, ...]) -> tuple[str, ...]:
    """What can be one (RFC 3550 5.1: seven bits); some senders list 255 for what they lack."""
    return tuple([text for text in formats if text in _SEVEN_BITS])


def _host(text: str) -> str:
    """An address without the TTL and count of multicast (RFC 8866 5.7)."""
    return text.partition("/")[0]


def _socket_address(host: str, port: int) -> SocketAddress:
    return (host, port, 0, 0) if ":" in host else (host, port)


def _bad(reason: str) -> MediaError:
    return MediaError("bad-sdp", reason)
