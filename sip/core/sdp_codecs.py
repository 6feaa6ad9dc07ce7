"""Which codecs each party is offered and answered, and whether one is made of the other.

RFC 3264 5 and 6. What two parties both have passes as it is, whatever better codec one of them
has: it costs nothing and loses nothing. Only where they have no codec in common is one of ours
put in (`OURS`), and what they say is converted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from sip.core.sdp import STATIC_CODECS, Media
from sip.core.sdp_lines import Attribute, Codec
from sip.errors import Fault, SipError

#: What can be converted into each other, by the names of `name_of`.
OURS: Final = ("PCMU", "PCMA", "G722", "OPUS")

#: Formats that carry no speech, in capitals.
TELEPHONE_EVENT: Final = "TELEPHONE-EVENT"
COMFORT_NOISE: Final = "CN"
BESIDE_SPEECH: Final = frozenset({TELEPHONE_EVENT, COMFORT_NOISE, "RED"})

#: The laws of G.711, which every telephone has.
_G711: Final = ("PCMU", "PCMA")

#: How ours are written (RFC 3551 6, RFC 7587 7).
_WRITTEN: Final[Mapping[str, Codec]] = {
    "PCMU": Codec("PCMU", 8000),
    "PCMA": Codec("PCMA", 8000),
    "G722": Codec("G722", 8000),
    "OPUS": Codec("opus", 48000, 2),
}
_NUMBERS: Final = {codec.name: number for number, codec in STATIC_CODECS.items()}

#: What we say of Opus that we make and take: mono, of no more than 8 kHz of audio (RFC 7587 7.1).
OPUS_FMTP: Final = "useinbandfec=1;maxplaybackrate=16000;stereo=0;sprop-stereo=0"

#: The first audio of a description's text: port, formats, and the lines that are its own.
AUDIO: Final = re.compile(
    r"^m=audio ([0-9]{1,5})(?:/[0-9]{1,5})? [^ \r\n]++ ([^\r\n]*+)((?:\r?\n(?!m=)[^\r\n]*+)*+)",
    re.M,
)
_RTPMAP_LINES: Final = re.compile(r"^a=rtpmap:([^\r\n]++)", re.M)

#: Attributes whose value begins with a payload type.
_NUMBERED: Final = frozenset({"rtpmap", "fmtp", "rtcp-fb"})
_DYNAMIC: Final = (*range(96, 128), *range(35, 64))
_KEYS_FMTP: Final = "0-16"
#: A payload type that stands for nothing known; no codec's name has a space.
_UNKNOWN: Final = "type "


class NoCodecError(SipError):
    """What was offered or answered can neither pass nor be converted; the text says why."""

    fault = Fault.PEER


class Wanted(NamedTuple):
    """What becomes of an offer's codecs on the way to who answers it; names as `name_of`.

    - `strip`: taken out; their sender may not use them.
    - `mask`: not offered on, but their sender may use them, as we convert.
    - `first`: come first, in this order.
    - `convert`: offered as well, behind what passes; we convert them.
    """

    strip: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    convert: tuple[str, ...] = ()


#: The offer goes on as it came.
AS_IT_CAME: Final = Wanted()


def name_of(codec: Codec) -> str:
    """A codec's name in capitals, as SDP compares it (RFC 8866 6.6)."""
    return codec.name.upper()


def parameters(fmtp: str | None) -> dict[str, str]:
    """Format parameters of the form ``a=1;b=2``, their names in small letters."""
    read: dict[str, str] = {}
    for part in (fmtp or "").split(";"):
        name, _, value = part.partition("=")
        if name.strip():
            read[name.strip().lower()] = value.strip()
    return read


def speech_of(media: Media) -> list[str]:
    """The codecs for speech that a medium names, in capitals, each once, in its order."""
    names = [name_of(codec) for codec in _formats(media).values()]
    return list(dict.fromkeys(name for name in names if name not in BESIDE_SPEECH))


class Codecs(NamedTuple):
    """What a party's trunk may use, by name; none: what comes.

    `ordered` says that it is offered in the order of the names, else in the offerer's.
    """

    names: tuple[str, ...] = ()
    ordered: bool = True


#: What comes.
ANY: Final = Codecs()


