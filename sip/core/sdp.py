"""Session descriptions (RFC 8866) as offers and answers use them (RFC 3264).

A description is a value: reading keeps every line, `replace` makes a changed copy, and writing puts
the lines back in the order of the grammar. What we do not know (ICE, crypto, vendor attributes)
passes through untouched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sip.core.sdp_lines import (
    Attribute,
    Codec,
    Connection,
    Line,
    body_lines,
    read_body,
    read_rtpmap,
)
from sip.core.uri import decode_text
from sip.errors import ParseError

#: Longest description, in bytes or characters.
MAX_SDP: Final = 16 * 1024
#: Most `m=` sections.
MAX_MEDIA: Final = 32
DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")
_SENDING: Final = frozenset({"sendrecv", "sendonly"})
_HEARING: Final = frozenset({"sendrecv", "recvonly"})
#: By whether it sends and whether it hears.
_DIRECTION_OF: Final = {
    (True, True): "sendrecv",
    (True, False): "sendonly",
    (False, True): "recvonly",
    (False, False): "inactive",
}


#: Payload types that need no rtpmap (RFC 3551 6).
STATIC_CODECS: Final = {
    0: Codec("PCMU", 8000),
    3: Codec("GSM", 8000),
    4: Codec("G723", 8000),
    8: Codec("PCMA", 8000),
    9: Codec("G722", 8000),
    13: Codec("CN", 8000),
    15: Codec("G728", 8000),
    18: Codec("G729", 8000),
}


@dataclass(frozen=True, slots=True)
class Origin:
    """`o=`: who described the session; `version` rises with every change (RFC 3264 8)."""

    username: str
    session_id: str
    version: int
    address_type: str
    address: str

    def __str__(self) -> str:
        where = f"IN {self.address_type} {self.address}"
        return f"{self.username} {self.session_id} {self.version} {where}"


class _Attributes:
    """Reading `a=` lines, of a session or of one of its media."""

    __slots__ = ()
    attributes: tuple[Attribute, ...]

    def attribute(self, name: str) -> str | None:
        """The first value of an attribute: "" when it has none, None when it is absent."""
        for key, value in self.attributes:
            if key == name:
                return value or ""
        return None

    def values(self, name: str) -> list[str]:
        """Every value of an attribute, such as all `crypto` or `candidate` lines."""
        return [value or "" for key, value in self.attributes if key == name]


def _direction_in(attributes: Iterable[Attribute]) -> str | None:
    for name, _ in attributes:
        if name in DIRECTIONS:
            return name
    return None


@dataclass(frozen=True, slots=True)
class Media(_Attributes):
    """One `m=` section. `connection` is its own, None where the session's holds.

    `other` are its lines of other kinds (i, b, k and any unknown), `session_direction` what the
    session says of all its media.
    """

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    port_count: int = 1
    connection: Connection | None = None
    attributes: tuple[Attribute, ...] = ()
    other: tuple[Line, ...] = ()
    session_direction: str | None = field(default=None, compare=False, repr=False)

    @property
    def active(self) -> bool:
        """Whether it is offered or accepted; port 0 refuses (RFC 3264 6)."""
        return self.port != 0

    @property
    def direction(self) -> str:
        """Its own direction, else that of the session, else sendrecv (RFC 8866 6.7)."""
        return _direction_in(self.attributes) or self.session_direction or "sendrecv"

    @property
    def ptime(self) -> int | None:
        """Milliseconds of audio a packet, None when unsaid or unreadable."""
        value = self.attribute("ptime")
        return int(value) if value and _SHORT_NUMBER.fullmatch(value) else None

    def rtpmap(self) -> dict[int, Codec]:
        """The codec of each payload type, in the order of preference of the `m=` line."""
        known = dict(STATIC_CODECS)
        for value in self.values("rtpmap"):
            read = read_rtpmap(value)
            if read is not None:
                known[read[0]] = read[1]
        numbers = [int(pt) for pt in self.formats if _SHORT_NUMBER.fullmatch(pt)]
        return {pt: known[pt] for pt in numbers if pt in known}

    def fmtp(self, payload_type: int) -> str | None:
        """The format parameters of a payload type, None when there are none."""
        for value in self.values("fmtp"):
            number, _, parameters = value.partition(" ")
            if number == str(payload_type):
                return parameters.strip()
        return None

    @property
    def refused(self) -> Media:
        """The same, refused (RFC 3264 6)."""
        return self.replace(port=0, port_count=1, connection=None, attributes=(), other=())

    def directed(self, direction: str) -> Media:
        """The same with that direction."""
        kept = (item for item in self.attributes if item[0] not in DIRECTIONS)
        return self.replace(attributes=(*kept, (direction, None)))

    def answering(self, offer: Media) -> Media:
        """The same in the directions that `offer` has too (RFC 3264 6.1)."""
        direction = _DIRECTION_OF[
            self.direction in _SENDING and offer.direction in _HEARING,
            self.direction in _HEARING and offer.direction in _SENDING,
        ]
        return self if direction == self.direction else self.directed(direction)

    def replace(self, **changes: Any) -> Media:
        """The same with other values for the named fields."""
        return replace(self, **changes)

    def lines(self) -> list[str]:
        """Its lines, the `m=` line first."""
        count = f"/{self.port_count}" if self.port_count != 1 else ""
        first = " ".join((f"m={self.kind}", f"{self.port}{count}", self.protocol, *self.formats))
        return [first, *body_lines(self.connection, self.other, self.attributes)]


@dataclass(frozen=True, slots=True)
class SessionDescription(_Attributes):
    """A whole description. `other` are its lines of other kinds: i, u, e, p, b, t, r, z, k…"""

    origin: Origin
    name: str = "-"
    connection: Connection | None = None
    attributes: tuple[Attribute, ...] = ()
    media: tuple[Media, ...] = ()
    other: tuple[Line, ...] = (("t", "0 0"),)

    @staticmethod
    def parse(text: bytes | str) -> SessionDescription:
        """See `parse`."""
        return parse(text)

    @property
    def audio(self) -> Media | None:
        """The first audio with a port above 0, None when all is refused."""
        for media in self.media:
            if media.kind == "audio" and media.port:
                return media
        return None

    @property
    def fax(self) -> Media | None:
        """T.38 over UDPTL (RFC 3362), where it stands in place of all audio; else None."""
        if self.audio is not None:
            return None
        for media in self.media:
            if media.port and media.kind == "image" and media.protocol.lower() == "udptl":
                return media
        return None

    def connection_of(self, media: Media) -> Connection | None:
        """Where that media is to be sent."""
        return media.connection or self.connection

    def replace(self, **changes: Any) -> SessionDescription:
        """The same with other values for the named fields."""
        return replace(self, **changes)

    def answering(self, offer: SessionDescription) -> SessionDescription:
        """The same with a medium for each that `offer` has, in its order and directions.

        RFC 3264 6: what an answer leaves out is refused (port 0), and who only wants to send is not
        sent to. An answer needs this where its sender had another offer, or knows no hold.
        """
        answer = self._in_places_of(offer)
        pairs = zip(answer.media, offer.media, strict=False)
        media = tuple(own.answering(theirs) if own.active else own for own, theirs in pairs)
        return answer.replace(media=media + answer.media[len(media) :])

    def _in_places_of(self, offer: SessionDescription) -> SessionDescription:
        missing = len(offer.media) - len(self.media)
        if missing <= 0 or len(self.media) != 1:
            return self
        [own] = self.media
        fitting = [i for i, m in enumerate(offer.media) if m.kind == own.kind and m.active]
        place = next(
            (i for i in fitting if offer.media[i].protocol == own.protocol),
            next(iter(fitting), None),
        )
        if place is None:
            return self
        media = [m.refused for m in offer.media]
        media[place] = own
        return self.replace(media=tuple(media))

    def to_string(self) -> str:
        """The text, with CRLF after every line; raises ValueError for a line break inside one."""
        lines = ["v=0", f"o={self.origin}", f"s={self.name}"]
        lines += body_lines(self.connection, self.other, self.attributes)
        for media in self.media:
            lines += media.lines()
        text = "\r\n".join(lines) + "\r\n"
        if text.count("\n") != len(lines) or text.count("\r") != len(lines):
            raise ValueError("a line of a session description cannot hold a line break")
        return text

    __str__ = to_string


# --- reading -----------------------------------------------------------------------------------

_SHORT_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_ORIGIN: Final = re.compile(r"(\S+) (\S+) ([0-9]{1,64}) IN (IP4|IP6) (\S+) *")
#: Of an origin that cannot be read, or is missing. Nobody needs it: what we say has one of ours.
_NO_ORIGIN: Final = Origin("-", "0", 0, "IP4", "0.0.0.0")
_MEDIA: Final = re.compile(
    r" *+([!-.0-~]++) ++([0-9]{1,5})(?:/([0-9]{1,5}))? ++([!-~]++)((?: ++[!-~]++)*+) *+(?=\n|\Z)"
)
_KIND: Final = re.compile(r" *+([A-Za-z0-9-]{1,32}+)")


def parse(text: bytes | str) -> SessionDescription:
    """Reads a description.

    Lines that a call does not need may be as odd as they like: what cannot be read of the origin,
    the attributes and other media is left out, or stands refused. Bare LF ends a line too
    (RFC 8866 5), and a missing `s=` or `t=` is let pass.

    Raises ParseError: 400 for text that is no description, or whose audio cannot be read, 488 for
    audio without an address or more than 32 media, 413 when over 16 KB.
    """
    if len(text) > MAX_SDP:
        raise ParseError("SDP Too Large", 413)
    whole = decode_text(text) if isinstance(text, bytes) else text
    whole = whole.replace("\r\n", "\n").rstrip("\n\0 ")
    if "\r" in whole:
        raise ParseError("Malformed SDP Line")
    session, *media = whole.split("\nm=")
    if len(media) > MAX_MEDIA:
        raise ParseError("SDP With Too Many Media", 488)
    description = _read_session(session, media)
    audio = description.audio
    if audio is None and any(_is_unread_audio(section) for section in media):
        raise ParseError("Malformed SDP Media")
    if audio is not None and description.connection_of(audio) is None:
        raise ParseError("SDP Without Connection Address", 488)
    return description


def _read_session(text: str, media: list[str]) -> SessionDescription:
    """A description of the session's lines, and of each medium's after its ``m=``."""
    version, _, rest = text.partition("\n")
    if version.rstrip(" ") != "v=0":
        raise ParseError("Malformed SDP Start")
    origin = rest.partition("\n")[0] if rest.startswith("o=") else ""
    # the origin is a call's own: what follows it is what others had too
    connection, attributes, lines = read_body(rest[len(origin) :] if origin else f"\n{rest}")
    name = next((value for key, value in lines if key == "s"), "-")
    other = tuple([line for line in lines if line[0] not in "vos"])
    if "t" not in [key for key, _ in other]:
        other = (*other, ("t", "0 0"))
    direction = _direction_in(attributes)
    return SessionDescription(
        _read_origin(origin[2:]),
        name,
        connection,
        attributes,
        tuple([_read_media(section, direction) for section in media]),
        other,
    )


def _read_origin(text: str) -> Origin:
    match = _ORIGIN.fullmatch(text)
    if match is None:
        return _NO_ORIGIN
    username, session_id, version, address_type, address = match.groups()
    return Origin(username, session_id, int(version), address_type, address)


def _read_media(text: str, session_direction: str | None) -> Media:
    """One section; where its first line cannot be read, it stands refused in its place."""
    first = _medium(text)
    if first is None:
        named = _KIND.match(text)
        return Media(named[1] if named else "application", 0, "RTP/AVP", ("0",))
    kind, port, count, protocol, formats = first.groups("")
    connection, attributes, other = read_body(text[first.end() :])
    return Media(
        kind,
        int(port),
        protocol,
        tuple(formats.split()),
        int(count or 1),
        connection,
        attributes,
        other,
        session_direction,
    )


def _medium(text: str) -> re.Match[str] | None:
    """The first line of a section, None where it cannot be read."""
    match = _MEDIA.match(text)
    if match is None or int(match[2]) > 65535 or (int(match[2]) and not match[5]):
        return None
    return match


def _is_unread_audio(text: str) -> bool:
    return text.lstrip(" ").startswith("audio") and _medium(text) is None
