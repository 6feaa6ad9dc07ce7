"""What can be wrong with the database. Each text is one line, without passwords or parameters."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, OperationalError

#: How SQLAlchemy and its driver for PostgreSQL begin: the names of Python classes.
_CLASSES = re.compile(r"^(\([\w.]+\) |<class '[\w.]+'>: )+")
#: Classes of SQLSTATE that say nothing of the rows: connection, resources, shutdown, system.
_OF_THE_DATABASE: Final = ("08", "53", "57", "58")


class StorageError(Exception):
    """The database cannot be used: what happened, and what to do about it."""


class SchemaError(StorageError):
    """The database is not one that this version of the gateway can work with."""


class InUseError(StorageError):
    """Another process uses the database, which only one may."""


def plain(error: BaseException) -> str:
    """The first line of an error: the rest quotes parameters, which are people's numbers."""
    lines = str(error).splitlines()
    return _CLASSES.sub("", lines[0])[:200] if lines else type(error).__name__


@contextmanager
def as_storage_error() -> Iterator[None]:
    """Whatever the database or its driver raises within becomes a StorageError."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        raise StorageError(plain(error)) from error


def is_of_the_database(error: Exception) -> bool:
    """Whether an error surely has nothing to do with the rows that were to be written."""
    if isinstance(error, OSError | OperationalError | StorageError):
        return True
    state = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    broken = isinstance(error, DBAPIError) and error.connection_invalidated
    return broken or str(state).startswith(_OF_THE_DATABASE)
