"""docs/config.md and the models say the same: keys, defaults, and examples that are accepted."""

import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from config.reading.environment import ExampleVariables
from config.settings import Settings

DOCS = (Path(__file__).parents[2] / "docs" / "config.md").read_text()
NOTHING = "—"


def rows() -> dict[str, tuple[str, str]]:
    """Documented key -> (default, example), as written."""
    found = {}
    for line in DOCS.splitlines():
        if re.match(r"\| `[a-z_]+[.\[]", line):
            key, _, default, example, meaning = (cell.strip() for cell in line[1:-1].split(" | "))
            assert key.strip("`") not in found, f"{key} is documented twice"
            assert example, key
            assert meaning is not None
            found[key.strip("`")] = (default.strip("`"), example.strip("`"))
    return found


def keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key of the models, written as the document writes it."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        annotation = plain(field.annotation)
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if is_model(annotation):
            yield from keys(annotation, f"{key}.")
        elif origin is tuple and is_model(arguments[0]):
            yield from keys(arguments[0], f"{key}[].")
        elif origin is tuple:
            # a list that may also be written as one value is documented as that
            yield (key if name == "engine" else f"{key}[]"), field
        elif origin is dict and is_model(arguments[1]):
            whose = "NUMBER" if name == "numbers" else "NAME"
            yield from keys(arguments[1], f"{key}.{whose}.")
        else:
            yield key, field


def plain(annotation: Any) -> Any:
    """Without `| None` and `Annotated`."""
    if typing.get_origin(annotation) is typing.Annotated:
        return plain(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return plain(next(a for a in typing.get_args(annotation) if a is not types.NoneType))
    return annotation


def is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


KEYS = dict(keys())
ROWS = rows()


def checked(field: FieldInfo, text: str, directory: Path = Path()) -> Any:
    """The value that the configuration would make of it."""
    annotation: Any = field.annotation
    if field.metadata:
        annotated: Any = typing.Annotated
        annotation = annotated[(annotation, *field.metadata)]
    value = yaml.load(text, Loader=yaml.BaseLoader)
    return TypeAdapter(annotation).validate_python(value, context={"directory": directory})


def test_every_key_is_documented_and_no_other() -> None:
    assert set(ROWS) == set(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_default_is_the_documented_one(key: str) -> None:
    written, field = ROWS[key][0], KEYS[key]
    if field.default is PydanticUndefined:
        assert written == "required"
    elif field.default is None:
        assert written == NOTHING
    else:
        assert checked(field, written) == field.default


@pytest.mark.parametrize("key", KEYS)
def test_example_is_accepted(key: str, tmp_path: Path) -> None:
    """And names something else than the default, for what else would it show?"""
    written, field = ROWS[key][1], KEYS[key]
    if plain(field.annotation) is Path:
        there = tmp_path / written
        if there.suffix:
            there.touch()
        else:  # a folder
            there.mkdir()
    if written != NOTHING:
        text = re.sub(r"\$\{[A-Z_]+\}", "filled-in", written)
        example = checked(field, text, tmp_path)
        assert example is not None
        assert example != field.default


def test_every_variable_is_documented() -> None:
    source = (Path(__file__).parents[2] / "config" / "reading" / "environment.py").read_text()
    read = set(re.findall(r'env\.get\("([A-Z_]+)"\)', source))
    assert len(read) == len(ExampleVariables.__dataclass_fields__)
    section = DOCS.partition("## Environment variables")[2]
    assert set(re.findall(r"`([A-Z]+_?[A-Z_]*)`", section.partition("|---|---|")[2])) == read
