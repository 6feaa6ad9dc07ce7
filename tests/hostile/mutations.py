"""Damage to messages, the same for the same seed."""

import random
from collections.abc import Callable, Sequence

_SPECIALS = [
    *(b"\r\n", b"\r", b"\n", b"\0", b",", b'"', b"<", b">", b";", b"%", b":", b"=", b"@", b"\\"),
    *(
        b"\r\n ",
        b"\r\n\r\n",
        b"%00",
        b"\xff\xfe",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf0\x9f",
        b"[::",
    ),
]
_NUMBERS = [
    *(b"0", b"-1", b"00000000001", b"65536", b"4294967296", b"18446744073709551616"),
    *(b"1" * 40, b"9" * 400, b"1e9", b"0x10", "\u0663".encode()),
]

Damage = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def _flip(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    data[rng.randrange(len(data))] = rng.randrange(256)


def _truncate(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[rng.randrange(1, len(data) + 1) :]


def _cut(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.randint(1, 40)]


def _double(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data))
    data[at:at] = data[at : at + rng.randint(1, 60)] * rng.randint(1, 4)


def _special(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.choice(_SPECIALS)


def _splice(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    other, at = rng.choice(others), rng.randrange(len(data) + 1)
    start = rng.randrange(len(other))
    data[at:at] = other[start : start + rng.randint(1, 200)]


def _number(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Another number in place of one."""
    digits = [at for at in range(len(data)) if 0x30 <= data[at] <= 0x39]
    if digits:
        start = end = rng.choice(digits)
        while end < len(data) and 0x30 <= data[end] <= 0x39:
            end += 1
        data[start:end] = rng.choice(_NUMBERS)


def _long(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = bytes([rng.choice(b'Aa0;,"<( \xff')]) * rng.choice([100, 1000, 9000, 40000])


def _lines(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    """Header lines in another order, twice, gone, or from another message."""
    head, end, body = bytes(data).partition(b"\r\n\r\n")
    start, *lines = head.split(b"\r\n")
    if not lines:
        return
    at = rng.randrange(len(lines))
    match rng.randrange(5):
        case 0:
            rng.shuffle(lines)
        case 1:
            lines.insert(rng.randrange(len(lines) + 1), lines[at])
        case 2:
            lines[at : at + 1] = [lines[at]] * rng.choice([3, 30, 150])
        case 3:
            del lines[at]
        case 4:
            foreign = rng.choice(others).partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
            lines[at] = rng.choice(foreign or [b""])
    data[:] = b"\r\n".join([start, *lines]) + end + body


_DAMAGES: list[Damage] = [
    *(_flip, _overwrite, _truncate, _cut, _double, _special, _special),
    *(_splice, _number, _number, _long, _lines, _lines, _lines),
]
#: What a datagram holds at most, over IPv4.
_MAX = 65507


def damaged(rng: random.Random, message: bytes, others: Sequence[bytes]) -> bytes:
    """`message` after one to four kinds of damage; `others` are what foreign parts come from."""
    data = bytearray(message)
    for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 4])):
        rng.choice(_DAMAGES)(rng, data, others)
        if not data:
            data += b"x"
    return bytes(data[:_MAX])
