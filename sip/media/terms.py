"""How each party of a call wants its media, as its trunk says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple


class Signalling(NamedTuple):
    """Where a party's descriptions come from.

    `direct` is true if that is, by UDP, the very address and port that its Contact names: no NAT
    rewrites its ports.
    """

    host: str
    direct: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaTerms:
    """What one party's descriptions may say, and what its audio must be like."""


#: Whatever it says, as it says it.
ANY_TERMS: Final = MediaTerms()


class MediaSide(NamedTuple):
    """What a media session must know of a party, whether it speaks or is spoken to.

    `address` is our host as the party sees it, `source` where its descriptions come from.
    """

    address: str
    source: Signalling
    terms: MediaTerms = ANY_TERMS
