"""What a hostile peer can make us keep, in bytes."""

import resource
import sys

import pytest

from sip import collector
from sip.clock import LoopClock
from sip.core import header_fields
from sip.core.message import Request
from sip.core.parser import parse_message
from sip.trace import MAX_DIALOG_BYTES, Trace
from tests.hostile import corpus
from tests.virtual import virtual_time

_LONG = 15_000  # the longest head is 16 kB


def _bytes(data: bytes) -> Request:
    message = parse_message(data)
    assert isinstance(message, Request)
    return message


@virtual_time
async def test_ladders_are_bounded_in_bytes_whatever_is_sent() -> None:
    """Long Call-IDs, long targets, many messages: what is kept is kept within the budget."""
    trace, clock = Trace(budget_bytes=1 << 20), LoopClock()
    for number in range(60):
        dialog = (f"{number}-" + "c" * (_LONG // 2), "<sip:a@b>;tag=1", "<sip:c@d>")
        target = "sip:" + "u" * (_LONG // 2) + "@192.0.2.1"
        data = corpus.request("INVITE", "192.0.2.1", "192.0.2.2", dialog=dialog, target=target)
        for _ in range(60):
            trace.add(clock, "out", "udp:192.0.2.2:5060", "udp:192.0.2.1:5060", _bytes(data), data)
    kept = sum(
        sys.getsizeof(sip_call_id) + sum(sys.getsizeof(message[-1]) for message in dialog.messages)
        for sip_call_id, dialog in trace._dialogs.items()
    )
    assert 0 < kept < 1 << 20
    [*shown] = trace.ladder([_bytes(data).call_id])
    assert sum(len(one.message) for one in shown) < MAX_DIALOG_BYTES
    assert len(shown[0].summary) < 300


def test_a_header_name_with_a_tail_of_spaces_is_not_remembered() -> None:
    """RFC 3261 7.3.1 allows white space before the colon, not kilobytes of it."""
    header_fields.field_name.cache_clear()
    header_fields.field_name("X-Spaced \t ")
    with pytest.raises(ValueError, match="header name"):
        header_fields.field_name("X-Spaced" + " " * _LONG)
    assert header_fields.field_name.cache_info().currsize == 1


def test_memory_of_a_storm_goes_back_to_the_system() -> None:
    storm = [bytes(2000) for _ in range(60_000)]
    kept = storm[::20]  # one of them at the end of each stretch that could be given back
    storm.clear()
    before = _resident_mb()
    collector.give_back()
    assert before - _resident_mb() > 50
    assert len(kept) == 3000


def _resident_mb() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / (1 << 20)
