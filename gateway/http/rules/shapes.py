"""What the API takes and gives, as models: they check, and the OpenAPI document is made of them.

A field's description completes the sentence "NAME must be …": it documents the field and is what
whoever gave something else is told.
"""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.http.problems import ProblemError
from gateway.strict_json import is_json

Item = TypeVar("Item")
Asked = TypeVar("Asked", bound="Shape")

MAX_PAGE: Final = 1000
_NO_OBJECT: Final = "the body must be a JSON object"


class Shape(BaseModel):
    """Read-only; what is not named is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True)


class PageQuery(Shape):
    """Which part of a list is asked for."""

    limit: int = Field(50, ge=1, le=MAX_PAGE, description=f"a number from 1 to {MAX_PAGE}")
    cursor: str | None = Field(None, description="what `next` was in the page before")


class StoredQuery(PageQuery):
    """The same of a list that the database sorts: the cursor is the place of its last item. Any
    other text has a place there, too, from which the list would begin again."""

    cursor: str | None = Field(
        None, pattern="^[0-9a-f]{20,64}$", description="what `next` was in the page before"
    )


class Page(Shape, Generic[Item]):
    """A part of a list."""

    items: Sequence[Item]
    next: str | None = Field(description="the cursor of the page after this one; null at the end")

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        return f"{params[0].__name__}Page"


def cut(items: Sequence[Item], asked: PageQuery, key: Callable[[Item], str]) -> Page[Item]:
    """The page of a list that is at hand whole; `key` names each item, and is the cursor.

    Raises ProblemError where the cursor's item is gone meanwhile.
    """
    begin = 0
    if asked.cursor is not None:
        keys = [key(item) for item in items]
        if asked.cursor not in keys:
            detail = "cursor must be what next was, and the list has changed: begin anew"
            raise ProblemError(400, "bad-parameter", detail)
        begin = keys.index(asked.cursor) + 1
    part = items[begin : begin + asked.limit]
    more = begin + len(part) < len(items)
    return Page(items=part, next=key(part[-1]) if more else None)


def query_of(model: type[Asked], given: Mapping[str, str]) -> Asked:
    """The parameters of a query, each once. Raises ProblemError."""
    once: dict[str, str] = {}
    for name, value in given.items():
        if name in once:
            raise ProblemError(400, "bad-parameter", f"{name[:64]} is given twice")
        once[name] = value
    try:
        return model.model_validate_strings(once)
    except ValidationError as error:
        raise _problem(error, model, "bad-parameter", "parameter") from None


def body_of(model: type[Asked], raw: bytes) -> Asked:
    """A body; none is an empty object. Raises ProblemError."""
    raw = raw or b"{}"
    if not is_json(raw):
        raise ProblemError(400, "bad-body", _NO_OBJECT)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _problem(error, model, "bad-body", "member") from None


def _problem(error: ValidationError, model: type[BaseModel], code: str, what: str) -> ProblemError:
    return ProblemError(400, code, words_of(error, model, what))


def words_of(error: ValidationError, model: type[BaseModel], what: str) -> str:
    """What is wrong, in a line; `what` is what a value is called: a parameter, a member."""
    texts = (_text(found["loc"], found["type"], model, what) for found in error.errors())
    return "; ".join(dict.fromkeys(texts))


def _text(place: tuple[int | str, ...], kind: str, model: type[BaseModel], what: str) -> str:
    if not place:
        return _NO_OBJECT
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    name = str(place[0])
    if kind == "extra_forbidden" and len(place) > 1:
        return f"{name} has no member {str(place[-1])[:64]}: it must be {fields[name].description}"
    if kind == "extra_forbidden":
        near = get_close_matches(name, fields, n=1)
        return f"unknown {what} {name[:64]}" + (f"; did you mean {near[0]}?" if near else "")
    must = fields[name].description
    return f"{name} is missing: it is {must}" if kind == "missing" else f"{name} must be {must}"
