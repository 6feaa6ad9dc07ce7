"""Profiles: what is known of a carrier or PBX, as data laid under a trunk's own keys.

`profiles/NAME.yaml` has a `title`, a `kind`, the `sources` of its facts (URLs), `notes` on what to
do at the other end, and `trunk`: the same keys as an entry of `trunks`. docs/carriers.md and
docs/pbx.md describe each. Nothing in the program knows a carrier or PBX by name. `retell.yaml` is
that of the trunk to Retell, which every configuration has and no entry of `trunks` may name.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from config.problems import ConfigError, KeyPath, Problem, did_you_mean, model_problems
from config.reading.raw import listing, mapping
from config.reading.source import Origin, Source, read_yaml
from config.texts import HttpUrl, Name
from config.values import Model

DIRECTORY: Final = Path(__file__).parents[1] / "profiles"
RETELL: Final = "retell"

Kind = Literal["carrier", "pbx", "retell"]

#: Keys of a trunk that no profile may have.
_SECRETS: Final = (("credentials", "password"), ("login",), ("identify_headers",))


class _ProfileFile(Model):
    title: Name
    kind: Kind
    sources: Annotated[tuple[HttpUrl, ...], Field(min_length=1)]
    notes: tuple[Name, ...] = ()
    trunk: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One profile. `notes` are sentences for the operator, `trunk` is raw data for the models."""

    name: str
    title: str
    kind: Kind
    sources: tuple[str, ...]
    notes: tuple[str, ...]
    trunk: Mapping[str, Any]
    source: Source

    def origin(self, path: KeyPath) -> Origin:
        """Where a key of a trunk, as the trunk has it, stands in the profile's file."""
        own = ("kind",) if path == ("kind",) else ("trunk", *path)
        line = self.source.lines_of.get(own, 0)
        return Origin(profile=self.name, file=self.source.name, line=line, path=own)


@functools.cache
def names() -> tuple[str, ...]:
    """The names of all profiles that a trunk may name, sorted."""
    return tuple(sorted({file.stem for file in DIRECTORY.glob("*.yaml")} - {RETELL}))


@functools.cache
def profile(name: str) -> Profile:
    """The profile of that name. Raises KeyError if there is none, ConfigError if it is broken."""
    if name not in names():
        raise KeyError(name)
    return _read(name)


@functools.cache
def retell() -> Profile:
    """The profile of the trunk to Retell. Raises ConfigError if it is broken."""
    return _read(RETELL)


def _read(name: str) -> Profile:
    source = read_yaml(DIRECTORY / f"{name}.yaml", {})
    problems = [*source.problems, *_secrets(source)]
    try:
        file = _ProfileFile.model_validate(source.data)
    except ValidationError as error:
        problems += model_problems(_ProfileFile, error)
        raise ConfigError(source.placed(problems)) from None
    if problems:
        raise ConfigError(source.placed(problems))
    return Profile(name=name, source=source, **dict(file))


def _secrets(source: Source) -> Iterator[Problem]:
    """A profile is shown by a command and goes into the wheel."""
    trunk = mapping(source.data, "trunk")
    for path in _SECRETS:
        if mapping(trunk, *path[:-1]).get(path[-1]) is not None:
            reason = "a profile holds no secret: write this into the trunk itself"
            yield Problem(("trunk", *path), reason, at_key=True)


def titles() -> dict[str, Profile]:
    """Every profile by its name, sorted."""
    return {name: profile(name) for name in names()}


def misses_profile(trunk: Mapping[str, Any]) -> bool:
    """Whether a trunk names a profile that does not exist: what it lacks may be there."""
    name = trunk.get("profile")
    return isinstance(name, str) and name not in names()


def lay_under(source: Source) -> None:
    """Give every trunk of `source` that names a profile the keys it does not have itself.

    Mappings are merged, lists are not. The source remembers what is borrowed, so that an error in
    it names the profile's file; an unknown name becomes one of the source's problems.
    """
    for index, trunk in enumerate(listing(source.data, "trunks")):
        name = trunk.get("profile") if isinstance(trunk, dict) else None
        if not isinstance(name, str):
            continue
        path = ("trunks", index)
        if misses_profile(trunk):
            reason = f"there is no profile named {name}{did_you_mean(name, names())}"
            source.problems.append(Problem((*path, "profile"), reason))
            continue
        known = profile(name)
        given = {"kind": known.kind, **known.trunk}
        if not trunk.get("credentials"):
            given.pop("credentials", None)  # a realm alone proves nothing
        _merge(trunk, given, (), _Lender(source, path, known))


@dataclass(frozen=True, slots=True)
class _Lender:
    """Notes in the source what one of its trunks borrows from its profile."""

    source: Source
    trunk: KeyPath
    profile: Profile

    def lend(self, path: KeyPath) -> None:
        self.source.borrowed[(*self.trunk, *path)] = self.profile.origin(path)


def _merge(own: dict[str, Any], given: Mapping[str, Any], path: KeyPath, lender: _Lender) -> None:
    """Put into `own` what only `given` has. A key that is there without a value is not there."""
    for key, value in given.items():
        inner = (*path, key)
        if own.get(key) is None:
            lender.lend(inner)
            if isinstance(value, Mapping):
                own[key] = {}
            else:
                own[key] = value
        if isinstance(value, Mapping) and isinstance(own[key], dict):
            _merge(own[key], value, inner, lender)
