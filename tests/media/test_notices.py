"""Events from the relay to its client over a network that loses and repeats; time is virtual."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.media.events import Digit
from sip.media.ng.bencode import Decoded
from sip.media.ng.form import Form, decode
from sip.media.ng.notices import COOKIE, NoticeReader
from sip.media.relay.notices import (
    FIRST_WAIT_S,
    GONE_S,
    MAX_EVENTS,
    MAX_QUEUE,
    Client,
    Event,
    Notices,
)
from sip.media.relay.timers import Timers

CLIENT = Client(("127.0.0.1", 40000), Form.JSON)


class Wire:
    """The relay's notices on one side, a client's reader on the other, and time."""

    def __init__(self, run: str = "first") -> None:
        self.timers = Timers()
        self.problems: list[str] = []
        self.sent: list[bytes] = []
        self.notices = Notices(run, lambda data, to: self.sent.append(data), self.timers, self)
        self.reader = NoticeReader()
        self.now = 1000.0
        self.heard: list[str] = []

    def problem(self, event: str, **fields: object) -> None:
        self.problems.append(event)

    def press(self, digit: str) -> None:
        event: Event = {
            "event": "digit",
            "call-id": "c",
            "tag": "a",
            "digit": digit,
            "duration": 100,
        }
        self.notices.tell(CLIENT, event, self.now)

    def deliver(self, datagram: bytes, *, acknowledged: bool = True) -> None:
        cookie, _, body = datagram.partition(b" ")
        assert cookie.startswith(COOKIE)
        for call_id, event in self.reader.take(decode(body)[0], self.now):
            assert call_id == "c"
            assert isinstance(event, Digit)
            self.heard.append(event.digit)
        if acknowledged:
            reply: dict[str, Decoded] = {"result": "ok", "number": self.reader.last}
            self.notices.acknowledged(CLIENT.address, reply, self.now)

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.timers.run(self.now)


def test_an_event_is_sent_at_once_and_no_more_once_it_is_acknowledged() -> None:
    wire = Wire()
    wire.press("1")
    assert len(wire.sent) == 1
    wire.deliver(wire.sent[0])
    wire.passes(GONE_S * 2)
    assert len(wire.sent) == 1
    assert wire.heard == ["1"]


def test_a_notice_that_is_lost_is_repeated() -> None:
    wire = Wire()
    wire.press("1")
    wire.passes(FIRST_WAIT_S)
    assert wire.sent[1] == wire.sent[0]
    wire.deliver(wire.sent[1])
    assert wire.heard == ["1"]


def test_an_acknowledgement_that_is_lost_tells_nothing_twice() -> None:
    wire = Wire()
    wire.press("1")
    wire.deliver(wire.sent[0], acknowledged=False)
    wire.passes(FIRST_WAIT_S)
    wire.deliver(wire.sent[1])
    assert wire.heard == ["1"]


def test_what_follows_a_lost_notice_brings_it_along_and_in_order() -> None:
    wire = Wire()
    wire.press("1")
    wire.press("2")
    wire.deliver(wire.sent[1])
    assert wire.heard == ["1", "2"]
    wire.deliver(wire.sent[0])
    assert wire.heard == ["1", "2"], "and late it is nothing new"


def test_a_client_that_is_gone_is_given_up() -> None:
    wire = Wire()
    wire.press("1")
    for _ in range(100):
        wire.passes(0.5)
    assert wire.problems == ["relay.notice-lost"]
    count = len(wire.sent)
    wire.passes(60)
    assert len(wire.sent) == count < 40
    wire.press("2")
    wire.deliver(wire.sent[-1])
    assert wire.heard == ["2"], "one that comes back hears what is new"


def test_more_than_a_datagram_holds_goes_in_several() -> None:
    wire = Wire()
    for n in range(MAX_EVENTS * 2 + 5):
        wire.press(str(n % 10))
    assert all(len(datagram) < 65_000 for datagram in wire.sent)
    while wire.sent:
        wire.deliver(wire.sent.pop())
    assert wire.heard == [str(n % 10) for n in range(MAX_EVENTS * 2 + 5)]


def test_what_waits_is_bounded_and_the_loss_is_said() -> None:
    wire = Wire()
    for _ in range(MAX_QUEUE + 3):
        wire.press("1")
    assert wire.problems == ["relay.notice-lost"] * 3


def test_another_run_of_the_relay_counts_from_one_again() -> None:
    wire, later = Wire("first"), Wire("second")
    wire.press("1")
    wire.deliver(wire.sent[0])
    later.reader, later.heard = wire.reader, wire.heard
    later.press("2")
    later.deliver(later.sent[0])
    assert wire.heard == ["1", "2"]


@pytest.mark.parametrize(
    "notice",
    [{}, {"notify": "r"}, {"notify": "r", "events": 5}, {"notify": "r", "events": [1, "x"]},
     {"notify": "r", "events": [{"number": 1, "event": "sneeze"}]},
     {"notify": 7, "events": [{"number": "x", "event": "digit"}]}],
)  # fmt: skip
def test_a_strange_notice_tells_nothing(notice: dict[str, object]) -> None:
    assert list(NoticeReader().take(notice, 0.0)) == []  # type: ignore[arg-type]


@given(fates=st.lists(st.sampled_from(["both", "lost", "unanswered", "twice"]), max_size=30))
def test_whatever_the_network_does_each_is_heard_once_and_in_order(fates: list[str]) -> None:
    wire = Wire()
    pressed: list[str] = []
    for index, fate in enumerate(fates):
        pressed.append(str(index % 10))
        wire.press(pressed[-1])
        datagrams, wire.sent = wire.sent, []
        for datagram in datagrams:
            if fate != "lost":
                wire.deliver(datagram, acknowledged=fate != "unanswered")
            if fate == "twice":
                wire.deliver(datagram)
        wire.passes(0.07)
    for _ in range(5):
        wire.passes(0.5)
        while wire.sent:
            wire.deliver(wire.sent.pop(0))
    assert wire.heard == pressed
    assert wire.problems == []
