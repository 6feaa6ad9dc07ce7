"""A queued call, its tries, and how they come out: the words that queue, store and API share."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from gateway.storage.wanted import Wanted


class Result(StrEnum):
    """What came of a try, and of the queued call whose last one it was."""

    ANSWERED = "answered"
    """a person talked to the agent"""
    MACHINE = "machine"
    MESSAGE_LEFT = "message-left"
    FAX = "fax"
    SILENCE = "silence"
    """it was answered, and nobody spoke"""
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    DECLINED = "declined"
    INVALID_NUMBER = "invalid-number"
    FAILED = "failed"
    """the carrier's trouble, or no route"""
    AGENT_FAILED = "agent-failed"
    """Retell refused, was down or gave no answer"""
    BARRED = "barred"
    """the guard, a cap, the money or the do-not-call list forbids it; nothing was dialled"""
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """its time was over before it could be tried"""
    UNKNOWN = "unknown"
    """this process was killed in the middle; it is never dialled again by itself"""


class QueueState(StrEnum):
    """Where a queued call is."""

    WAITING = "waiting"
    """for its first try or for another one"""
    CALLING = "calling"
    """a try is under way"""
    DONE = "done"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


#: States that a queued call stays in.
OVER: Final = frozenset({QueueState.DONE, QueueState.CANCELLED, QueueState.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRule:
    """After one result: how many `times` it is tried again, `after_s` seconds later; each further
    time `factor` times as late, and by up to `jitter` (a share of it) later still."""

    times: int
    after_s: float
    factor: float = 1.0
    jitter: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Which results are tried again; no more than `most` tries are made in all, None for as many
    as the rules allow."""

    rules: dict[Result, RetryRule] = field(default_factory=dict)
    most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One call of a queued call. Times are milliseconds since 1970; `number` counts from 1.

    `call_id` is that of its call record. `cause` is a slug, `detail` a sentence; `cost_estimate`
    is in the currency of the rates.
    """

    call_id: str
    queued_id: str
    number: int
    started_ms: int
    ringing_ms: int | None = None
    answered_ms: int | None = None
    agent_answered_ms: int | None = None
    ended_ms: int | None = None
    result: Result | None = None
    cause: str = ""
    sip_status: int | None = None
    reason: str = ""
    detail: str = ""
    retell_call_id: str | None = None
    duration_s: float | None = None
    amd: dict[str, Any] | None = None
    cost_estimate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedCall:
    """One person to be called. Times are milliseconds since 1970.

    It is tried from `not_before_ms` on and until `expires_ms`, while the schedule `window` is open
    by the clocks of all its `time_zones`; the next time at `due_ms`. `tries` counts those made,
    `call_id` is the last one's. `outcomes` is how often each result came, `result` the last of
    them, `detail` a sentence about it.
    """

    queued_id: str
    wanted: Wanted
    state: QueueState = QueueState.WAITING
    created_ms: int
    not_before_ms: int
    due_ms: int
    expires_ms: int
    priority: int = 0
    window: str | None = None
    time_zones: tuple[str, ...] = ()
    campaign: str | None = None
    retries: RetryPolicy = RetryPolicy()
    tries: int = 0
    outcomes: dict[Result, int] = field(default_factory=dict)
    call_id: str | None = None
    result: Result | None = None
    detail: str = ""
    ended_ms: int | None = None
