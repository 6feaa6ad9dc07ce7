"""Plain data with the place of every key: YAML read, `${ENV}` filled in, nothing judged yet."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from config.problems import ConfigError, KeyPath, Placed, Problem, key_text

T = TypeVar("T")

_REFERENCE = re.compile(r"\$(?:\$|\{(?P<name>[^}:]*)(?::-(?P<default>[^}]*))?\})")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_DEPTH = 16  # the shape needs 5; more is a YAML alias that contains itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value stands that another file, a profile's, has lent."""

    profile: str
    file: str
    line: int
    path: KeyPath


@dataclass(slots=True)
class Source:
    """What was read: `data` for the models, and where each path of it stands."""

    name: str
    directory: Path
    data: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    lines_of: dict[KeyPath, int] = field(default_factory=dict)
    key_lines: dict[KeyPath, int] = field(default_factory=dict)
    variables: dict[KeyPath, str] = field(default_factory=dict)
    unusable: set[KeyPath] = field(default_factory=set)  # `${NAME}` could not be filled
    borrowed: dict[KeyPath, Origin] = field(default_factory=dict)

    def placed(self, found: Iterable[Problem]) -> list[Placed]:
        """The problems with their places, in the order of the file, without repeats.

        A value that could not be filled in is reported once, not again for what it is not. One
        that is wrong in itself is reported where it stands, be it in a profile's file; one that
        only does not go with others, where they meet.
        """
        told = (p for p in found if p.path not in self.unusable or p in self.problems)
        ordered = sorted(told, key=self._line)
        return list(dict.fromkeys(map(self.place, ordered)))

    def place(self, problem: Problem) -> Placed:
        """Where an operator mends it."""
        reason, key = problem.reason, key_text(problem.path) or "file"
        variable = self._nearest(self.variables, problem.path)
        origin = self._nearest(self.borrowed, problem.path)
        if variable is not None:
            return Placed("environment", 0, variable, reason)
        if origin is None:
            return Placed(self.name, self._line(problem), key, reason)
        if problem.between:
            reason = f"{reason} (from profile {origin.profile})"
            return Placed(self.name, self._line(problem), key, reason)
        return Placed(origin.file, origin.line, key_text(origin.path), reason)

    def _line(self, problem: Problem) -> int:
        if problem.at_key and problem.path in self.key_lines:
            return self.key_lines[problem.path]
        path = problem.path
        while path not in self.lines_of and path:
            path = path[:-1]  # a missing key stands where its mapping stands
        return self.lines_of.get(path, 0)

    @staticmethod
    def _nearest(known: Mapping[KeyPath, T], path: KeyPath) -> T | None:
        """What is known of the path, or of what it is part of."""
        parts = range(len(path), 0, -1)
        return next((known[path[:n]] for n in parts if path[:n] in known), None)

    def put(self, path: tuple[str, ...], value: Any, variable: str) -> None:
        """Lay the value of an environment variable over what the file says."""
        place = self.data
        for part in path[:-1]:
            inner = place.get(part)
            if inner is None:
                inner = place[part] = {}
            if not isinstance(inner, dict):
                return  # the models say what is wrong with it
            place = inner
        place[path[-1]] = value
        self.variables[path] = variable


def read_yaml(path: Path, env: Mapping[str, str]) -> Source:
    """Read one file. Raises ConfigError when it is no YAML mapping at all."""
    source = Source(name=str(path), directory=path.parent)
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        raise _unread(path, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _unread(path, "is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        raise _unread(path, f"is not YAML: {error.problem}", line) from None
    except yaml.YAMLError as error:
        raise _unread(path, f"is not YAML: {error}") from None
    if root is None:
        return source
    if not isinstance(root, yaml.MappingNode):
        raise _unread(path, "must be a mapping of keys to values", 1)
    source.data = _Reader(source, env).mapping(root, ())
    return source


def _unread(path: Path, reason: str, line: int = 0) -> ConfigError:
    return ConfigError([Placed(str(path), line, "file", reason)])


class _Reader:
    """Turns YAML nodes into dicts, lists and strings.

    Scalars stay strings (the models know what they want), so that `to: 200` and `prefix: +1`
    mean what they look like.
    """

    def __init__(self, source: Source, env: Mapping[str, str]) -> None:
        self._source = source
        self._env = env

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        source = self._source
        result: dict[str, Any] = {}
        source.lines_of[path] = node.start_mark.line + 1
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                source.key_lines[path] = line
                source.problems.append(Problem(path, "a key must be a plain word", at_key=True))
                continue
            key = str(key_node.value)
            inner = (*path, key)
            if key in result:
                first = source.key_lines[inner]
                source.key_lines[inner] = line
                reason = f"is given twice (first in line {first})"
                source.problems.append(Problem(inner, reason, at_key=True))
            source.key_lines[inner] = source.lines_of[inner] = line
            result[key] = self._value(value_node, inner)
            source.lines_of[inner] = line
        return result

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        if len(path) > _MAX_DEPTH:
            self._source.problems.append(Problem(path[:2], "is nested too deeply"))
            return None
        self._source.lines_of[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, i)) for i, item in enumerate(node.value)]
        if node.tag == "tag:yaml.org,2002:null":
            return None
        return self._filled(str(node.value), path)

    def _filled(self, text: str, path: KeyPath) -> str | None:
        """`${NAME}` and `${NAME:-default}` replaced; `$$` is one dollar sign."""
        if "$" not in text:
            return text
        missing: list[str] = []

        def replace(match: re.Match[str]) -> str:
            name = match["name"]
            if name is None:
                return "$"
            if not _NAME.fullmatch(name):
                missing.append(f"${{{name}}} does not name an environment variable")
                return ""
            value = self._env.get(name, "")
            if value:
                return value
            if match["default"] is not None:
                return match["default"]
            state = "is empty" if name in self._env else "is not set"
            missing.append(f"environment variable {name} {state}")
            return ""

        filled = _REFERENCE.sub(replace, text)
        if missing:
            self._source.unusable.add(path)
            self._source.problems += [Problem(path, reason) for reason in missing]
            return None
        # `${NAME:-}`: nothing was set, so the key counts as not given
        return filled if filled or not text else None
