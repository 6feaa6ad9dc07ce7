"""What can be wrong with the database. Each text is one line, without passwords or parameters."""

import re

#: How SQLAlchemy and its driver for PostgreSQL begin: the names of Python classes.
_CLASSES = re.compile(r"^(\([\w.]+\) |<class '[\w.]+'>: )+")


class StorageError(Exception):
    """The database cannot be used: what happened, and what to do about it."""


class SchemaError(StorageError):
    """The database is not one that this version of the gateway can work with."""


class InUseError(StorageError):
    """Another process uses the database, which only one may."""


def plain(error: Exception) -> str:
    """The first line of an error: the rest quotes parameters, which are people's numbers."""
    lines = str(error).splitlines()
    return _CLASSES.sub("", lines[0])[:200] if lines else type(error).__name__
