"""Bencode, the wire form of the NG control protocol (and of BitTorrent, BEP 3).

Integers, byte strings, lists and dictionaries. Strings are text here, in which `surrogateescape`
stands for bytes outside UTF-8: an SDP may have some.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

from sip.errors import Fault, SipError

#: What `decode` returns.
Decoded: TypeAlias = "int | str | list[Decoded] | dict[str, Decoded]"

#: What `encode` takes.
Encodable: TypeAlias = "int | str | Sequence[Encodable] | Mapping[str, Encodable]"

#: Deeper nesting than any NG message has; keeps hostile input from exhausting the stack.
MAX_DEPTH = 16

#: More digits than any length or counter needs (2**63 has 19).
MAX_DIGITS = 20


class BencodeError(SipError, ValueError):
    """The bytes are not one complete bencoded value."""

    fault = Fault.ENGINE


def encode(value: Encodable) -> bytes:
    """One value as bytes. Keys stay in their order: no NG engine asks for BEP 3's sorting."""
    parts: list[str] = []
    _encode(value, parts)
    return "".join(parts).encode("utf-8", "surrogateescape")


def _encode(value: Encodable, parts: list[str]) -> None:
    """Adds the value as text."""
    if isinstance(value, str):
        parts.append(_text(value))
    elif isinstance(value, int):
        parts.append(f"i{value:d}e")
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


#: The words of NG, the same in every message.
_key = lru_cache(maxsize=1024)(_text)


def decode(data: bytes) -> Decoded:
    """The one value that `data` holds, to its last byte; `BencodeError` otherwise."""
    value, end = _decode(data, 0, 0)
    if end != len(data):
        raise BencodeError(f"{len(data) - end} bytes after the value")
    return value


def _decode(data: bytes, at: int, depth: int) -> tuple[Decoded, int]:
    if depth > MAX_DEPTH:
        raise BencodeError("nested too deeply")
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.find(b"e", at, at + MAX_DIGITS + 3)
        if end < 0:
            raise BencodeError("unterminated integer")
        return _integer(data[at + 1 : end]), end + 1
    if kind == b"l":
        items: list[Decoded] = []
        at += 1
        while data[at : at + 1] != b"e":
            item, at = _decode(data, at, depth + 1)
            items.append(item)
        return items, at + 1
    if kind == b"d":
        entries: dict[str, Decoded] = {}
        at += 1
        while data[at : at + 1] != b"e":
            key, at = _string(data, at)
            value, at = _decode(data, at, depth + 1)
            entries[key] = value
        return entries, at + 1
    return _string(data, at)


def _string(data: bytes, at: int) -> tuple[str, int]:
    colon = data.find(b":", at, at + MAX_DIGITS + 1)
    digits = data[at:colon] if colon > at else b""
    if not digits.isdigit():
        raise BencodeError("string, integer, list or dictionary expected")
    start = colon + 1
    end = start + int(digits)
    if end > len(data):
        raise BencodeError("string is cut short")
    return data[start:end].decode("utf-8", "surrogateescape"), end


def _integer(digits: bytes) -> int:
    if not digits.removeprefix(b"-").isdigit():
        raise BencodeError("not an integer")
    return int(digits)
