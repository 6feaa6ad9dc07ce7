"""Queued calls and tries as rows of their tables, and back."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import orjson

from gateway.storage.queued_call import QueuedCall, QueueState, Result, RetryPolicy, RetryRule, Try
from gateway.storage.tables import queued_calls, tries
from gateway.storage.texts import Bounds, as_json, fit
from gateway.storage.wanted import Wanted

_CALLS: Final = Bounds.of(queued_calls)
_TRIES: Final = Bounds.of(tries)


def call_row(call: QueuedCall) -> dict[str, Any]:
    """As `queued_calls` has it."""
    row = {
        "queued_id": call.queued_id,
        "state": call.state.value,
        "campaign": call.campaign,
        "to_number": call.wanted.to_number,
        "priority": call.priority,
        "created_ms": call.created_ms,
        "not_before_ms": call.not_before_ms,
        "due_ms": call.due_ms,
        "expires_ms": call.expires_ms,
        "window": call.window,
        "time_zones": " ".join(call.time_zones),
        "retries": as_json(_policy_json(call.retries)),
        "wanted": as_json(call.wanted.to_json()),
        "tries": call.tries,
        "outcomes": as_json({result.value: times for result, times in call.outcomes.items()}),
        "call_id": call.call_id,
        "result": call.result,
        "detail": call.detail,
        "ended_ms": call.ended_ms,
    }
    return fit(row, _CALLS)


def call_of(row: Mapping[str, Any]) -> QueuedCall:
    """What `call_row` wrote."""
    outcomes = orjson.loads(row["outcomes"])
    return QueuedCall(
        queued_id=row["queued_id"],
        wanted=Wanted.from_json(orjson.loads(row["wanted"])),
        state=QueueState(row["state"]),
        created_ms=row["created_ms"],
        not_before_ms=row["not_before_ms"],
        due_ms=row["due_ms"],
        expires_ms=row["expires_ms"],
        priority=row["priority"],
        window=row["window"],
        time_zones=tuple(row["time_zones"].split()),
        campaign=row["campaign"],
        retries=_policy_of(orjson.loads(row["retries"])),
        tries=row["tries"],
        outcomes={Result(result): times for result, times in outcomes.items()},
        call_id=row["call_id"],
        result=_result(row["result"]),
        detail=row["detail"],
        ended_ms=row["ended_ms"],
    )


def try_row(attempt: Try) -> dict[str, Any]:
    """As `tries` has it."""
    amd = None if attempt.amd is None else as_json(attempt.amd)
    return fit(asdict(attempt) | {"result": attempt.result, "amd": amd}, _TRIES)


def try_of(row: Mapping[str, Any]) -> Try:
    """What `try_row` wrote."""
    amd = None if row["amd"] is None else orjson.loads(row["amd"])
    return Try(**{**row, "result": _result(row["result"]), "amd": amd})


def _result(text: str | None) -> Result | None:
    return None if text is None else Result(text)


def _policy_json(policy: RetryPolicy) -> dict[str, Any]:
    rules = {result.value: asdict(rule) for result, rule in policy.rules.items()}
    return {"most": policy.most, "rules": rules}


def _policy_of(data: Mapping[str, Any]) -> RetryPolicy:
    rules = {Result(name): RetryRule(**rule) for name, rule in data["rules"].items()}
    return RetryPolicy(rules=rules, most=data["most"])
