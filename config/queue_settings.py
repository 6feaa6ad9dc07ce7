"""The queue of calls that go out by API, command line and campaign: `outbound.queue`."""

from typing import Annotated, Literal

from pydantic import Field

from config.texts import Name
from config.values import Model, Positive, Seconds

#: Results after which somebody may be called again; the others reached a person, or never will.
Retryable = Literal[
    "busy",
    "no-answer",
    "declined",
    "machine",
    "message-left",
    "silence",
    "failed",
    "agent-failed",
    "barred",
]
#: Up to a year.
Long = Annotated[float, Field(gt=0, le=31_536_000)]


class RetrySettings(Model):
    """How many `times` somebody is called again after one result: `after_s` later, each further
    time `factor` times as late, and by up to `jitter`, a share of that, later still."""

    times: Positive
    after_s: Long
    factor: Annotated[float, Field(ge=1, le=100)] = 1.0
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.0


class QueueSettings(Model):
    """`calls` are under way at the same time, `calls_per_second` begin. What a call does not say
    itself is said here: until when it is tried, in which schedule's hours (by the clock of where
    the number is), after which results once more. `max_tries` are made of one, all results
    together."""

    calls: Positive = 10
    calls_per_second: Positive = 1
    max_waiting: Positive = 100_000
    ring_timeout_s: Seconds = 45
    time_limit_s: Seconds = 3600
    expires_s: Long = 86_400
    window: Name | None = None
    max_tries: Positive = 5
    retries: dict[Retryable, RetrySettings] = Field(default={})
