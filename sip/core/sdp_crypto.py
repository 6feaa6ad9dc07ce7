"""Keys of encrypted media in session descriptions: `a=crypto` lines (RFC 4568, SDES).

A line says with which key its sender encrypts what *it* sends. An offer may have several, for the
other side to choose from; an answer has one, with the tag of the chosen line and a key of its own.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from sip.core.sdp import Media, SessionDescription, parse
from sip.errors import ParseError


class Suite(Enum):
    """A way to encrypt and authenticate, by the name that SDP gives it."""

    AES_CM_128_HMAC_SHA1_80 = ("AES_CM_128_HMAC_SHA1_80", 16, 14)
    """RFC 4568 6.2: what every peer has."""
    AES_CM_128_HMAC_SHA1_32 = ("AES_CM_128_HMAC_SHA1_32", 16, 14)
    AES_256_CM_HMAC_SHA1_80 = ("AES_256_CM_HMAC_SHA1_80", 32, 14)
    """RFC 6188."""
    AES_256_CM_HMAC_SHA1_32 = ("AES_256_CM_HMAC_SHA1_32", 32, 14)
    AEAD_AES_128_GCM = ("AEAD_AES_128_GCM", 16, 12)
    """RFC 7714."""
    AEAD_AES_256_GCM = ("AEAD_AES_256_GCM", 32, 12)

    @property
    def key_size(self) -> int:
        """Octets of master key and salt together."""
        return self.value[1] + self.value[2]


#: Which is offered, and chosen of what is offered: first what every peer has tried.
PREFERENCE: Final = (
    Suite.AES_CM_128_HMAC_SHA1_80,
    Suite.AEAD_AES_256_GCM,
    Suite.AEAD_AES_128_GCM,
    Suite.AES_256_CM_HMAC_SHA1_80,
    Suite.AES_CM_128_HMAC_SHA1_32,
    Suite.AES_256_CM_HMAC_SHA1_32,
)

#: By name, and by the names under which some write RFC 6188's.
_SUITES: Final = {suite.value[0]: suite for suite in Suite} | {
    "AES_CM_256_HMAC_SHA1_80": Suite.AES_256_CM_HMAC_SHA1_80,
    "AES_CM_256_HMAC_SHA1_32": Suite.AES_256_CM_HMAC_SHA1_32,
}

#: RTP in the clear and encrypted, with and without feedback (RFC 3551, 3711, 4585, 5124).
CLEAR: Final = frozenset({"RTP/AVP", "RTP/AVPF"})
ENCRYPTED: Final = frozenset({"RTP/SAVP", "RTP/SAVPF"})


class Encryption(Enum):
    """Whether a party's media is encrypted."""

    __hash__ = object.__hash__  # members are singletons

    OFF = "off"
    """never: keys are left unread, and encrypted media is refused"""
    OPTIONAL = "optional"
    """where the party can"""
    REQUIRED = "required"
    """always: media in the clear is refused"""


@dataclass(frozen=True, slots=True)
class Crypto:
    """One usable line. `name` is its suite's as it was written, `key` master key and salt."""

    tag: int
    suite: Suite
    key: bytes = field(repr=False)
    name: str = field(default="", compare=False)

    @property
    def value(self) -> str:
        """What follows ``a=crypto:``."""
        key = binascii.b2a_base64(self.key, newline=False).decode()
        return f"{self.tag} {self.name or self.suite.value[0]} inline:{key}"

    def same_key(self, other: Crypto) -> bool:
        """Whether both encrypt alike; a line may change its tag."""
        return self.suite is other.suite and self.key == other.key

    def answered(self, key: bytes) -> Crypto:
        """The line that takes this one up, with a key of ours (RFC 4568 5.1.2)."""
        return replace(self, key=key)


_LINE: Final = re.compile(
    r"([0-9]{1,9}) +([A-Za-z0-9_]{1,64}) +(inline:[^\s;]{1,256}(?:;inline:[^\s;]{1,256}){0,15})"
    r"((?: +[!-~]{1,128}){0,16}) *"
)
_KEY: Final = re.compile(r"inline:([A-Za-z0-9+/]{8,128}={0,2})(?:\|(2\^[0-9]{1,2}|[0-9]{1,15}))?")
#: RFC 4568 6.3.7: at least so many packets are remembered against replay, which ours does.
_WINDOW: Final = re.compile(r"WSH=[0-9]{1,5}")
#: RFC 3711 9.2: no key lasts for more packets.
_LONGEST: Final = 2**48


def read_line(value: str) -> Crypto | None:
    """A line by what follows ``a=crypto:``; None for one that is malformed or that we cannot use.

    Unusable are unknown suites, keys with an MKI (RFC 3711 3.1: packets would carry it) or several
    keys (which need MKIs), and session parameters that change what is encrypted or how keys are
    derived. A parameter with a minus before it may be passed over (RFC 4568 6.3.8).
    """
    line = _LINE.fullmatch(value.strip())
    if line is None:
        return None
    tag, name, keys, parameters = line.groups()
    suite = _SUITES.get(name)
    inline = _KEY.fullmatch(keys)
    if suite is None or inline is None or not _lasts(inline[2]):
        return None
    if not all(one.startswith("-") or _WINDOW.fullmatch(one) for one in parameters.split()):
        return None
    key = _octets(inline[1])
    return Crypto(int(tag), suite, key, name) if len(key) == suite.key_size else None


