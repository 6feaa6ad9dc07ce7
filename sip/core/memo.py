"""Remembers what a pure function made of a text: most header values of a call repeat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

#: Longest text, in characters, whose result is remembered: with the limit on entries this bounds
#: the memory that a hostile peer can occupy.
MAX_LENGTH: Final = 512
#: Most results remembered by one function.
MAX_ENTRIES: Final = 4096


class _Memo(dict[str, T]):
    """Results by text. A known text costs one look-up without any Python code: a call makes more
    than a hundred."""

    def __init__(self, function: Callable[[str], T]) -> None:
        self._function = function

    def __missing__(self, text: str) -> T:
        result = self._function(text)
        if len(text) <= MAX_LENGTH:
            if len(self) >= MAX_ENTRIES:
                self.clear()
            self[text] = result
        return result


def memo(function: Callable[[str], T]) -> Callable[[str], T]:
    """`function` with a memory of 4096 results. It must be pure; what it raises is not kept."""
    return _Memo(function).__getitem__
