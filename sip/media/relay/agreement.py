"""What one party may send another, and what becomes of it on the way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from sip.core.sdp_codecs import BESIDE_SPEECH, TELEPHONE_EVENT
from sip.core.sdp_lines import Codec
from sip.media.relay.rewrite import Codecs
from sip.media.relay.ways import Way, untouched, ways


class Agreement(NamedTuple):
    """What a party may send: codecs and clock rates by payload type, and keys' types.

    `ways` says what becomes of each; None where everything passes as it is.
    """

    codecs: Mapping[int, Codec] = MappingProxyType({})
    rates_hz: Mapping[int, int] = MappingProxyType({})
    key_types: Collection[int] = ()
    ways: Mapping[int, Way] | None = None


@lru_cache(maxsize=256)
def agree(own: Codecs, told: Codecs, heard: Codecs) -> Agreement:
    """What a party may send that describes itself by `own`, was told `told`, and is heard by one
    that takes `heard`. It is remembered: most calls have what others had.

    RFC 3264 5.1 has each side send with the numbers that it was told, and an answer may number
    otherwise than its offer (6.1); some send with their own numbers all the same. So a type passes
    if its codec, or its number, is on both sides; and keys, which may cross in another form. With
    one side unknown yet, all of the other's pass.
    """
    if not heard:
        return _agreed(dict(own))
    if not own:  # it has not said anything yet, and is not taken at more than what was offered
        passing = {n: w.source for n, w in ways(dict(told), heard).items() if not w.converts}
        return _agreed(passing or dict(heard))
    found = ways(dict(told), heard)
    keys = {n: codec for n, codec in (*own, *told) if codec.name.upper() == TELEPHONE_EVENT}
    if untouched(found):
        return _agreed(keys | _shared(own, heard))
    theirs = {number: codec for number, codec in own if number not in dict(told)}
    found |= ways(theirs, heard)
    return _agreed(keys | {number: way.source for number, way in found.items()}, found)


@lru_cache(maxsize=256)
def fits(answer: Codecs, offer: Codecs, strip: tuple[str, ...]) -> bool:
    """Whether an answer of these codecs can answer that offer, less `strip`, as it is.

    Nearly all can. False where `sip.core.sdp_codecs.answered` must be asked.
    """
    offered = {(codec.name, codec.rate) for _, codec in offer if codec.name not in strip}
    named = {(codec.name, codec.rate) for _, codec in answer}
    speech = any(name not in BESIDE_SPEECH for name, _ in named)
    return speech and named <= offered and all(name for name, _ in named)


def _shared(one: Codecs, other: Codecs) -> dict[int, Codec]:
    """What both have, by codec or by number."""
    numbers = {number for number, _ in one} & {number for number, _ in other}
    named = {codec for _, codec in one if codec.name} & {codec for _, codec in other}
    return {number: codec for number, codec in one + other if number in numbers or codec in named}


def _agreed(codecs: dict[int, Codec], found: Mapping[int, Way] | None = None) -> Agreement:
    return Agreement(
        MappingProxyType(codecs),
        MappingProxyType({number: codec.rate for number, codec in codecs.items()}),
        frozenset(n for n, codec in codecs.items() if codec.name.upper() == TELEPHONE_EVENT),
        found,
    )
