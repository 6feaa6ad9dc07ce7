"""Bencode, the wire form of the NG control protocol (and of BitTorrent, BEP 3).

Integers, byte strings, lists and dictionaries. Dictionary keys are text here, as NG has only
such; strings come back as `bytes` because an SDP need not be UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

#: What `decode` returns.
Bencoded: TypeAlias = "int | bytes | list[Bencoded] | dict[str, Bencoded]"

#: What `encode` takes.
Encodable: TypeAlias = "int | str | bytes | Sequence[Encodable] | Mapping[str, Encodable]"

#: Deeper nesting than any NG message has; keeps hostile input from exhausting the stack.
MAX_DEPTH = 16

#: More digits than any length or counter needs (2**63 has 19).
MAX_DIGITS = 20


# What a value begins with, an integer whole; `e` ends a list or dictionary.
_TOKEN = re.compile(
    rb"(?P<size>[0-9]{1,%d}):|i(?P<integer>-?[0-9]{1,%d})e|(?P<opens>[dl])|(?P<ends>e)"
    % (MAX_DIGITS, MAX_DIGITS)
)


class BencodeError(ValueError):
    """The bytes are not one complete bencoded value."""


def encode(value: Encodable) -> bytes:
    """One value as bytes. Keys stay in their order: no NG engine asks for BEP 3's sorting."""
    parts: list[str] = []
    _encode(value, parts)
    return "".join(parts).encode("utf-8", "surrogateescape")


def _encode(value: Encodable, parts: list[str]) -> None:
    """Adds the value as text, in which `surrogateescape` stands for bytes that are no UTF-8."""
    if isinstance(value, str):
        parts.append(_text(value))
    elif isinstance(value, int):
        parts.append(f"i{value:d}e")
    elif isinstance(value, bytes):
        parts.append(f"{len(value)}:{value.decode('utf-8', 'surrogateescape')}")
    elif isinstance(value, (list, tuple, Sequence)):
        parts.append("l")
        for item in value:
            _encode(item, parts)
        parts.append("e")
    elif isinstance(value, (dict, Mapping)):
        parts.append("d")
        for key, item in value.items():
            parts.append(_key(key))
            _encode(item, parts)
        parts.append("e")
    else:
        raise TypeError(f"cannot bencode {type(value).__name__}")


def _text(text: str) -> str:
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
    return f"{size}:{text}"


# The words of NG, the same in every message.
_key = lru_cache(maxsize=1024)(_text)


def decode(data: bytes) -> Bencoded:
    """The one value that `data` holds, to its last byte; `BencodeError` otherwise."""
    items: list[Bencoded] = []  # of the innermost list or dictionary that is open
    around: list[tuple[bytes, list[Bencoded]]] = []  # its kind, and the items of those around it
    at = 0
    while True:
        token = _TOKEN.match(data, at)
        if token is None:
            raise BencodeError("string, integer, list or dictionary expected")
        kind, at = token.lastgroup, token.end()
        if kind == "size":
            start, at = at, at + int(token[1])
            if at > len(data):
                raise BencodeError("string is cut short")
            items.append(data[start:at])
        elif kind == "integer":
            items.append(int(token[2]))
        elif kind == "opens":
            if len(around) > MAX_DEPTH:
                raise BencodeError("nested too deeply")
            around.append((token[3], items))
            items = []
        elif around:
            opened, outer = around.pop()
            outer.append(_dictionary(items) if opened == b"d" else items)
            items = outer
        else:
            raise BencodeError("nothing to end")
        if not around:
            break
    if at != len(data):
        raise BencodeError(f"{len(data) - at} bytes after the value")
    return items[0]


def _dictionary(items: list[Bencoded]) -> dict[str, Bencoded]:
    """Keys and values, as they come in turn."""
    if len(items) % 2:
        raise BencodeError("key without a value")
    entries: dict[str, Bencoded] = {}
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, bytes):
            raise BencodeError("key that is no string")
        entries[key.decode("utf-8", "surrogateescape")] = value
    return entries


def decode_dict(data: bytes) -> dict[str, Bencoded]:
    """Like `decode`, for a message, which is always a dictionary."""
    value = decode(data)
    if not isinstance(value, dict):
        raise BencodeError("not a dictionary")
    return value
