"""What becomes of each payload type on the way from one party to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sip.core.sdp_codecs import COMFORT_NOISE, TELEPHONE_EVENT, name_of
from sip.core.sdp_lines import Codec
from sip.media.relay.codecs import CODERS, LAW_TO_LAW


class Way(NamedTuple):
    """What becomes of one payload type: `source` is what it stands for, `target` under
    `payload_type` what it is sent on as."""

    source: Codec
    target: Codec
    payload_type: int

    @property
    def converts(self) -> bool:
        """Whether its payload changes."""
        return name_of(self.source) != name_of(self.target)


def ways(sends: Mapping[int, Codec], heard: Sequence[tuple[int, Codec]]) -> dict[int, Way]:
    """What becomes of each payload type that a party may send, towards one that takes `heard`.

    What the receiver takes too passes, under its number for it; other speech becomes the first
    codec of ours that it takes, and so does comfort noise. The rest has no way.
    """
    numbers: dict[tuple[str, int], int] = {}
    for number, codec in heard:
        numbers.setdefault(_identity(number, codec), number)
    taken = dict(heard)
    made = next((number for number, codec in heard if name_of(codec) in CODERS), None)
    keys = next((number for number, codec in heard if name_of(codec) == TELEPHONE_EVENT), None)
    found: dict[int, Way] = {}
    for number, codec in sends.items():
        name, identity = name_of(codec), _identity(number, codec)
        same = taken.get(number)
        out = number if same and _identity(number, same) == identity else numbers.get(identity)
        if out is None and name == TELEPHONE_EVENT:
            out = keys
        elif out is None and (name in CODERS or name == COMFORT_NOISE):
            out = made
        if out is not None:
            found[number] = Way(codec, taken[out], out)
    return found


def _identity(number: int, codec: Codec) -> tuple[str, int]:
    """By what codecs are compared: one without a name is known by its number alone."""
    return (name_of(codec), codec.rate) if codec.name else ("", number)


def untouched(of: Mapping[int, Way]) -> bool:
    """Whether everything passes as it is."""
    return all(not way.converts and number == way.payload_type for number, way in of.items())


def one_to_one(of: Mapping[int, Way]) -> bool:
    """Whether every packet stays one: a `Relabelling` will do."""
    return all(
        way.source.rate == way.target.rate
        and (not way.converts or (name_of(way.source), name_of(way.target)) in LAW_TO_LAW)
        for way in of.values()
    )
