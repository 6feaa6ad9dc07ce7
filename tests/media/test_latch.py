"""The rules by which a source is a party's, pair by pair. Addresses are of RFC 5737 and 3849.

What they come to on the wire is told in test_sources.py.
"""

from itertools import product

import pytest

from sip.media.relay import policy
from sip.media.relay.latch import LATE_S, SILENCE_S, Latch, SocketAddress, Standing
from sip.media.terms import Signalling

SDP = ("192.0.2.10", 4000)
LEFT = ("192.0.2.10", 3998)
SAME_IP = ("192.0.2.10", 61000)
OTHER_PORT = ("192.0.2.10", 61002)
NEIGHBOUR = ("192.0.2.77", 4000)
SIGNALLING = ("198.51.100.5", 33333)
STRANGER = ("203.0.113.66", 4000)
ELSEWHERE = Signalling(SIGNALLING[0])

#: A silence that is long enough.
LONG_S = SILENCE_S * 1.1

#: A source of each standing, and a second one of the only standing that has many.
SOURCES = {Standing.LEFT: LEFT, Standing.OWN_HOST: SAME_IP, Standing.SIGNALLED: SDP}

#: Who takes the place of whom, if it speaks for long after the other fell silent.
TAKES = {
    (Standing.FOREIGN, Standing.LEFT),
    (Standing.FOREIGN, Standing.OWN_HOST),
    (Standing.FOREIGN, Standing.SIGNALLED),
    (Standing.LEFT, Standing.OWN_HOST),
    (Standing.LEFT, Standing.SIGNALLED),
    (Standing.OWN_HOST, Standing.OWN_HOST),
    (Standing.OWN_HOST, Standing.SIGNALLED),
    (Standing.SIGNALLED, Standing.OWN_HOST),
}


def latch(expected: SocketAddress = SDP, signalling: Signalling = ELSEWHERE) -> Latch:
    """One whose party has moved from `LEFT` to `expected`, and has not spoken since."""
    fresh = Latch()
    fresh.expect(LEFT, -100.0)
    assert judge(fresh, LEFT, -99.0)
    fresh.expect(expected, 0.0, signalling=signalling)
    return fresh


def judge(
    latch: Latch, source: SocketAddress, now: float, *, silent_s: float = 0.0, goes_on: bool = False
) -> bool:
    """One packet, `silent_s` after the last one that was taken."""
    return latch.judge(source, now, heard_at=now - silent_s, goes_on=goes_on)


def holding(standing: Standing) -> Latch:
    """One that has learned a source of this standing."""
    fresh = latch()
    if standing is not Standing.FOREIGN:
        for now in (10.0, 10.0 + LONG_S):
            judge(fresh, SOURCES[standing], now)
        assert fresh.source == SOURCES[standing]
    return fresh


@pytest.mark.parametrize(("held", "new"), list(product(Standing, Standing)))
def test_who_takes_the_place_of_whom(held: Standing, new: Standing) -> None:
    """All pairs, with nothing else to hinder: a pair without a rule changes nothing."""
    sources = {**SOURCES, Standing.FOREIGN: STRANGER}
    source = sources[new]
    if held is new:
        source = {Standing.OWN_HOST: OTHER_PORT, Standing.FOREIGN: NEIGHBOUR}.get(new, source)
    taken = holding(held)
    before = taken.source
    judge(taken, source, 20.0, silent_s=9.0, goes_on=True)
    judge(taken, source, 20.0 + LONG_S, silent_s=9.0, goes_on=True)
    assert (taken.source != before) is ((held, new) in TAKES)


@pytest.mark.parametrize("held", [Standing.OWN_HOST, Standing.SIGNALLED])
@pytest.mark.parametrize(
    ("silent_s", "goes_on", "moves"),
    [
        (LONG_S, True, True),
        (SILENCE_S * 0.9, True, False),
        (3600.0, False, False),
        (0.0, False, False),
    ],
)
def test_a_port_moves_after_a_silence_if_the_stream_goes_on(
    held: Standing, silent_s: float, goes_on: bool, moves: bool
) -> None:
    taken = holding(held)
    assert judge(taken, OTHER_PORT, 5000.0, silent_s=silent_s, goes_on=goes_on) is moves


def test_a_stream_does_not_move_between_the_hosts_of_a_party() -> None:
    """Signalling and media of a carrier may be two hosts; its stream stays on one."""
    taken = holding(Standing.SIGNALLED)
    assert not judge(taken, SIGNALLING, 100.0, silent_s=50.0, goes_on=True)


def test_the_sdps_port_has_its_time_to_speak() -> None:
    taken = latch()
    assert not judge(taken, SAME_IP, 1.0)
    assert not judge(taken, SAME_IP, 1.0 + SILENCE_S * 0.9)
    assert taken.source is None
    assert judge(taken, SAME_IP, 1.0 + LONG_S)
    assert judge(taken, SDP, 3600.0)
    assert not judge(taken, SAME_IP, 3600.0)


def test_of_two_ports_that_speak_the_first_one_is_waited_for() -> None:
    taken = latch()
    judge(taken, SAME_IP, 1.0)
    assert not judge(taken, OTHER_PORT, 1.1)
    assert judge(taken, SAME_IP, 1.0 + LONG_S)


def test_a_single_packet_does_not_hold_up_who_speaks_on() -> None:
    taken = latch()
    judge(taken, SAME_IP, 1.0)
    assert not judge(taken, OTHER_PORT, 1.0 + LONG_S)
    assert judge(taken, OTHER_PORT, 1.0 + 2 * LONG_S)


