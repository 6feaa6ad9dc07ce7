"""The NG keys of an offer that ask for codecs and packet times, as rtpengine has them.

`codec` is a dictionary of lists of names: `strip`, `mask`, `offer` and `transcode`; `ptime` is the
packet time in ms of who gets the offer, `ptime-reverse` of who made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from sip.core.sdp import Media
from sip.core.sdp_codecs import AS_IT_CAME, OURS, Wanted, offered
from sip.media.ng.bencode import Decoded
from sip.media.plane import MediaError

#: Packet times that audio is packed in, in ms.
PACKET_MS: Final = (10, 20, 30, 40, 60)

_KEYS: Final = frozenset({"codec", "ptime", "ptime-reverse"})
_MAX_NAMES: Final = 64


class Asked(NamedTuple):
    """What the client asks for with an offer."""

    wanted: Wanted = AS_IT_CAME
    sender_ms: int | None = None
    receiver_ms: int | None = None

    def told(self, offer: Media | None) -> Media | None:
        """The audio that goes on in place of `offer`; None where that does."""
        if offer is None or (self.wanted == AS_IT_CAME and self.receiver_ms is None):
            return None
        return offered(offer, self.wanted, self.receiver_ms)


#: What nearly every client asks for.
_NOTHING: Final = Asked()


def read(keys: Mapping[str, Decoded]) -> Asked:
    """What a request asks for. Raises `MediaError` refused."""
    if _KEYS.isdisjoint(keys):
        return _NOTHING
    codec = keys.get("codec", {})
    if not isinstance(codec, Mapping):
        raise MediaError("refused", "key 'codec' is not a dictionary")
    convert = _names(codec, "transcode")
    unknown = [name for name in convert if name not in OURS]
    if unknown:
        raise MediaError("unsupported", f"{', '.join(unknown)} cannot be made of another codec")
    wanted = Wanted(_names(codec, "strip"), _names(codec, "mask"), _names(codec, "offer"), convert)
    return Asked(wanted, _packet_ms(keys, "ptime-reverse"), _packet_ms(keys, "ptime"))


def _names(codec: Mapping[str, Decoded], key: str) -> tuple[str, ...]:
    names = codec.get(key, [])
    if not isinstance(names, list) or len(names) > _MAX_NAMES:
        raise MediaError("refused", f"codec {key!r} is not a list of names")
    if not all(isinstance(name, str) for name in names):
        raise MediaError("refused", f"codec {key!r} is not a list of names")
    return tuple([str(name).upper() for name in names])


def _packet_ms(keys: Mapping[str, Decoded], key: str) -> int | None:
    value = keys.get(key)
    if value is None:
        return None
    if value not in PACKET_MS:
        raise MediaError("refused", f"key {key!r} is none of {PACKET_MS}")
    return int(str(value))
