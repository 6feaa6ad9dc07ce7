"""What becomes of a queued call after a try: pure, from its policy and how the try came out."""

from dataclasses import replace
from typing import Final

from gateway.outbound.windows import Windows
from gateway.storage.queued_call import QueuedCall, QueueState, Result

#: What may be tried again. A person was reached by the others, or never can be, or nobody knows.
RETRYABLE: Final = frozenset(
    {
        *(Result.BUSY, Result.NO_ANSWER, Result.DECLINED, Result.MACHINE, Result.MESSAGE_LEFT),
        *(Result.SILENCE, Result.FAILED, Result.AGENT_FAILED, Result.BARRED),
    }
)
#: What is said of calls that end while they wait.
CANCELLED: Final = (Result.CANCELLED, "it was cancelled")
EXPIRED: Final = (Result.EXPIRED, "its time was over before it could be tried")


def after(
    call: QueuedCall,
    result: Result,
    detail: str,
    *,
    now_ms: int,
    windows: Windows,
    dice: float,
    final: bool = False,
) -> QueuedCall:
    """`call` as it goes on after `result`: waiting once more where its policy wants that and its
    time allows, else done; `final` rules that out. `dice` is 0 to 1, for the jitter."""
    times = call.outcomes.get(result, 0) + 1
    call = replace(call, result=result, detail=detail, outcomes={**call.outcomes, result: times})
    wait_s = None if final else _wait_s(call, result, times, dice)
    if wait_s is None:
        return _over(call, QueueState.DONE, now_ms)
    at_ms = now_ms + round(wait_s * 1000)
    due_ms = windows.opening(call.window, call.time_zones, at_ms, call.expires_ms)
    if due_ms is None:
        return _over(call, QueueState.DONE, now_ms)
    return replace(call, state=QueueState.WAITING, due_ms=due_ms)


def cancelled(call: QueuedCall, now_ms: int) -> QueuedCall:
    """`call` when it was cancelled."""
    result, detail = CANCELLED
    return _over(replace(call, result=result, detail=detail), QueueState.CANCELLED, now_ms)


def interrupted(call: QueuedCall, now_ms: int) -> QueuedCall:
    """`call` when nobody can say what became of its try."""
    words = "the gateway stopped in the middle of this try, and nobody knows what came of it"
    return _over(replace(call, result=Result.UNKNOWN, detail=words), QueueState.UNKNOWN, now_ms)


def _wait_s(call: QueuedCall, result: Result, times: int, dice: float) -> float | None:
    """How long it waits for the next try; None if there is none."""
    rule = call.retries.rules.get(result) if result in RETRYABLE else None
    most = call.retries.most
    if rule is None or times > rule.times or (most is not None and call.tries >= most):
        return None
    return rule.after_s * rule.factor ** (times - 1) * (1 + rule.jitter * dice)


def _over(call: QueuedCall, state: QueueState, now_ms: int) -> QueuedCall:
    return replace(call, state=state, ended_ms=now_ms)
