"""A fax's calling tone in a call through the relay, on virtual time: told once, to who asked."""

import audioop
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from sip.media.events import FaxTone
from sip.media.ng.bencode import Decoded, Encodable
from sip.media.ng.form import Form
from sip.media.ng.notices import NoticeReader
from sip.media.plane import Capability
from sip.media.relay.fax_ear import LISTENED
from sip.media.relay.party import Party as RelayParty
from sip.media.tones import tone
from tests.fakes.relay import RelayHere
from tests.media.desk import SDP, Desk
from tests.media.keyboard import QUIET, Board, Party, Side
from tests.ports import free_ports
from tests.virtual import virtual_time

HEARD = [("fax-tone", "A")]


@dataclass(frozen=True)
class Caller(Side):
    """Who called, of whom a client wants to know whether it is a fax; or `fax`."""

    fax: str = "A"

    @property
    def keys(self) -> dict[str, Encodable]:
        return {**super().keys, "fax": self.fax}


@contextmanager
def call(a: Side, b: Side | None = None) -> Iterator[Board]:
    board = Board(a, b or Side())
    try:
        yield board
    finally:
        board.close()


def ears(party: RelayParty) -> int:
    """How many listen to what the party sends."""
    return len(party.rtp._ears)


def calls(party: Party, periods: int = 1) -> None:
    """The party sends its calling tone."""
    coded = audioop.lin2ulaw(tone([1100], 500, level_dbm0=-12), 2)
    period = [coded[at : at + 160] for at in range(0, len(coded), 160)] + [QUIET] * 150
    party.next += [*([QUIET] * 10), *period * periods]


def test_a_caller_that_is_a_fax_is_told_once() -> None:
    with call(Caller()) as board:
        calls(board.a, 3)
        board.speaks(1.6)
        assert board.events == []
        board.speaks(0.3)
        assert board.events == HEARD, "after a second of quiet"
        board.speaks(10)
        assert board.events == HEARD


def test_it_passes_to_the_other_side_bit_for_bit() -> None:
    with call(Caller()) as board:
        calls(board.a)
        board.b.heard.clear()
        sent = list(board.a.next)
        board.speaks(len(sent) * 0.02)
        assert [each.payload for each in board.b.heard] == sent
        assert len({each.ssrc for each in board.b.heard}) == 1


def test_a_pause_in_which_nothing_is_sent_is_quiet() -> None:
    """A gateway that detects silence sends nothing between two periods."""
    with call(Caller()) as board:
        calls(board.a, 2)
        board.a.next = [[] if each == QUIET else each for each in board.a.next]
        board.speaks(3.5)
        assert board.events == []
        board.speaks(1)
        assert board.events == HEARD, "with the first packet of the next"


def test_where_nobody_asks_nothing_is_looked_at() -> None:
    with call(Side()) as board:
        calls(board.a)
        board.speaks(3)
        assert board.events == []
        party = board.sessions.find("call").parties["A"]
        assert not ears(party)


def test_the_other_side_may_whistle() -> None:
    with call(Caller()) as board:
        calls(board.b)
        board.speaks(3)
        assert board.events == []


def test_a_caller_is_listened_to_for_a_minute() -> None:
    with call(Caller()) as board:
        party = board.sessions.find("call").parties["A"]
        board.speaks(LISTENED / 8000 - 2)
        assert ears(party) == 1
        board.speaks(3)
        assert not ears(party)
        calls(board.a)
        board.speaks(3)
        assert board.events == []


def test_one_that_rings_off_is_listened_to_no_more() -> None:
    with call(Caller()) as board:
        calls(board.a)
        board.speaks(0.5)
        party = board.sessions.find("call").parties["A"]
        assert board.ask("delete", call_id="call")["result"] == "ok"
        assert not ears(party)


def test_a_tag_that_nobody_has_changes_nothing() -> None:
    with call(Caller(fax="X")) as board:
        calls(board.a)
        board.speaks(3)
        assert board.events == []


def test_a_wish_that_is_no_tag_is_refused() -> None:
    desk = Desk(Form.JSON)
    assert desk.offer(notify=1, fax=1)["result"] == "error"
    assert desk.offer(notify=1, fax="A", sdp=SDP)["result"] == "ok"
    desk.sessions.close(desk.now)
    desk.passes(60)


def test_a_notice_is_read() -> None:
    event: Decoded = {"event": "fax-tone", "call-id": "c", "tag": "a", "number": 1}
    read = list(NoticeReader().take({"notify": "run", "events": [event]}, 7.0))
    assert read == [("c", FaxTone(party="a", at=7.0))]


@pytest.mark.parametrize("asked", [True, False])
@virtual_time
async def test_the_client_asks_for_it_where_it_is_wanted(asked: bool) -> None:
    async with RelayHere(free_ports(40)) as relay:
        assert Capability.FAX_TONE in relay.capabilities
        relay.listen("c", print, fax_of="a" if asked else None)
        await relay.offer("c", "a", SDP)
        listening = relay.sessions.find("c").listening
        assert listening is not None
        assert listening.wish.fax == ("a" if asked else None)
        await relay.delete("c")
        assert relay._fax_of == {}
