"""A ladder of docs/call-flows.md says by itself what was drawn."""

from tests.interop.transfers.ladders import Step, draw, read

STORY = [
    Step("Retell", sent=True, label="REFER"),
    Step("Retell", sent=False, label="202"),
    Step("Retell", sent=False, label="NOTIFY 100"),
    Step("caller", sent=False, label="re-INVITE"),
    Step("caller", sent=True, label="200"),
]
TARGET = [Step("target", sent=False, label="INVITE"), Step("target", sent=True, label="486")]


def test_what_is_drawn_can_be_read() -> None:
    assert read(draw(STORY)) == STORY
    assert read(draw([*STORY, *TARGET])) == [*STORY, *TARGET]


def test_a_ladder() -> None:
    assert draw([STORY[0], *TARGET, STORY[3]]).splitlines() == [
        "caller            gateway           Retell            target",
        "   │                 │<──── REFER ─────│                 │",
        "   │                 │───────────── INVITE ─────────────>│",
        "   │                 │<────────────── 486 ───────────────│",
        "   │<── re-INVITE ───│                 │                 │",
    ]
