"""Keys through the relay, on virtual time: from any form, with losses, into any form, each once."""

import struct
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from sip.core.info_keys import KEYS
from sip.media.relay.dtmf import RELEASE_S
from tests.media.desk import clip, reason
from tests.media.keyboard import Board, Heard, Side
from tests.media.talk import key_packets

#: A caller as most are, and the trunk of an agent that takes clean events alone.
CALLER, AGENT = Side(), Side(dtmf="rfc4733")
OWN = 0x5EED

Make = Callable[[Side, Side], Board]


@pytest.fixture
def board() -> Iterator[Make]:
    """Makes a call, which is closed afterwards and leaves nothing."""
    made: list[Board] = []

    def make(a: Side, b: Side) -> Board:
        made.append(Board(a, b))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("ssrc", [None, OWN])
@pytest.mark.parametrize("marker", [True, False])
@pytest.mark.parametrize("lost", [None, *range(8)])
@pytest.mark.parametrize("agent", [AGENT, Side(dtmf="rfc4733", number=96)])
def test_events_become_clean_events(
    board: Make, agent: Side, lost: int | None, marker: bool, ssrc: int | None
) -> None:
    """Each of the 16 keys, with each packet of it lost, without its marker, beside the audio."""
    call = board(CALLER, agent)
    for key in KEYS:
        call.press(key, lost=() if lost is None else (lost,), marker=marker, ssrc=ssrc)
        call.speaks(0.4)
    expected = [Heard(key, 120) for key in KEYS]
    assert call.heard_by(call.b, agent.number or 0) == expected
    assert call.told == [("A", each) for each in expected]
    assert call.b.heard[-1].payload_type == 0, "and the audio goes on"


@pytest.mark.parametrize("ssrc", [None, OWN])
@pytest.mark.parametrize("marker", [True, False])
@pytest.mark.parametrize("lost", [None, *range(8)])
@pytest.mark.parametrize("b", [Side(number=None, takes_info=True), Side(dtmf="info")])
def test_where_the_other_side_has_info_events_are_told_and_do_not_pass(
    board: Make, b: Side, lost: int | None, marker: bool, ssrc: int | None
) -> None:
    call = board(CALLER, b)
    for key in KEYS:
        call.press(key, lost=() if lost is None else (lost,), marker=marker, ssrc=ssrc)
        call.speaks(0.4)
    assert call.told == [("A", Heard(key, 120)) for key in KEYS]
    assert {each.payload_type for each in call.b.heard} == {0}
    assert {before.seq + 1 - after.seq for before, after in pairwise(call.b.heard)} == {0}


def test_tones_become_events(board: Make) -> None:
    """Of a caller that has neither events nor INFO. What of the tone leaks is no key."""
    call = board(Side(number=None), AGENT)
    for key in KEYS:
        call.sounds(key)
        call.speaks(0.4)
    heard = call.heard_by(call.b)
    assert [each.key for each in heard] == list(KEYS)
    assert [each.key for _, each in call.told] == list(KEYS)
    assert heard == [each for _, each in call.told]
    assert [each.duration_ms for each in heard] == [pytest.approx(100, abs=10)] * 16
    assert call.tones_in(call.b) == []


def test_tones_are_told_where_the_other_side_has_info(board: Make) -> None:
    call = board(Side(number=None), Side(dtmf="info"))
    for key in KEYS:
        call.sounds(key)
        call.speaks(0.4)
    assert [each.key for _, each in call.told] == list(KEYS)
    assert call.tones_in(call.b) == []


def test_tones_pass_as_tones_and_are_told(board: Make) -> None:
    call = board(Side(number=None), Side(number=None))
    for key in KEYS:
        call.sounds(key)
        call.speaks(0.3)
    assert call.tones_in(call.b) == [each.key for _, each in call.told] == list(KEYS)


def test_speech_beside_events_is_not_looked_at(board: Make) -> None:
    """Who has events sends none as tones: a recording of one is no key."""
    call = board(CALLER, AGENT)
    call.sounds("5")
    call.speaks(0.5)
    assert call.told == []
    assert call.tones_in(call.b) == ["5"], "it passes as it came"


def test_events_become_tones(board: Make) -> None:
    call = board(CALLER, Side(number=None))
    for key in KEYS:
        call.press(key)
        call.speaks(0.5)
    assert call.tones_in(call.b) == list(KEYS)
    assert {each.payload_type for each in call.b.heard} == {0}
    assert len({each.ssrc for each in call.b.heard}) == 1


def test_with_equal_numbers_and_no_wish_packets_pass_as_they_came(board: Make) -> None:
    call = board(CALLER, Side())
    packets = key_packets(101, 5, seq=call.a.seq + 1, timestamp=16000 + 160 * 100, ssrc=call.a.ssrc)
    call.a.next += [[packet] for packet in packets]
    call.a.seq += len(packets)
    call.speaks(0.3)
    keys = [each for each in call.b.heard if each.payload_type == 101]
    assert [struct.pack("!BBHII", 0x80, 101 | each.marker << 7, *each[2:5]) + each.payload
            for each in keys] == packets  # fmt: skip
    assert call.told == [("A", Heard("5", 120))]


