"""Which source is a party's, in virtual time. Addresses are documentation's (RFC 5737, 3849)."""

import pytest

from sip.media.plane import Learn
from sip.media.relay import policy
from sip.media.relay.latch import WINDOW_S, Latch, SocketAddress

SDP = ("192.0.2.10", 4000)
SAME_IP = ("192.0.2.10", 61000)
NEIGHBOUR = ("192.0.2.77", 4000)
NAT = ("198.51.100.5", 33333)
STRANGER = ("203.0.113.66", 4000)

LATE = WINDOW_S + 0.1


def latch(
    expected: SocketAddress | None = SDP,
    *,
    signalling_ip: str | None = None,
    learn: Learn = Learn.PEER,
) -> Latch:
    fresh = Latch()
    fresh.expect(expected, 0.0, signalling_ip=signalling_ip, learn=learn)
    return fresh


@pytest.mark.parametrize("learn", list(Learn))
@pytest.mark.parametrize("at", [0.0, WINDOW_S, LATE, 3600.0])
def test_the_address_of_the_sdp_is_always_taken(learn: Learn, at: float) -> None:
    assert latch(learn=learn).judge(SDP, at)


@pytest.mark.parametrize(
    ("learn", "source", "early", "late"),
    [
        (Learn.PEER, SAME_IP, True, True),
        (Learn.PEER, NAT, True, True),
        (Learn.PEER, NEIGHBOUR, True, False),
        (Learn.PEER, STRANGER, False, False),
        (Learn.ANY, STRANGER, True, False),
        (Learn.ANY, SAME_IP, True, True),
        (Learn.SDP, SAME_IP, False, False),
        (Learn.SDP, NAT, False, False),
    ],
)
def test_who_may_be_learned_and_when(
    learn: Learn, source: SocketAddress, early: bool, late: bool
) -> None:
    """The signalling came from NAT's address; what IP equality proves, it proves later too."""
    assert latch(signalling_ip=NAT[0], learn=learn).judge(source, 1.0) is early
    assert latch(signalling_ip=NAT[0], learn=learn).judge(source, LATE) is late


def test_without_the_signalling_address_a_natted_source_is_a_stranger() -> None:
    assert not latch().judge(NAT, 0.1)


def test_once_learned_nobody_else_is() -> None:
    taken = latch(learn=Learn.ANY)
    assert taken.judge(SAME_IP, 0.1)
    for other in (NEIGHBOUR, NAT, STRANGER):
        assert not taken.judge(other, 0.2)
    assert taken.source == SAME_IP


def test_the_sdps_address_displaces_a_merely_plausible_one_early() -> None:
    """An attacker in the same network who is first loses to the party itself."""
    taken = latch()
    assert taken.judge(NEIGHBOUR, 0.1)
    assert taken.judge(SDP, 0.2)
    assert not taken.judge(NEIGHBOUR, 0.3)
    assert taken.source == SDP


def test_after_the_window_a_learned_source_is_locked_even_against_the_sdps() -> None:
    taken = latch()
    assert taken.judge(SAME_IP, 0.1)
    assert not taken.judge(SDP, LATE)
    assert taken.source == SAME_IP


def test_the_same_address_signalled_again_keeps_the_lock() -> None:
    """A 200 with the SDP of the 183, or a session refresh: no second chance to get in."""
    taken = latch()
    assert taken.judge(SDP, 0.1)
    assert taken.expect(SDP, 60.0) is False
    assert not taken.judge(SAME_IP, 60.1)
    assert taken.source == SDP


def test_another_address_signalled_opens_learning_again() -> None:
    taken = latch()
    assert taken.judge(SDP, 0.1)
    moved = ("198.51.100.20", 6000)
    assert taken.expect(moved, 60.0) is True
    assert taken.source is None
    assert not taken.judge(SDP, 60.1), "the old address is a stranger's now"
    assert taken.judge(moved, 60.2)


def test_a_late_answer_opens_the_window_of_who_has_not_spoken() -> None:
    """183 with SDP, half a minute of ringing, then 200 with the same SDP and the first packet."""
    silent = latch()
    assert silent.expect(SDP, 30.0) is False
    assert silent.judge(NEIGHBOUR, 30.0 + WINDOW_S)


def test_hold_and_resume_keep_what_was_learned() -> None:
    held = latch()
    assert held.judge(SAME_IP, 0.1)
    held.expect(None, 10.0)
    assert held.source == SAME_IP
    assert held.expect(SDP, 20.0) is False
    assert held.source == SAME_IP


def test_an_offer_on_hold_learns_by_the_signalling_address_only() -> None:
    held = latch(None, signalling_ip=NAT[0])
    assert not held.judge(STRANGER, 0.1)
    assert held.judge(NAT, 0.2)


def test_ipv6_neighbours_share_a_64() -> None:
    expected = ("2001:db8:0:1::10", 4000, 0, 0)
    assert latch(expected).judge(("2001:db8:0:1:ffff::1", 5000, 0, 0), 0.1)
    assert not latch(expected).judge(("2001:db8:0:2::1", 5000, 0, 0), 0.1)


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