@pytest.mark.parametrize("expected", [("10.1.2.3", 4000), ("100.64.0.9", 4000), None])
def test_a_private_port_behind_nat_is_not_waited_for(expected: SocketAddress | None) -> None:
    """Nor is one that is not named: an offer on hold by ``c=0.0.0.0``."""
    fresh = Latch()
    fresh.expect(expected, 0.0, signalling=ELSEWHERE)
    assert not judge(fresh, STRANGER, 0.1)
    assert judge(fresh, SIGNALLING, 0.1)


def test_late_packets_of_the_address_that_was_left_are_not_taken() -> None:
    taken = latch()
    assert not judge(taken, LEFT, LATE_S * 0.9)
    assert judge(taken, LEFT, LATE_S), "nobody else came: its mapping has not changed"
    assert judge(taken, SAME_IP, LATE_S), "whoever comes has it at once"
    assert not judge(taken, LEFT, 3600.0, silent_s=60.0, goes_on=True)


def test_the_address_that_was_left_may_be_signalled_again() -> None:
    taken = holding(Standing.SIGNALLED)
    assert taken.expect(LEFT, 50.0) is True
    assert judge(taken, LEFT, 50.1)
    assert not judge(taken, SDP, 50.2)


def test_who_began_on_hold_has_left_nothing() -> None:
    """An offer with ``c=0.0.0.0`` names no address: the first that is named leaves none behind."""
    fresh = Latch()
    fresh.expect(None, 0.0, signalling=ELSEWHERE)
    assert judge(fresh, SIGNALLING, 0.1)
    fresh.expect(("10.1.2.3", 4000), 5.0, signalling=ELSEWHERE)
    assert judge(fresh, SIGNALLING, 5.1)


def test_the_same_address_signalled_again_keeps_what_was_learned() -> None:
    """A 200 with the SDP of the 183, a refresh, a hold: no second chance to get in."""
    taken = holding(Standing.OWN_HOST)
    for expected in (SDP, None, SDP):
        assert taken.expect(expected, 60.0, signalling=ELSEWHERE) is False
        assert taken.source == SAME_IP
        assert not judge(taken, OTHER_PORT, 70.0, silent_s=10.0)


def test_a_party_that_resumes_may_begin_anew_at_another_port() -> None:
    taken = holding(Standing.OWN_HOST)
    taken.expect(SDP, 60.0, signalling=ELSEWHERE, resumes=True)
    assert not judge(taken, OTHER_PORT, 60.1, silent_s=0.0), "it has been heard since"
    assert not judge(taken, STRANGER, 60.1, silent_s=30.0)
    assert judge(taken, OTHER_PORT, 60.1, silent_s=30.0)


def test_ipv6() -> None:
    expected = ("2001:db8:0:1::10", 4000, 0, 0)
    fresh = Latch()
    fresh.expect(expected, 0.0)
    assert not judge(fresh, ("2001:db8:0:1::11", 4000, 0, 0), 0.1)
    assert judge(fresh, expected, 0.2)


@pytest.mark.parametrize(
    ("sdp", "signalling", "patience_s"),
    [
        ("192.168.1.7", Signalling("198.51.100.5"), 0.0),
        ("172.31.0.1", Signalling("10.0.0.1", direct=True), 0.0),
        ("fd00::7", Signalling("2001:db8::1"), 0.0),
        (None, None, 0.0),
        ("192.168.1.7", Signalling("192.168.1.7"), policy.UNSURE_S),
        ("172.32.0.1", Signalling("198.51.100.5"), policy.UNSURE_S),
        ("192.0.2.10", Signalling("198.51.100.5", direct=True), policy.UNSURE_S),
        ("10.0.0.1", None, policy.UNSURE_S),
        ("192.0.2.10", Signalling("192.0.2.10", direct=True), policy.DIRECT_S),
        ("192.168.1.7", Signalling("192.168.1.7", direct=True), policy.DIRECT_S),
    ],
)
def test_how_long_the_sdps_port_is_waited_for(
    sdp: str | None, signalling: Signalling | None, patience_s: float
) -> None:
    assert policy.patience_s(sdp, signalling) == patience_s


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("10.1.2.3", "10.1.2.3"),
        ("0.0.0.0", None),
    ],
)
def test_where_media_may_go(text: str, normal: str | None) -> None:
    assert policy.media_address(text, 4) == normal


@pytest.mark.parametrize(
    ("text", "version", "why"),
    [
        ("224.2.1.1", 4, "multicast"),
        ("ff02::1", 6, "multicast"),
        ("255.255.255.255", 4, "reserved"),
        ("240.0.0.1", 4, "reserved"),
        ("2001:db8::1", 4, "not IPv4"),
        ("192.0.2.1", 6, "not IPv6"),
        ("::ffff:192.0.2.1", 6, "mapped"),
        ("sip.example.com", 4, "no IP address"),
        ("010.0.0.1", 4, "no IP address"),
    ],
)
def test_where_media_may_not_go(text: str, version: int, why: str) -> None:
    with pytest.raises(policy.AddressRefusedError, match=why):
        policy.media_address(text, version)


def test_an_ipv6_address_has_one_spelling() -> None:
    assert policy.media_address("2001:DB8:0:0::1", 6) == "2001:db8::1"
    assert policy.media_address("::1", 6) == "::1"
    assert policy.media_address("::", 6) is None
