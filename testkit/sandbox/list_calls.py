"""`POST /v3/list-calls`: filter, sort, page. Pure."""

from collections.abc import Iterable
from typing import Any

from testkit.sandbox.errors import ApiError
from testkit.sandbox.models import (
    AgentFilter,
    EnumFilter,
    Filter,
    FilterCriteria,
    ListCalls,
    NumberFilter,
    RangeFilter,
    StringFilter,
)
from testkit.sandbox.store import Call

#: Items of a list carry no transcripts.
_NOT_LISTED = ("transcript",)


def list_calls(calls: Iterable[Call], wanted: ListCalls) -> dict[str, Any]:
    """The answer's body. Raises ApiError(400) for a pagination key that is not ours."""
    objects = [
        shown
        for call in sorted(calls, key=_begun, reverse=wanted.sort_order == "descending")
        if _meets(shown := call.to_json(), wanted.filter_criteria)
    ]
    start = wanted.skip or _offset(wanted.pagination_key)
    end = start + wanted.limit
    page: dict[str, Any] = {
        "items": [
            {name: value for name, value in shown.items() if name not in _NOT_LISTED}
            for shown in objects[start:end]
        ],
        "has_more": len(objects) > end,
    }
    if page["has_more"]:
        page["pagination_key"] = f"after-{end}"
    if wanted.include_total:
        page["total"] = len(objects)
    return page


def _begun(call: Call) -> int:
    return call.start_ms or call.created_ms


def _offset(key: str | None) -> int:
    if key is None:
        return 0
    digits = key.removeprefix("after-")
    if digits == key or not digits.isdecimal():
        raise ApiError(400, "Invalid pagination_key")
    return int(digits)


def _meets(shown: dict[str, Any], criteria: FilterCriteria) -> bool:
    if criteria.agent and not any(_is_agent(shown, agent) for agent in criteria.agent):
        return False
    filters: dict[str, Filter | None] = {
        name: getattr(criteria, name) for name in type(criteria).model_fields if name != "agent"
    }
    return all(
        wanted is None or _passes(shown.get(name), wanted) for name, wanted in filters.items()
    )


def _is_agent(shown: dict[str, Any], wanted: AgentFilter) -> bool:
    return shown["agent_id"] == wanted.agent_id and (
        not wanted.version or shown["agent_version"] in wanted.version
    )


def _passes(value: Any, wanted: Filter) -> bool:
    match wanted:
        case StringFilter():
            return _text(str(value if value is not None else ""), wanted)
        case EnumFilter():
            return value in wanted.value
        case NumberFilter():
            return value is not None and _number(value, wanted)
        case RangeFilter(value=(low, high)):
            return value is not None and low <= value <= high
    return False


def _text(value: str, wanted: StringFilter) -> bool:
    match wanted.op:
        case "eq":
            return value == wanted.value
        case "ne":
            return value != wanted.value
        case "sw":
            return value.startswith(wanted.value)
        case "ew":
            return value.endswith(wanted.value)
        case "co":
            return wanted.value in value


def _number(value: float, wanted: NumberFilter) -> bool:
    match wanted.op:
        case "eq":
            return value == wanted.value
        case "ne":
            return value != wanted.value
        case "gt":
            return value > wanted.value
        case "ge":
            return value >= wanted.value
        case "lt":
            return value < wanted.value
        case "le":
            return value <= wanted.value
