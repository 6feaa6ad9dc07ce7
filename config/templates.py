"""Texts with places for what is known of a call: `gold {caller} {header.X-Plan|none}`.

`{caller}`, `{called}` and `{call_id}` are the call's; `{header.NAME}` is a header of its INVITE, by
a name whose case does not matter; `{time}`, `{date}`, `{weekday}` and `{hour}` are of the clock on
the wall. What stands behind a `|` counts where there is nothing. `{{` and `}}` are braces.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator

from config.values import text_of

_PART: Final = re.compile(
    r"\{\{|\}\}|\{(?P<name>[a-z_]+(\.[A-Za-z0-9-]+)?)(\|(?P<otherwise>[^{}]*))?\}|(?P<odd>[{}])"
)
#: What may stand in braces beside `header.NAME`.
NAMES: Final = ("caller", "called", "call_id", "time", "date", "weekday", "hour")


class Place:
    """A place of a template: `otherwise` is what stands there where nothing is known."""

    __slots__ = ("name", "otherwise")

    def __init__(self, name: str, otherwise: str) -> None:
        self.name = name
        self.otherwise = otherwise


def parts(template: str) -> Iterator[str | Place]:
    """Its texts and places. Raises ValueError for what is no template."""
    end = 0
    for found in _PART.finditer(template):
        yield template[end : found.start()]
        end = found.end()
        if found["odd"]:
            raise ValueError(f"{found['odd']!r} stands alone; a brace is written twice")
        name = found["name"]
        if name is None:
            yield found[0][0]
        elif name in NAMES or name.startswith("header."):
            yield Place(name, found["otherwise"] or "")
        else:
            known = ", ".join((*NAMES, "header.NAME"))
            raise ValueError(f"nothing is called {{{name}}}: there are {known}")
    yield template[end:]


def _checked(text: str) -> str:
    for _ in parts(text):
        pass
    return text


Template = Annotated[str, BeforeValidator(text_of), AfterValidator(_checked)]


def filled(template: str, known: dict[str, Any]) -> str:
    """The text, its places filled with what is `known` by their names, headers in lower case."""
    told = []
    for part in parts(template):
        if isinstance(part, Place):
            found = known.get(part.name.lower())
            told.append(part.otherwise if found in (None, "") else str(found))
        else:
            told.append(part)
    return "".join(told)
