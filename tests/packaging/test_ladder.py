"""A call's messages are drawn so that a reader sees who said what to whom, and when."""

from typing import Any

from gateway.cli.ladder_drawing import draw


def message(ms: float, direction: str, summary: str, leg: str, peer: str) -> dict[str, Any]:
    return {
        "at": 1000 + ms / 1000,
        "direction": direction,
        "peer": peer,
        "local": "udp:127.0.0.1:5060",
        "summary": summary,
        "sip_call_id": leg,
    }


CALLER, AGENT = "udp:127.0.0.1:5090", "tcp:127.0.0.1:5070"


def test_both_legs_stand_on_their_sides_with_their_directions() -> None:
    drawn = draw(
        [
            message(0, "in", "INVITE sip:+14155550100@127.0.0.1", "a", CALLER),
            message(0.4, "out", "100 Trying (INVITE)", "a", CALLER),
            message(12.04, "out", "INVITE sip:+14155550100@127.0.0.1", "b", AGENT),
            message(15, "in", "200 OK (INVITE)", "b", AGENT),
            message(16, "out", "480 Temporarily Unavailable (INVITE)", "a", CALLER),
        ],
        a_leg="a",
        names=("test phone", "gateway", "sandbox"),
    ).plain.splitlines()
    heads, peers, *rungs, unit = drawn
    assert [heads.index(name) for name in ("test phone", "gateway", "sandbox")] == [8, 37, 66]
    assert peers.split() == [CALLER, AGENT]
    rung = 31
    blank = " " * rung
    assert rungs == [
        f"   0.0  │{' INVITE '.center(rung - 2, '─')}─▶│{blank}│",
        f"   0.4  │◀─{' 100 Trying '.center(rung - 2, '─')}│{blank}│",
        f"  12.0  │{blank}│{' INVITE '.center(rung - 2, '─')}─▶│",
        f"  15.0  │{blank}│◀─{' 200 OK '.center(rung - 2, '─')}│",
        f"  16.0  │◀─ 480 Temporarily Unavailable │{blank}│",
    ]
    assert unit.strip() == "ms"
    assert {len(line) for line in (heads, peers, *rungs)} == {73}


def test_a_call_without_messages_says_so() -> None:
    assert draw([], a_leg=None).plain == "no SIP messages are kept of this call"


def test_a_call_that_reached_nobody_has_an_empty_right_side() -> None:
    drawn = draw([message(0, "in", "INVITE sip:x", "a", CALLER)], a_leg="a").plain
    assert AGENT not in drawn
    assert drawn.splitlines()[1].strip() == CALLER