def wanted(sdp: str, sender: Codecs, receiver: Codecs) -> Wanted:
    """`wanted_of` the audio of an offer's text, which is looked at and not parsed: every call asks.

    An offer without audio is as it came: others judge it.
    """
    for port, formats, lines in AUDIO.findall(sdp):
        if port.strip("0"):
            maps = "\n".join(_RTPMAP_LINES.findall(lines))
            return _remembered(formats, maps, sender, receiver)
    return AS_IT_CAME


@lru_cache(maxsize=512)
def _remembered(formats: str, maps: str, sender: Codecs, receiver: Codecs) -> Wanted:
    attributes = tuple([("rtpmap", value) for value in maps.split("\n") if value])
    media = Media("audio", 9, "RTP/AVP", tuple(formats.split()), attributes=attributes)
    return wanted_of(media, sender, receiver)


def wanted_of(offer: Media, sender: Codecs = ANY, receiver: Codecs = ANY) -> Wanted:
    """What becomes of `offer`, from a party with the codecs `sender` to one with `receiver`.

    Where they share codecs, those are offered and nothing else. A receiver that takes what comes is
    offered G.711 as well where the offer has none. Raises NoCodecError.
    """
    usable, taken = _capitals(sender.names), _capitals(receiver.names)
    offered = speech_of(offer)
    allowed = [name for name in offered if not usable or name in usable]
    strip = tuple([name for name in offered if name not in allowed])
    ours = any(name in OURS for name in allowed)
    if not allowed:
        raise NoCodecError(_sentence(offered, usable))
    if not taken:
        bare = ours and not any(name in _G711 for name in allowed)
        return Wanted(strip, convert=_G711 if bare else ())
    shared = [name for name in taken if name in allowed]
    masked = tuple([name for name in allowed if name not in shared])
    if shared:
        kept = [name for name in allowed if name in shared]
        return Wanted(
            strip, masked, () if kept == shared or not receiver.ordered else tuple(shared)
        )
    made = tuple([name for name in taken if name in OURS])
    if not (ours and made):
        raise NoCodecError(_sentence(allowed, taken))
    return Wanted(strip, masked, convert=made)


def offered(offer: Media, wish: Wanted, packet_ms: int | None = None) -> Media:
    """The medium that the receiver of `offer` is told, with a packet time if there is one."""
    if wish == AS_IT_CAME:
        return _timed(offer, packet_ms)
    formats = _formats(offer)
    gone = {*wish.strip, *wish.mask}
    kept = {number: codec for number, codec in formats.items() if name_of(codec) not in gone}
    speech = {n: codec for n, codec in kept.items() if name_of(codec) not in BESIDE_SPEECH}
    ranks = {name: rank for rank, name in enumerate(wish.first)}
    told = dict(sorted(speech.items(), key=lambda item: ranks.get(name_of(item[1]), len(ranks))))
    present = {name_of(codec) for codec in told.values()}
    taken = set(formats)
    for name in wish.convert:
        if name not in present:
            _add(told, _WRITTEN[name], taken)
    _add_beside(told, formats, taken)
    return _timed(_rewritten(offer, told, offer), packet_ms)


def answered(
    offer: Media, answer: Media, wish: Wanted = AS_IT_CAME, packet_ms: int | None = None
) -> Media:
    """The medium that answers `offer`, where the other side took up `answer` of what it was told.

    `answer` itself where both have all of its codecs, else without what only the other side has;
    and where they have none in common, what we make of it. Raises NoCodecError.
    """
    theirs, formats = _formats(offer), _formats(answer)
    allowed = {_key(codec) for codec in theirs.values() if name_of(codec) not in wish.strip}
    shared = {number: codec for number, codec in formats.items() if _key(codec) in allowed}
    if any(name_of(codec) not in BESIDE_SPEECH for codec in shared.values()):
        if len(shared) == len(formats):
            return _timed(answer, packet_ms)
        return _timed(_rewritten(answer, shared, answer), packet_ms)
    ours = [name for name in speech_of(offer) if name in OURS and name not in wish.strip]
    taken_up = speech_of(answer)
    if not ours or not any(name in OURS for name in taken_up):
        raise NoCodecError(_sentence(taken_up, speech_of(offer)))
    chosen = [ours[0], *(n for n in ours[1:] if ours[0] in _G711 and n in _G711)]
    told = {number: codec for number, codec in theirs.items() if name_of(codec) in chosen}
    _add_beside(told, theirs, set(theirs), answer)
    return _timed(_rewritten(answer, told, offer), packet_ms)