def test_with_other_numbers_they_do_not(board: Make) -> None:
    """Some send with the number of their own description."""
    call = board(Side(number=97), Side(number=101))
    call.press("5", number=97, lost={0, 3})
    call.speaks(0.5)
    assert call.heard_by(call.b) == [Heard("5", 120)]


def test_what_is_rewritten_already_is_made_clean(board: Make) -> None:
    """After a play the stream is ours, so that a key is as well."""
    call = board(CALLER, Side())
    assert call.ask("play DTMF", call_id="call", from_tag="A", code="1")["result"] == "ok"
    call.speaks(0.6)
    call.press("2", lost={0, 6})
    call.speaks(0.5)
    assert call.heard_by(call.b) == [Heard("1", 250), Heard("2", 120)]


def test_keys_pressed_faster_than_they_are_sent_wait(board: Make) -> None:
    call = board(CALLER, AGENT)
    for key in "123456":
        call.press(key, packets=1)
    call.speaks(2.0)
    assert call.heard_by(call.b) == [Heard(key, 40) for key in "123456"]


def test_a_key_whose_ends_are_all_lost_ends(board: Make) -> None:
    call = board(CALLER, AGENT)
    call.press("5", lost={5, 6, 7})
    call.speaks(RELEASE_S + 0.5)
    assert call.heard_by(call.b) == [Heard("5", 100)]
    assert call.told == [("A", Heard("5", 100))]


@pytest.mark.parametrize("only", range(8))
def test_a_key_of_which_one_packet_arrives_is_one(board: Make, only: int) -> None:
    call = board(CALLER, AGENT)
    call.press("5", lost=set(range(8)) - {only})
    call.speaks(1.0)
    assert [each.key for each in call.heard_by(call.b)] == ["5"]
    assert [each.key for _, each in call.told] == ["5"]


def test_a_key_held_for_20_s_goes_on_in_segments(board: Make) -> None:
    call = board(CALLER, Side(number=96))
    start = call.a.timestamp + 160
    for segment in range(3):
        at = start + 0xFFFF * segment
        last = segment == 2
        for n in range(1, 410):
            duration = min(160 * n, 0xFFFF)
            ends = last and n == 200
            payload = struct.pack("!BBH", 7, 0x80 if ends else 0, duration)
            call.a.seq += 1
            head = struct.pack("!BBHII", 0x80, 101, call.a.seq & 0xFFFF, at & 0xFFFFFFFF, 0xA)
            call.a.next.append([head + payload])
            if ends or duration == 0xFFFF:
                break
    call.speaks(22)
    assert [each.key for _, each in call.told] == ["7"]
    keys = [each for each in call.b.heard if each.payload_type == 96]
    assert len({each.timestamp for each in keys}) == 3
    assert [each.marker for each in keys].count(True) == 1


@pytest.mark.parametrize("b", [Side(), Side(number=96), Side(dtmf="rfc4733")])
def test_play_dtmf_as_events(board: Make, b: Side) -> None:
    """As if A had pressed the keys: B hears them, A nothing, and nothing is told."""
    call = board(CALLER, b)
    for key in KEYS:
        told = call.ask(
            "play DTMF", call_id="call", from_tag="A", code=key, duration=100, pause=60, volume=-8
        )
        assert told["result"] == "ok"
    call.speaks(4)
    assert call.heard_by(call.b, b.number or 0) == [Heard(key, 100) for key in KEYS]
    assert call.told == []
    assert {each.payload_type for each in call.a.heard} == {0}


def test_play_dtmf_as_tones_and_by_number(board: Make) -> None:
    call = board(CALLER, Side(number=None))
    for code in range(16):
        call.ask("play DTMF", call_id="call", from_tag="A", code=code, duration=80)
    call.speaks(5)
    assert call.tones_in(call.b) == list(KEYS)


def test_play_dtmf_that_cannot_be(board: Make) -> None:
    call = board(CALLER, Side(dtmf="info"))

    def refused(**keys: str | int) -> str:
        named = {"call_id": "call", "from_tag": "A", "code": "1", **keys}
        return reason(call.ask("play DTMF", **named))

    assert refused().startswith("unsupported: ")
    for code in ("", "12", "x", 16, -1):
        assert refused(code=code).startswith("refused: code")
    assert refused(call_id="other").startswith("unknown-call: ")
    assert refused(from_tag="C").startswith("unknown-call: ")
    full = board(CALLER, Side())
    replies = [full.ask("play DTMF", call_id="call", from_tag="A", code="1") for _ in range(70)]
    assert reason(replies[-1]).startswith("refused: too many keys")
    assert [reply["result"] for reply in replies].count("ok") == 65


def test_a_key_during_a_play_is_told_and_not_sent(board: Make) -> None:
    call = board(CALLER, AGENT)
    played = call.ask("play media", call_id="call", from_tag="B", blob=clip(bytes(16000)))
    assert played["result"] == "ok"
    call.press("5")
    call.speaks(0.5)
    assert call.told == [("A", Heard("5", 120))]
    assert {each.payload_type for each in call.b.heard} == {0}


def test_the_term_must_be_known(board: Make) -> None:
    call = board(CALLER, AGENT)
    assert reason(call.offer(call_id="x", dtmf="morse")).startswith("refused: ")
