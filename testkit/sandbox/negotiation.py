"""The agent's side of offer/answer (RFC 3264): PCMU or PCMA, and telephone events. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import structlog

from sip.core.sdp import Media, parse
from sip.errors import ParseError
from sip.transport.address import is_address
from testkit.sandbox.agent import Remote
from testkit.sandbox.g711 import Law

log = structlog.get_logger(__name__)

OURS: tuple[Law, ...] = (Law.PCMU, Law.PCMA)
DTMF_TYPE = 101


def laws(codecs: Sequence[str]) -> tuple[Law, ...]:
    """Of a number's `codecs`, those that the agent speaks, in order; none named: all."""
    if not codecs:
        return OURS
    named = [name.upper() for name in codecs]
    known = {law.name: law for law in OURS}
    return tuple(known[name] for name in named if name in known)


@dataclass(frozen=True, slots=True)
class Address:
    """Our RTP address as it stands in SDP."""

    host: str
    port: int

    @property
    def kind(self) -> str:
        return "IP6" if ":" in self.host else "IP4"


def read(
    text: str,
    allowed: Sequence[Law],
    order: Literal["offer", "ours"] = "offer",
) -> Remote | None:
    """What the other side's SDP agrees to; None without a codec in common.

    Raises ParseError for what is no SDP.
    """
    description = parse(text)
    audio = description.audio
    if audio is None or audio.protocol.upper() != "RTP/AVP" or audio.port == 0:
        return None
    offered = _offered(audio)
    common = [(number, law) for number, law in offered if law in allowed]
    if not common:
        return None
    if order == "ours":
        common.sort(key=lambda entry: list(allowed).index(entry[1]))
    number, law = common[0]
    connection = audio.connection or description.connection
    if connection is None:
        raise ParseError("No Connection Address")
    if not is_address(connection.address):
        raise ParseError("Connection Address Is A Name")  # the media path looks no names up
    return Remote(
        host=connection.address,
        port=audio.port,
        law=law,
        payload_type=number,
        dtmf_type=_dtmf_type(audio),
        we_send=audio.direction in ("sendrecv", "recvonly") and not connection.unspecified,
        we_hear=audio.direction in ("sendrecv", "sendonly"),
    )


class Negotiator:
    """Our offers and answers in one call."""

    def __init__(
        self,
        ours: Address,
        allowed: Sequence[Law],
        *,
        session_id: int,
        order: Literal["offer", "ours"] = "offer",
    ) -> None:
        self._ours = ours
        self._allowed = tuple(allowed)
        self._session_id = session_id
        self._order = order
        self._version = 0

    def offer(self) -> str:
        """Our offer."""
        self._version += 1
        return offer(self._ours, self._allowed, self._session_id, self._version)

    def read(self, sdp: str | None, running: Law | None = None) -> Remote | None:
        """What their SDP agrees to; None for none, a malformed one, or no codec in common.

        The codec of a `running` call stays: its recording and its echo are in it.
        """
        if not sdp:
            return None
        try:
            return read(sdp, (running,) if running else self._allowed, self._order)
        except ParseError as error:
            log.info("sandbox.bad-sdp", error=str(error))
            return None

    def answer(self, sdp: str, agreed: Remote) -> str:
        """Our answer to the offer that `read` agreed to."""
        self._version += 1
        return answer(sdp, self._ours, agreed, self._session_id, self._version)


def offer(ours: Address, allowed: Sequence[Law], session_id: int, version: int) -> str:
    """Our offer."""
    formats = [(law.value, law.name) for law in allowed]
    return _session(ours, session_id, version) + _audio(ours, formats, DTMF_TYPE, "sendrecv")


def answer(text: str, ours: Address, agreed: Remote, session_id: int, version: int) -> str:
    """Our answer to the offer `text`, of which `read` made `agreed`.

    Every m= line is answered (RFC 3264 6): the audio that was taken, the others with port 0.
    """
    direction = {
        (True, True): "sendrecv",
        (True, False): "sendonly",
        (False, True): "recvonly",
        (False, False): "inactive",
    }[agreed.we_send, agreed.we_hear]
    description = parse(text)
    taken = description.audio
    parts = [_session(ours, session_id, version)]
    for media in description.media:
        if media is taken:
            formats = [(agreed.payload_type, agreed.law.name)]
            parts.append(_audio(ours, formats, agreed.dtmf_type, direction))
        else:
            parts.append(f"m={media.kind} 0 {media.protocol} {' '.join(media.formats)}\r\n")
    return "".join(parts)


def _session(ours: Address, session_id: int, version: int) -> str:
    return (
        "v=0\r\n"
        f"o=sandbox {session_id} {version} IN {ours.kind} {ours.host}\r\n"
        "s=-\r\n"
        f"c=IN {ours.kind} {ours.host}\r\n"
        "t=0 0\r\n"
    )


def _audio(
    ours: Address, formats: Sequence[tuple[int, str]], dtmf_type: int | None, direction: str
) -> str:
    numbers = [str(number) for number, _ in formats]
    lines = [f"a=rtpmap:{number} {name}/8000" for number, name in formats]
    if dtmf_type is not None:
        numbers.append(str(dtmf_type))
        lines.append(f"a=rtpmap:{dtmf_type} telephone-event/8000")
        lines.append(f"a=fmtp:{dtmf_type} 0-15")
    lines += ["a=ptime:20", f"a={direction}"]
    return f"m=audio {ours.port} RTP/AVP {' '.join(numbers)}\r\n" + "".join(
        f"{line}\r\n" for line in lines
    )


def _offered(audio: Media) -> list[tuple[int, Law]]:
    """The G.711 formats of a description, in its order."""
    return [
        (number, law)
        for number, codec in audio.rtpmap().items()
        for law in OURS
        if codec.rate == 8000 and codec.name.upper() == law.name
    ]


def _dtmf_type(audio: Media) -> int | None:
    for number, codec in audio.rtpmap().items():
        if codec.name.lower() == "telephone-event" and codec.rate == 8000:
            return number
    return None
