"""The media of one call: which party is which to the media plane, and what each side was told.

Every B-leg gets a tag of its own, so that hunting over carriers leaves the A-leg's port alone: the
caller sees one answer, however many carriers were tried (RFC 3261 13.3.1.4 allows no second).
"""

import re

from sip.core.sdp import Attribute, Connection, SessionDescription
from sip.errors import ParseError
from sip.media.plane import MediaError, MediaPlane, MediaStats

A_TAG = "a"
_ONE_WAY = re.compile(r"^a=(?:sendonly|recvonly|inactive)\b", re.MULTILINE)


class CallMedia:
    """Offers and answers of one call, passed through the media plane. Raises MediaError."""

    def __init__(self, plane: MediaPlane, call_id: str) -> None:
        self._plane = plane
        self._call_id = call_id
        self._open = False
        self._attempts = 0
        #: the open or newest offer of each party: an answer must fit it
        self._offered: dict[str, str] = {}

    async def offer_to_b(self, a_sdp: str | None, *, address: str, source: str) -> tuple[str, str]:
        """The A-leg's description, ready for a new B-leg; answers (the B-leg's tag, SDP).

        Without one, because the A-leg waits for our offer, the B-leg is offered what every peer
        knows. `address` is ours as the B-leg's peer sees it; here and below, `source` is where the
        signalling that brought the description came from.
        """
        self._open = True
        self._attempts += 1
        sdp = await self._plane.offer(
            self._call_id,
            A_TAG,
            UNKNOWN if a_sdp is None else a_sdp,
            media_address=address,
            received_from=source,
        )
        if a_sdp is not None:
            self._offered[A_TAG] = a_sdp
        return f"b{self._attempts}", sdp if a_sdp is not None else sent_to(sdp, address)

    async def answer_to_a(self, b_tag: str, b_sdp: str, *, address: str, source: str) -> str:
        """A B-leg's answer (early or final), ready for the A-leg."""
        return await self.reanswer(A_TAG, b_tag, b_sdp, address=address, source=source)

    async def hold_a(self, a_sdp: str | None, *, address: str, source: str) -> str:
        """An answer for an A-leg that has nobody to talk to yet: the relay only listens."""
        b_tag, offered = await self.offer_to_b(a_sdp, address=address, source=source)
        return await self.answer_to_a(b_tag, silent_answer(offered), address=address, source=source)

    async def reoffer(
        self, offerer: str, answerer: str, sdp: str, *, address: str, source: str
    ) -> str:
        """A re-INVITE's offer from one side, ready for the other."""
        described = await self._plane.offer(
            self._call_id,
            offerer,
            sdp,
            to_tag=answerer,
            media_address=address,
            received_from=source,
        )
        self._offered[offerer] = sdp  # not one that was refused: no answer has to fit it
        return described

    async def reanswer(
        self, offerer: str, answerer: str, sdp: str, *, address: str, source: str
    ) -> str:
        """The answer to `reoffer`, ready for who offered: what it offered, in its directions."""
        answer = await self._plane.answer(
            self._call_id, offerer, answerer, sdp, media_address=address, received_from=source
        )
        offer = self._offered.get(offerer)
        if offer is None:
            return answer
        if offer.count("\nm=") == answer.count("\nm=") and not _ONE_WAY.search(offer):
            return answer
        described = _read(answer)
        return described.answering(_read(offer)).to_string()

    async def close(self) -> MediaStats | None:
        """Give the ports back; the final counters, or None if there never was media."""
        if not self._open:
            return None
        self._open = False
        return await self._plane.delete(self._call_id)


#: A party that has not said yet what it takes: G.711 and keys, at no address (RFC 3264 8.4).
UNKNOWN = "\r\n".join(
    [
        "v=0",
        "o=- 0 0 IN IP4 0.0.0.0",
        "s=-",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "m=audio 9 RTP/AVP 0 8 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-16",
        "a=ptime:20",
        "a=sendrecv",
        "",
    ]
)


def _read(sdp: str) -> SessionDescription:
    """An engine may take what we cannot read: the same as if it had refused it. MediaError."""
    try:
        return SessionDescription.parse(sdp)
    except ParseError as error:
        raise MediaError("bad-sdp", str(error)) from None


def sent_to(sdp: str, address: str) -> str:
    """`sdp` with `address` instead of the all-zeroes one, which the media plane keeps as a hold."""
    connection = Connection("IP6" if ":" in address else "IP4", address)
    described = _read(sdp)
    media = tuple(
        part.replace(connection=connection) if part.connection is not None else part
        for part in described.media
    )
    return described.replace(connection=connection, media=media).to_string()


def on_hold(sdp: str) -> bool:
    """Whether the sender of `sdp` does not want to hear: sendonly, inactive, or c=0.0.0.0."""
    description = _read(sdp)
    audio = description.audio
    if audio is None:
        return False
    connection = description.connection_of(audio)
    unspecified = connection is not None and connection.unspecified
    return unspecified or audio.direction in ("sendonly", "inactive")


def off_hold(sdp: str) -> str:
    """`sdp` with audio that goes both ways."""
    described = _read(sdp)
    directions = {"sendonly", "recvonly", "inactive", "sendrecv"}

    def kept(attributes: tuple[Attribute, ...]) -> tuple[Attribute, ...]:
        return tuple(attribute for attribute in attributes if attribute[0] not in directions)

    media = tuple(
        part.replace(attributes=(*kept(part.attributes), ("sendrecv", None)))
        if part is described.audio
        else part
        for part in described.media
    )
    return described.replace(attributes=kept(described.attributes), media=media).to_string()


def silent_answer(offer: str) -> str:
    """An answer that takes the first codec offered and names no address to send to (c=0.0.0.0).

    RFC 3264 8.4: such a party is on hold; it hears nothing and says nothing.
    """
    audio = _read(offer).audio
    formats = audio.formats if audio is not None else ["0"]
    codecs = audio.rtpmap() if audio is not None else {}
    lines = [
        "v=0",
        "o=- 0 0 IN IP4 0.0.0.0",
        "s=-",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        f"m=audio 9 RTP/AVP {formats[0]}",
    ]
    codec = codecs.get(int(formats[0])) if formats[0].isdigit() else None
    if codec is not None:
        lines.append(f"a=rtpmap:{formats[0]} {codec.name}/{codec.rate}")
    return "\r\n".join([*lines, "a=sendrecv", ""])


def same_session(left: str | None, right: str | None) -> bool:
    """Whether two descriptions differ in nothing but their origin line (RFC 3264 8)."""
    if left is None or right is None:
        return left is right
    return _without_origin(left) == _without_origin(right)


def _without_origin(sdp: str) -> list[str]:
    return [line for line in sdp.splitlines() if not line.startswith("o=")]
