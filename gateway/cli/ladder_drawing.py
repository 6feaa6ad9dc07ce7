"""A call's SIP messages drawn as a ladder: the caller, the gateway, and who was dialled."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

_RUNG = 31  # columns between two uprights
_TIME = 8


def draw(
    messages: Sequence[Mapping[str, Any]],
    *,
    a_leg: str | None,
    names: tuple[str, str, str] = ("caller", "gateway", "Retell"),
) -> Text:
    """The messages of GET /api/v1/calls/{call_id}/ladder.

    `a_leg` is the SIP Call-ID of the leg that reached us; its messages are drawn on the left,
    every other leg's on the right. Times are ms since the first message.
    """
    text = Text()
    if not messages:
        return text.append("no SIP messages are kept of this call")
    first_at = messages[0]["at"]
    text.append(_spread(*names))
    text.append("\n" + _peers(messages, a_leg), style="dim")
    for message in messages:
        on_the_left = message["sip_call_id"] == a_leg
        # Towards the right: into us from the caller, or out of us to the dialled side.
        rightwards = (message["direction"] == "in") == on_the_left
        rung = _arrow(_label(str(message["summary"])), rightwards)
        elapsed_ms = 1000 * (message["at"] - first_at)
        text.append(f"\n{elapsed_ms:{_TIME - 2}.1f}  ", style="dim")
        text.append("│", style="dim")
        text.append(rung if on_the_left else " " * _RUNG, style=_colour(message))
        text.append("│", style="dim")
        text.append(" " * _RUNG if on_the_left else rung, style=_colour(message))
        text.append("│", style="dim")
    return text.append("\n" + "ms".rjust(_TIME - 2), style="dim")


def _peers(messages: Sequence[Mapping[str, Any]], a_leg: str | None) -> str:
    left = next((one["peer"] for one in messages if one["sip_call_id"] == a_leg), "")
    right = next((one["peer"] for one in messages if one["sip_call_id"] != a_leg), "")
    return _spread(str(left), "", str(right))


def _spread(left: str, middle: str, right: str) -> str:
    """Three headings over the three uprights: flush left, centred, flush right."""
    line = " " * _TIME + left
    line = line.ljust(_TIME + _RUNG + 1 - len(middle) // 2) + middle
    return line.ljust(_TIME + 2 * _RUNG + 3 - len(right)) + right


def _label(summary: str) -> str:
    """A request's method without its URI; a response's code and reason without its method."""
    if summary[:3].isdigit():
        return summary.rpartition(" (")[0] or summary
    return summary.split(" ", 1)[0]


def _arrow(label: str, rightwards: bool) -> str:
    label = label[: _RUNG - 4]
    line = f" {label} ".center(_RUNG - 2, "─")
    return f"{line}─▶" if rightwards else f"◀─{line}"


def _colour(message: Mapping[str, Any]) -> str:
    code = str(message["summary"])[:3]
    if not code.isdigit():
        return "cyan"
    return "green" if code < "300" else "red"
