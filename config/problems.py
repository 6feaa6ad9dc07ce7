"""Problems of a configuration, and how pydantic's become lines an operator can act on."""

import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """A reason with its place; as text the line `file:line: key: reason`. `line` 0 is none."""

    file: str
    line: int
    key: str
    reason: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.key}: {self.reason}"


class ConfigError(Exception):
    """The configuration cannot be used.

    `placed` holds every problem in the order of the file, `problems` the same as lines. None ever
    holds the value of a secret.
    """

    def __init__(self, placed: Iterable[Placed]) -> None:
        self.placed = list(placed)
        self.problems = [str(one) for one in self.placed]
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend: where (path of keys and list indices) and why.

    `at_key` says that the key itself is wrong, not its value; `between`, that the value is wrong
    only together with others.
    """

    path: KeyPath
    reason: str
    at_key: bool = False
    between: bool = False


def key_text(path: KeyPath) -> str:
    """`("trunks", 0, "name")` as `trunks[0].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A clause to append to a reason, or nothing when no known word is near."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def model_problems(model: type[BaseModel], error: ValidationError) -> Iterator[Problem]:
    """Pydantic's findings, with its jargon and the offending input left out."""
    for item in error.errors(include_url=False, include_input=False):
        path, kind = item["loc"], item["type"]
        if path and path[-1] == "[key]":
            yield Problem(path[:-1], _reason(item), at_key=True)
        elif kind == "extra_forbidden":
            known = _keys(_model_at(model, path[:-1]))
            yield Problem(path, f"unknown key{did_you_mean(str(path[-1]), known)}", at_key=True)
        else:
            yield Problem(path, _reason(item))


def _reason(item: Any) -> str:
    match item["type"]:
        case "value_error":
            return str(item["ctx"]["error"])
        case "missing":
            return "is required"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "must be a mapping of keys to values"
        case "tuple_type":
            return "must be a list"
        case "string_type":
            return "must be a string"
        case "too_short":
            return "must not be empty"
    message = str(item["msg"]).replace("Input should be", "must be")
    return message[0].lower() + message[1:]


def _keys(model: type[BaseModel] | None) -> list[str]:
    if model is None:
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """The model that holds the keys under `path`, found by walking the annotations."""
    annotation: Any = model
    for part in path:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            fields = {f.alias or name: f.annotation for name, f in annotation.model_fields.items()}
            annotation = _inner(fields.get(str(part)))
        else:  # a tuple's index or a mapping's key: its element type is the last argument
            arguments = [a for a in typing.get_args(annotation) if a is not Ellipsis]
            annotation = _inner(arguments[-1]) if arguments else None
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def _inner(annotation: Any) -> Any:
    """The annotation without `| None` and without `Annotated`."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _inner(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return _inner(next(a for a in typing.get_args(annotation) if a is not types.NoneType))
    return annotation
