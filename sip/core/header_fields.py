"""The ordered, multi-valued header fields of one message (RFC 3261 7.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from sip.core.header_values import TOKEN, canonical, split_commas, wire_name
from sip.core.memo import memo
from sip.core.visible import visible
from sip.errors import ParseError

#: A name as it goes on the wire, and its lines.
Field = tuple[str, list[str]]


class Fields(dict[str, Field]):
    """Fields by name, which is full and in lower case; asking for one that is missing raises
    ParseError(400)."""

    __slots__ = ()

    def __missing__(self, name: str) -> Field:
        raise ParseError(f"Missing {wire_name(name)}")


class Headers:
    """Header fields in order; a name may have several lines, whose values stay as received.

    Names may be given in full or compact form and in any case; the lower-case full form is the
    fastest. Lines of one name are kept together in the place of the first, which RFC 3261 7.3.1
    declares to mean the same. A value with CR or LF, or a name that breaks the grammar of a
    token, raises ValueError: nothing that came from elsewhere can add a line. No value holds any
    other control character either.
    """

    __slots__ = ("fields",)

    def __init__(self, lines: Iterable[tuple[str, str]] = ()) -> None:
        self.fields = Fields()
        if lines:
            self.extend(lines)

    def get(self, name: str) -> str | None:
        """The first line of that name, None when there is none."""
        if name in self.fields:
            return self.fields[name][1][0]
        field = self.fields.get(canonical(name))
        return field[1][0] if field else None

    def get_all(self, name: str) -> list[str]:
        """Every line of that name, as received."""
        field = self._find(name)
        return list(field[1]) if field else []

    def tokens(self, name: str) -> frozenset[str]:
        """The tokens of a list such as Supported or Allow, in lower case; other text is left out.

        These fields only say what a peer can do: a damaged one says nothing.
        """
        if name not in self.fields:
            return _NO_TOKENS
        return _NO_TOKENS.union(*map(_tokens, self.fields[name][1]))

    def values(self, name: str) -> list[str]:
        """Every element of a comma-separated field, over all its lines."""
        field = self._find(name)
        return [item for line in field[1] for item in split_commas(line)] if field else []

    def add(self, name: str, value: str) -> None:
        """A further line, after those of the same name."""
        self.extend(((name, value),))

    def extend(self, lines: Iterable[tuple[str, str]]) -> None:
        """Further lines, each after those of the same name."""
        fields = self.fields
        for name, value in lines:
            if not value.isprintable():
                value = one_line(value)
            key, shown = field_name(name)
            if key in fields:
                fields[key][1].append(value)
            else:
                fields[key] = (shown, [value])

    def prepend(self, name: str, value: str) -> None:
        """A further line, before those of the same name; a new name comes first of all."""
        line = one_line(value)
        key, shown = field_name(name)
        if key not in self.fields:
            self.fields = Fields({key: (shown, []), **self.fields})
        self.fields[key][1].insert(0, line)

    def set(self, name: str, value: str) -> None:
        """This line in place of all of that name."""
        line = one_line(value)
        self._lines(name)[:] = [line]

    def replace_first(self, name: str, value: str) -> None:
        """This line in place of the first of that name; added when there is none."""
        line = one_line(value)
        self._lines(name)[:1] = [line]

    def remove(self, name: str) -> None:
        """Drops every line of that name, if there is one."""
        self.fields.pop(canonical(name), None)

    def copy(self) -> Headers:
        twin = Headers()
        twin.fields = Fields(
            {key: (shown, lines[:]) for key, (shown, lines) in self.fields.items()}
        )
        return twin

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """(name as on the wire, line) of every line."""
        return ((shown, line) for shown, lines in self.fields.values() for line in lines)

    def __repr__(self) -> str:
        return f"Headers({list(self)!r})"

    def _lines(self, name: str) -> list[str]:
        """The lines of that name, to be changed; none yet for a new one."""
        key, shown = field_name(name)
        return self.fields.setdefault(key, (shown, []))[1]

    def _find(self, name: str) -> Field | None:
        key = name if name in self.fields else canonical(name)
        return self.fields.get(key)


_LONGEST_NAME: Final = 128
_NO_TOKENS: Final[frozenset[str]] = frozenset()
_TWO_LINES: Final = "a header value cannot hold a line break"


@lru_cache(maxsize=4096)
def field_name(name: str) -> tuple[str, str]:
    """The key of a header name and its spelling for the wire: as given, if with any capital."""
    given = name.rstrip(" \t")
    if len(name) > _LONGEST_NAME or not TOKEN.fullmatch(given):
        raise ValueError("malformed header name")
    key = canonical(given)
    as_given = len(given) == len(key) and given != key
    return key, given if as_given else wire_name(key)


@memo
def _tokens(line: str) -> frozenset[str]:
    return frozenset(token.strip().lower() for token in line.split(",") if token.strip())


def one_line(value: str) -> str:
    """`value` as one line may have it; raises ValueError for a line break."""
    if "\r" in value or "\n" in value:
        raise ValueError(_TWO_LINES)
    return visible(value)
