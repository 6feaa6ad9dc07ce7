"""What a hostile peer can make us keep, in bytes."""

import resource
import sys
from itertools import count

import pytest

from sip import collector
from sip.core import header_fields
from sip.core.message import Request
from sip.core.parser import parse_message
from sip.trace import MAX_DIALOGS, MAX_MESSAGES, Trace
from tests.hostile import corpus

_LONG = 15_000  # the longest head is 16 kB


def _bytes(data: bytes) -> Request:
    message = parse_message(data)
    assert isinstance(message, Request)
    return message


def test_a_ladder_keeps_little_of_long_start_lines_and_call_ids() -> None:
    trace = Trace(max_dialogs=50)
    for number in count():
        dialog = (f"{number}-" + "c" * (_LONG // 2), "<sip:a@b>;tag=1", "<sip:c@d>")
        target = "sip:" + "u" * (_LONG // 2) + "@192.0.2.1"
        message = _bytes(
            corpus.request("INVITE", "192.0.2.1", "192.0.2.2", dialog=dialog, target=target)
        )
        for _ in range(MAX_MESSAGES):
            trace.add(0.0, "in", "udp:192.0.2.2:5060", "udp:192.0.2.1:5060", message)
        if number == 60:
            break
    kept = sum(
        sys.getsizeof(sip_call_id)
        + sum(sys.getsizeof(part) for message in messages for part in message[4:])
        for sip_call_id, messages in trace._dialogs.items()
    )
    assert kept < 50 * MAX_MESSAGES * 400
    shown = trace.ladder([message.call_id])
    assert len(shown) == MAX_MESSAGES
    assert shown[0].summary.startswith("INVITE sip:uuu")


def test_ladders_are_bounded_in_number() -> None:
    assert MAX_DIALOGS * MAX_MESSAGES * 400 < 64 << 20


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
