"""Times as people and programs outside read them: ISO 8601, UTC."""

from datetime import UTC, datetime
from functools import lru_cache


def iso(ms: int) -> str:
    """A time of milliseconds since 1970."""
    second, rest = divmod(ms, 1000)
    return f"{to_the_second(second)}.{rest:03}Z"


@lru_cache(maxsize=256)  # a call tells a dozen times, all of late
def to_the_second(second: int) -> str:
    """A time of seconds since 1970, without its zone."""
    return datetime.fromtimestamp(second, UTC).replace(tzinfo=None).isoformat()


def iso_or_none(ms: int | None) -> str | None:
    """The same, or None where there is none."""
    return None if ms is None else iso(ms)
