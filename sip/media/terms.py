"""How each party of a call wants its media, as its trunk says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

from sip.core.sdp_codecs import ANY, Codecs
from sip.core.sdp_crypto import Encryption


class Signalling(NamedTuple):
    """Where a party's descriptions come from.

    `direct` is true if that is, by UDP, the very address and port that its Contact names: no NAT
    rewrites its ports.
    """

    host: str
    direct: bool = False


class KeyForm(Enum):
    """How a party sends keys (DTMF) and takes them; the value is the word in a configuration."""

    AUTO = "auto"
    """events where it describes them, else INFO where it allows that, else tones"""
    EVENTS = "rfc4733"
    """RTP events, each made anew and clean for it; as AUTO where it does not describe them"""
    INFO = "info"
    """SIP INFO with application/dtmf-relay"""
    INFO_ALONE = "info-dtmf"
    """SIP INFO with application/dtmf, the key alone"""
    TONES = "inband"
    """tones in its audio"""

    @property
    def by_info(self) -> bool:
        """Whether keys cross by signalling."""
        return self in (KeyForm.INFO, KeyForm.INFO_ALONE)

    def settled(self, *, events: bool, info: bool) -> KeyForm:
        """The form itself, of a party that describes events, and allows INFO, or does not."""
        if self not in (KeyForm.AUTO, KeyForm.EVENTS):
            return self
        if events:
            return KeyForm.EVENTS
        return KeyForm.INFO if info else KeyForm.TONES


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldTerms:
    """What a party hears that its other side has put on hold, where that side sends nothing.

    Where `passed`, the hold is passed on as it was said: one in which nothing is sent stays so.
    Else the party is always told that it will hear something: `music`, or silence.
    """

    passed: bool = True
    music: Path | None = None


#: Holds are the two sides' own affair.
PASSED_HOLD: Final = HoldTerms()


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaTerms:
    """What one party's descriptions may say, and what its audio must be like.

    `dtmf` is the form of its keys; `takes_info` says whether it allows the method INFO.
    `encryption` is SRTP by keys in its descriptions (SDES). `codecs` are those that it may use,
    `packet_time_ms` is the length of the packets that it is sent and asked for; None: as the two
    sides agree. `t38` is whether it takes fax by T.38 (RFC 3362) in place of audio.
    """

    dtmf: KeyForm = KeyForm.AUTO
    takes_info: bool = False
    encryption: Encryption = Encryption.OFF
    codecs: Codecs = ANY
    packet_time_ms: int | None = None
    t38: bool = True

    hold: HoldTerms = PASSED_HOLD

    def encrypted(self, encryption: Encryption) -> MediaTerms:
        """The same with another encryption."""
        return self if encryption is self.encryption else replace(self, encryption=encryption)


#: Whatever it says, as it says it.
ANY_TERMS: Final = MediaTerms()


class MediaSide(NamedTuple):
    """What a media session must know of a party, whether it speaks or is spoken to.

    `address` is our host as the party sees it, `source` where its descriptions come from.
    """

    address: str
    source: Signalling
    terms: MediaTerms = ANY_TERMS

    def encrypted(self, encryption: Encryption) -> MediaSide:
        """The same with another encryption."""
        return self._replace(terms=self.terms.encrypted(encryption))
