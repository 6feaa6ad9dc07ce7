"""How long a connection may live: pure, by the second."""

import pytest

from sip.log_throttle import Throttle
from sip.transport.stranger_quota import StrangerQuota
from sip.transport.stream_limits import ConnectionClock, Deaf, End, Ping, StreamLimits

LIMITS = StreamLimits(
    handshake_s=10, first_message_s=30, message_s=20, idle_s=300, per_source=2, together=3
)


def accepted() -> ConnectionClock:
    line = ConnectionClock(0, ours=False, limits=LIMITS, keepalive_s=30)
    line.established = True
    return line


def opened() -> ConnectionClock:
    line = ConnectionClock(0, ours=True, limits=LIMITS, keepalive_s=30)
    line.established = True
    return line


def message(line: ConnectionClock, now: float, *, waiting: bool = False) -> None:
    line.heard(now, pong=False, messages=True, waiting=waiting)


def piece(line: ConnectionClock, now: float) -> None:
    line.heard(now, pong=False, messages=False, waiting=True)


def kind(line: ConnectionClock, now: float) -> str | None:
    due = line.due(now)
    if isinstance(due, Ping | Deaf):
        return type(due).__name__.lower()
    return None if due is None else due.kind


def test_a_handshake_that_is_not_finished() -> None:
    for ours in (True, False):
        line = ConnectionClock(0, ours=ours, limits=LIMITS, keepalive_s=None)
        assert line.due(10) is None
        assert line.due(10.1) == End("no handshake", "no TLS handshake within 10 s")


def test_a_stranger_that_says_nothing() -> None:
    line = accepted()
    assert line.due(30) is None
    assert kind(line, 30.1) == "silent"


def test_pings_alone_are_no_messages() -> None:
    line = accepted()
    for second in range(30):
        line.heard(second, pong=False, messages=False, waiting=False)
    assert kind(line, 31) == "silent"


def test_a_message_a_byte_at_a_time() -> None:
    """The whole message has a limit, so that one byte every few seconds does not help."""
    line = accepted()
    message(line, 1)
    for second in range(100, 121):
        piece(line, second)
        assert line.due(second) is None
    assert line.due(120.1) == End("slow", "a message was not complete after 20 s")


def test_the_next_message_has_its_own_time() -> None:
    line = accepted()
    piece(line, 0)
    message(line, 19, waiting=True)  # one is complete, and the next has begun
    assert line.due(38) is None
    assert kind(line, 39.1) == "slow"


def test_known_peers_must_end_their_messages_too() -> None:
    line = accepted()
    line.kept = True
    piece(line, 0)
    assert kind(line, 20.1) == "slow"


def test_a_stranger_that_stays_without_a_dialog() -> None:
    line = accepted()
    message(line, 5)
    assert line.due(305) is None
    assert kind(line, 305.1) == "idle"


def test_a_peer_that_we_deal_with_may_be_silent_for_days() -> None:
    line = accepted()
    line.kept = True
    assert line.due(86_400 * 7) is None


def test_a_connection_of_ours_that_nobody_uses_any_more() -> None:
    line = ConnectionClock(0, ours=True, limits=LIMITS, keepalive_s=None)
    line.established = True
    message(line, 100)
    assert line.due(100 + 4 * 3600) is None
    assert kind(line, 101 + 4 * 3600) == "idle"


def test_pings_in_silence_and_none_without() -> None:
    """RFC 5626 4.4.1, on connections that we opened."""
    line = opened()
    assert line.due(29.9) is None
    assert line.due(30) == Ping()
    line.pinged(30)
    assert line.due(59) is None
    assert line.due(60) == Ping()
    message(line, 70)
    assert line.due(99) is None


def test_no_pong_where_there_was_one_before() -> None:
    line = opened()
    line.pinged(30)
    line.heard(30.1, pong=True, messages=False, waiting=False)
    line.pinged(61)
    assert line.due(71) is None
    assert kind(line, 71.1) == "no keepalive"


def test_no_pong_where_there_never_was_one() -> None:
    """Many servers know nothing of RFC 5626; the ping still holds the NAT open."""
    line = opened()
    line.pinged(30)
    message(line, 31)
    line.pinged(62)
    assert kind(line, 92) == "ping"


def test_any_word_is_a_sign_of_life() -> None:
    line = opened()
    line.pinged(30)
    line.heard(30.1, pong=True, messages=False, waiting=False)
    line.pinged(61)
    message(line, 62)
    assert line.due(75) is None


def test_strangers_are_counted_by_address_and_together() -> None:
    quota = StrangerQuota(LIMITS)
    assert quota.enter("192.0.2.1")
    assert quota.enter("192.0.2.1")
    assert not quota.enter("192.0.2.1")
    assert quota.enter("192.0.2.2")
    assert not quota.enter("192.0.2.3")  # three together
    quota.leave("192.0.2.1")
    assert quota.enter("192.0.2.3")
    for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        quota.leave(host)
    assert (quota._together, dict(quota._by_host)) == (0, {})


def test_strangers_leave_us_files_to_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (6, 4096))
    quota = StrangerQuota(StreamLimits(per_source=5, together=100))
    assert [quota.enter("192.0.2.1") for _ in range(4)] == [True, True, True, False]


def test_a_complaint_is_news_once_an_hour() -> None:
    throttle = Throttle()
    assert throttle.is_new("192.0.2.1", "expired", 0)
    assert not throttle.is_new("192.0.2.1", "expired", 3599)
    assert throttle.is_new("192.0.2.1", "unknown CA", 3599)
    assert throttle.is_new("192.0.2.2", "expired", 3599)
    assert throttle.is_new("192.0.2.1", "expired", 3601)
    throttle.forget("192.0.2.1")
    assert throttle.is_new("192.0.2.1", "expired", 3602)


def test_a_request_that_nothing_follows_makes_a_connection_doubtful_and_then_ends_it() -> None:
    line = ConnectionClock(0, ours=True, limits=LIMITS, keepalive_s=None)
    line.established = True
    line.asked(10)
    line.asked(11)  # the first is what counts
    assert kind(line, 11.9) is None
    assert kind(line, 12) == "deaf"
    assert kind(line, 13) is None  # told once
    line.asked(30)
    assert kind(line, 32) == "deaf"
    message(line, 40)
    assert kind(line, 80) is None
    line.asked(100)
    assert kind(line, 102) == "deaf"
    assert kind(line, 222) is None
    assert kind(line, 222.1) == "vanished"
