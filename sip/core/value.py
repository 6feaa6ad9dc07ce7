"""Values: objects that never change, and what is worked out of them once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
def frozen(cls: type[T], /) -> type[T]: ...
@overload
def frozen(*, kw_only: bool) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True)
def frozen(cls: type[T] | None = None, /, *, kw_only: bool = False) -> Any:
    """A dataclass whose objects mypy lets no code change.

    `frozen=True` would guard it at run time too, at five times the price of making one; a call
    makes dozens.
    """
    decorate = dataclass(unsafe_hash=True, kw_only=kw_only)
    return decorate if cls is None else decorate(cls)


class kept(Generic[T]):  # noqa: N801 - a decorator, as `property` is
    """A property of a value: worked out when it is first asked for, then kept.

    Once it is kept, no Python code takes part in reading it. `functools.cached_property` before
    Python 3.12 takes a lock at the first reading.
    """

    def __init__(self, work: Callable[[Any], T]) -> None:
        self._work = work
        self._name = work.__name__
        self.__doc__ = work.__doc__

    def __get__(self, owner: Any, _: type | None = None) -> T:
        value: T = self._work(owner)
        setattr(owner, self._name, value)  # by its __dict__ it would cost a dictionary
        return value


def changed(value: T, **fields: Any) -> T:
    """A copy of a `frozen` value with `fields` instead of its own.

    As `dataclasses.replace`, which makes the object by its constructor, at five times the price.
    """
    copy: T = object.__new__(type(value))
    held = copy.__dict__
    held.update(value.__dict__)
    held.update(fields)
    return copy