def packet_ms_of(media: Media) -> int:
    """The packet time that a party wants to be sent: its ptime within its maxptime, else 20 ms."""
    longest = media.attribute("maxptime") or ""
    limit = int(longest) if longest.isascii() and longest.isdigit() and len(longest) < 4 else 0
    wished = media.ptime or 20
    return min(max(min(wished, limit) if limit else wished, 10), 60)


# --- parts -------------------------------------------------------------------------------------


def _capitals(names: Iterable[str]) -> tuple[str, ...]:
    return tuple([name.upper() for name in names])


def _sentence(offered: Sequence[str], taken: Sequence[str]) -> str:
    told = ", ".join(offered) or "no codec"
    return f"only {told} offered; {', '.join(taken or OURS)} can be taken"


def _key(codec: Codec) -> tuple[str, int]:
    """By what codecs are compared: devices leave out Opus's channels."""
    return name_of(codec), codec.rate


def _formats(media: Media) -> dict[int, Codec]:
    """Each payload type with its codec, also those that stand for nothing known."""
    known = media.rtpmap()
    numbers = [int(text) for text in media.formats if text.isascii() and text.isdigit()]
    return {n: known.get(n) or Codec(f"{_UNKNOWN}{n}", 8000) for n in numbers if n < 128}


def _add(told: dict[int, Codec], codec: Codec, taken: set[int]) -> None:
    """A codec under its static number, or one that the description does not use."""
    static = _NUMBERS.get(codec.name)
    free = (number for number in _DYNAMIC if number not in taken)
    number = static if static is not None and static not in taken else next(free, None)
    if number is not None:
        told[number] = codec
        taken.add(number)


def _add_beside(
    told: dict[int, Codec],
    formats: Mapping[int, Codec],
    taken: set[int],
    answer: Media | None = None,
) -> None:
    """Keys for each clock in use (RFC 4733 2.5.1.1) and comfort noise, of those that were offered.

    With an `answer`, that is of who was asked: keys only where it takes them.
    """
    clocks = list(dict.fromkeys(codec.rate for codec in told.values()))
    events = {n: codec for n, codec in formats.items() if name_of(codec) == TELEPHONE_EVENT}
    if answer is not None and not any(
        name_of(codec) == TELEPHONE_EVENT for codec in _formats(answer).values()
    ):
        events = {}
    for clock in clocks:
        fitting = {number: codec for number, codec in events.items() if codec.rate == clock}
        if fitting:
            told |= fitting
        elif events and answer is None:
            _add(told, Codec("telephone-event", clock), taken)
    for number, codec in formats.items():
        name = name_of(codec)
        if name in BESIDE_SPEECH and name != TELEPHONE_EVENT and codec.rate in clocks:
            told[number] = codec


def _rewritten(media: Media, told: Mapping[int, Codec], source: Media) -> Media:
    """`media` with other formats; what is said of them is said as in `source`."""
    known = {**STATIC_CODECS, **_formats(source)}
    lines: list[Attribute] = []
    for number, codec in told.items():
        if not codec.name.startswith(_UNKNOWN):
            lines.append(("rtpmap", f"{number} {codec}"))
        if known.get(number) != codec:
            fmtp = _ours_fmtp(codec)
        elif source is not media and name_of(codec) == "OPUS":
            fmtp = OPUS_FMTP  # we answer: what the offerer said of itself is not ours to say
        else:
            fmtp = source.fmtp(number)
        if fmtp:
            lines.append(("fmtp", f"{number} {fmtp}"))
    others = [(name, value) for name, value in media.attributes if name not in _NUMBERED]
    feedback = [
        (name, value) for name, value in media.attributes
        if name == "rtcp-fb" and (value or "").partition(" ")[0] in {"*", *map(str, told)}
    ]  # fmt: skip
    formats = tuple(map(str, told))
    return media.replace(formats=formats, attributes=(*lines, *others, *feedback))


def _ours_fmtp(codec: Codec) -> str | None:
    name = name_of(codec)
    return {"OPUS": OPUS_FMTP, TELEPHONE_EVENT: _KEYS_FMTP}.get(name)


def _timed(media: Media, packet_ms: int | None) -> Media:
    """The medium with that packet time in place of what it says of one."""
    if packet_ms is None:
        return media
    kept = [item for item in media.attributes if item[0] not in ("ptime", "maxptime")]
    return media.replace(attributes=(*kept, ("ptime", str(packet_ms))))
