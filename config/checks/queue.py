"""What `outbound.queue` says that other keys, or its own, do not let happen."""

from collections.abc import Iterator
from typing import Final

from config.problems import Problem, did_you_mean
from config.queue_settings import QueueSettings
from config.reading.raw import Data, mapping

#: What `limits` has where nothing is said.
_LIMITS: Final = {"calls": 500.0, "calls_per_second": 50.0}


def queue_problems(data: Data) -> Iterator[Problem]:
    """Every problem of the queue that needs more than one key to see."""
    queue = mapping(data, "outbound", "queue")
    if not queue:
        return
    yield from _limits(data, queue)
    schedules, window = mapping(data, "schedules"), queue.get("window")
    if isinstance(window, str) and window not in schedules:
        near = did_you_mean(window, schedules)
        path = ("outbound", "queue", "window")
        yield Problem(path, f"there is no schedule named {window}{near}")
    yield from _retries(queue)


def _limits(data: Data, queue: Data) -> Iterator[Problem]:
    """Calls beyond the gateway's own limits would be refused by its own softswitch."""
    for key, default in _LIMITS.items():
        wanted = _number(queue.get(key))
        most = _number(mapping(data, "limits").get(key), default)
        if wanted is not None and most is not None and wanted > most:
            reason = f"{wanted:g} are more than limits.{key} allows of all calls, {most:g}"
            yield Problem(("outbound", "queue", key), reason)


def _retries(queue: Data) -> Iterator[Problem]:
    """Tries that nobody would ever make."""
    fields = QueueSettings.model_fields
    expires_s = _number(queue.get("expires_s"), fields["expires_s"].default)
    most = _number(queue.get("max_tries"), fields["max_tries"].default)
    for result, rule in mapping(queue, "retries").items():
        path = ("outbound", "queue", "retries", result)
        after_s = _number(mapping(rule).get("after_s"))
        if most == 1:
            yield Problem(path, "has no effect: outbound.queue.max_tries is 1")
        if after_s is not None and expires_s is not None and after_s >= expires_s:
            reason = f"a call has expired by then (outbound.queue.expires_s, {expires_s:g})"
            yield Problem((*path, "after_s"), reason)


def _number(value: object, default: float | None = None) -> float | None:
    """What is written, where it is a number; `default` where nothing is."""
    if value is None:
        return default
    try:
        return float(str(value))
    except ValueError:  # the model says so
        return None
