"""The lines of a session or medium after its first: `c=`, `a=`, and the others (RFC 8866 5)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

#: `a=name:value`, or `a=name` with None.
Attribute = tuple[str, str | None]
#: The letter of a line and what follows its equals sign.
Line = tuple[str, str]

#: Longest lines of a session or medium, in characters, that are remembered once read.
MAX_REMEMBERED: Final = 512


class Codec(NamedTuple):
    """What a payload type stands for. `rate` is the RTP clock in Hz: 8000 for G.722 (RFC 3551)."""

    name: str
    rate: int
    channels: int = 1

    def __str__(self) -> str:
        return f"{self.name}/{self.rate}" + (f"/{self.channels}" if self.channels > 1 else "")


@dataclass(frozen=True, slots=True)
class Connection:
    """`c=`: where media is to be sent. `address_type` is IP4 or IP6."""

    address_type: str
    address: str

    @property
    def unspecified(self) -> bool:
        """Whether this is the all-zero address, the older way of putting on hold (RFC 3264 8.4)."""
        return self.address in ("0.0.0.0", "::")

    def __str__(self) -> str:
        return f"IN {self.address_type} {self.address}"


def _comes_late(line: Line) -> bool:
    """Whether a line stands after the connection: all but i, u, e and p do (RFC 8866 5)."""
    return line[0] not in "iuep"


def body_lines(
    connection: Connection | None, other: Iterable[Line], attributes: Iterable[Attribute]
) -> list[str]:
    """What follows the first lines of a session or media, in the order of RFC 8866 5."""
    lines: list[str] = []
    late: list[str] = []
    for line in other:
        (late if _comes_late(line) else lines).append(f"{line[0]}={line[1]}")
    if connection is not None:
        lines.append(f"c={connection}")
    lines += late
    lines += [f"a={key}" if value is None else f"a={key}:{value}" for key, value in attributes]
    return lines


_CONNECTION: Final = re.compile(
    r" *+IN ++(IP4|IP6) ++([A-Za-z0-9.:%_-]++(?:/[0-9]{1,5}){0,2}) *+", re.IGNORECASE
)
_RTPMAP: Final = re.compile(
    r" *+([0-9]{1,3})\s++([^\s/]++)(?:/([0-9]{1,9}))?+(?:/([0-9]{1,3}))?+/?+\s*+"
)
#: Codecs at another RTP clock than 8000 Hz, for an rtpmap that leaves it out (RFC 3551, RFC 7587).
_USUAL_RATE: Final = {"opus": 48000, "l16": 44100}


def read_body(
    text: str,
) -> tuple[Connection | None, tuple[Attribute, ...], tuple[Line, ...]]:
    """The connection, the attributes, and the other lines in the order of writing.

    `text` begins with the end of the line before, or is empty. A line that cannot be read is left
    out: nobody may need it, and who does finds nothing. A peer says the same of its codecs in every
    call, so short texts are remembered. Long ones hold what is a call's own (candidates), and keys
    are nobody's to remember.
    """
    short = len(text) <= MAX_REMEMBERED and "crypto:" not in text and "key-mgmt:" not in text
    return remembered(text) if short else _read(text)


def read_rtpmap(value: str) -> tuple[int, Codec] | None:
    """The payload type and its codec (RFC 8866 6.6); None for one that cannot be read.

    Devices leave out the clock rate, which is the codec's usual one then, or end it with a slash.
    """
    match = _RTPMAP.fullmatch(value)
    if match is None:
        return None
    number, name, rate, channels = match.groups()
    usual = _USUAL_RATE.get(name.lower(), 8000)
    return int(number), Codec(name, int(rate or usual), int(channels or 1))


def _read(text: str) -> tuple[Connection | None, tuple[Attribute, ...], tuple[Line, ...]]:
    connection: Connection | None = None
    attributes: list[Attribute] = []
    other: list[Line] = []
    for line in text.split("\n")[1:]:
        key, value = line[:1], line[2:]
        if line[1:2] != "=" or not key.isalpha() or _CONTROL.search(value):
            continue
        if key == "a":
            attribute = _read_attribute(value)
            if attribute is not None:
                attributes.append(attribute)
        elif key == "c":
            connection = connection or _read_connection(value)
        else:
            other.append((key, value))
    other.sort(key=_comes_late)  # as it will be written
    return connection, tuple(attributes), tuple(other)


_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
#: `read_body` of texts that peers say again and again.
remembered: Final = lru_cache(maxsize=512)(_read)


def _read_connection(value: str) -> Connection | None:
    match = _CONNECTION.fullmatch(value)
    return None if match is None else Connection(match[1].upper(), match[2])


def _read_attribute(text: str) -> Attribute | None:
    """An rtpmap that devices write crookedly is put straight, as the other side may be strict."""
    name, colon, value = text.partition(":")
    name = name.strip()
    if name != "rtpmap":
        return (name, value if colon else None) if name else None
    read = read_rtpmap(value)
    if read is None:
        return None
    number, codec = read
    plain = value.strip()
    return name, plain if _PLAIN_RTPMAP.fullmatch(plain) else f"{number} {codec}"


_PLAIN_RTPMAP: Final = re.compile(r"[0-9]+ [^\s/]+/[0-9]+(?:/[0-9]+)?")