def _lasts(lifetime: str | None) -> bool:
    """RFC 4568 6.1: how many packets a key lasts for, in decimal or as a power of two."""
    if lifetime is None:
        return True
    packets = 2 ** int(lifetime[2:]) if lifetime.startswith("2^") else int(lifetime)
    return 0 < packets <= _LONGEST


def _octets(text: str) -> bytes:
    """base64, whose padding some leave out."""
    text = text.rstrip("=")
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error:
        return b""


def lines_of(media: Media) -> tuple[Crypto, ...]:
    """The usable lines of one medium; of those with one tag, the first (RFC 4568 4.1)."""
    found: dict[int, Crypto] = {}
    for value in media.values("crypto"):
        line = read_line(value)
        if line is not None:
            found.setdefault(line.tag, line)
    return tuple(found.values())


def chosen(offered: Iterable[Crypto], suites: Sequence[Suite]) -> Crypto | None:
    """The line of an offer to take up: by our order of suites, then by that of the offer."""
    usable = [line for line in offered if line.suite in suites]
    return min(usable, key=lambda line: suites.index(line.suite), default=None)


def taken_up(offered: Iterable[Crypto], answer: Iterable[Crypto]) -> tuple[Crypto, Crypto] | None:
    """Our line and the peer's, where an answer takes one of ours up (RFC 4568 5.1.3)."""
    ours = {line.tag: line for line in offered}
    for theirs in answer:
        own = ours.get(theirs.tag)
        if own is not None and own.suite is theirs.suite:
            return own, theirs
    return None


def offered_keys(suites: Iterable[Suite], random_octets: Callable[[int], bytes]) -> list[Crypto]:
    """A line for each suite, in that order, each with a key of its own (RFC 4568 7.1.1)."""
    return [
        Crypto(tag, suite, random_octets(suite.key_size))
        for tag, suite in enumerate(suites, start=1)
    ]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The medium that a call uses, and the keys that it names; without any it is in the clear."""

    media: Media
    lines: tuple[Crypto, ...] = ()


def choose_audio(
    sdp: SessionDescription, encryption: Encryption, suites: Sequence[Suite] = PREFERENCE
) -> Chosen | None:
    """The audio of a description to be used under `encryption`; None where none may be.

    A phone to which encryption is optional may offer audio twice, or in the clear with keys beside
    it (RFC 8643); so encrypted audio goes before audio in the clear.
    """
    audio = [m for m in sdp.media if m.kind == "audio" and m.active]
    if encryption is not Encryption.OFF:
        for media in audio:
            if media.protocol.upper() in CLEAR | ENCRYPTED:
                lines = tuple(line for line in lines_of(media) if line.suite in suites)
                if lines:
                    return Chosen(media, lines)
    if encryption is not Encryption.REQUIRED:
        for media in audio:
            if media.protocol.upper() in CLEAR:
                return Chosen(media)
    return None


def why_not(
    sdp: SessionDescription, encryption: Encryption, suites: Sequence[Suite] = PREFERENCE
) -> tuple[int, str]:
    """Why `choose_audio` found none: the code of a Warning (RFC 3261 20.43), and words."""
    audio = [m for m in sdp.media if m.kind == "audio" and m.active]
    if not audio:
        return 304, "Media type not available: only audio is"
    if encryption is Encryption.OFF:
        return 302, "Incompatible transport protocol: only RTP/AVP is available"
    spoken = [m for m in audio if m.protocol.upper() in CLEAR | ENCRYPTED]
    if not spoken:
        return 302, f"Incompatible transport protocol: {audio[0].protocol[:32]}"
    if not any(m.values("crypto") for m in spoken):
        if any(m.protocol.upper() in ENCRYPTED for m in spoken):
            return 302, "Encrypted audio without a=crypto: only SDES (RFC 4568) is available"
        return 302, "Encrypted audio is required here: RTP/SAVP with a=crypto (RFC 4568)"
    names = ", ".join(suite.value[0] for suite in suites)
    return 302, f"No usable a=crypto line, which is one without MKI of: {names}"


def is_encrypted(text: str, encryption: Encryption = Encryption.OPTIONAL) -> bool | None:
    """Whether a description's audio is encrypted, as `encryption` has us read it.

    None where it has no audio that could be.
    """
    if encryption is Encryption.OFF:
        return False
    try:
        found = choose_audio(parse(text), encryption)
    except ParseError:
        return None
    return None if found is None else bool(found.lines)


def is_accepted(offer: str, answer: str, encryption: Encryption) -> bool:
    """Whether an answer's encryption is one of those offered, and allowed by `encryption`.

    What else is in it is for others to judge.
    """
    if encryption is Encryption.OFF and "SAVP" not in answer:
        return True  # as nearly all are
    try:
        offered, answered = parse(offer), parse(answer)
    except ParseError:
        return True
    if answered.audio is None or offered.audio is None:
        return True
    used = choose_audio(answered, encryption)
    if used is None:
        return False
    return not used.lines or taken_up(lines_of(offered.audio), used.lines) is not None
