"""Whose audio is heard: stories of moves, announcements and theft, on virtual time."""

from collections.abc import Iterator

import pytest

from sip.media.relay.policy import DIRECT_S, UNSURE_S
from tests.media.street import (
    NAT,
    NEIGHBOUR,
    PHONE,
    PRIVATE,
    PTIME_S,
    STRANGER,
    Speaker,
    Street,
)
from tests.media.talk import key_packets

#: Longer than any wait of the relay's.
LONG_S = 10.0
#: What is lost of a second, at most, while a move is made sure of.
MOST = 39


@pytest.fixture
def street() -> Iterator[Street]:
    street = Street()
    yield street
    street.close()


def behind_nat(street: Street, port: int = 4000, again: Speaker | None = None) -> Speaker:
    """A phone whose SDP names a private address, invited; `again` is it before a re-INVITE."""
    phone = street.speaker(NAT) if again is None else again.moved()
    street.invite(phone, address=PRIVATE, port=port, again=again is not None)
    return phone


# the SDP's address


@pytest.mark.parametrize("thief_host", [PHONE, NEIGHBOUR, STRANGER])
@pytest.mark.parametrize("head_start_s", [0.02, 0.2, 1.0, 4.0, 60.0])
@pytest.mark.parametrize("direct", [True, False])
def test_who_speaks_first_keeps_nothing_from_the_sdps_address(
    street: Street, thief_host: str, head_start_s: float, direct: bool
) -> None:
    """A source of the same host or network, long before the party's first packet."""
    phone, thief = street.speaker(PHONE), street.speaker(thief_host)
    street.invite(phone, direct=direct)
    heard = street.heard_of(thief, head_start_s)
    patience_s = DIRECT_S if direct else UNSURE_S
    assert heard == 0 or (thief_host == PHONE and head_start_s > patience_s)
    assert street.heard(1.0, phone, thief) == [50, 0]
    assert phone.hears_the_agent()
    assert not thief.hears_the_agent()
    street.passes(LONG_S)
    assert street.heard_of(thief, 10.0) == 0, "nor while the party is silent"
    assert street.heard_of(phone, 1.0) == 50


@pytest.mark.parametrize(("direct", "heard"), [(False, 390), (True, 150)])
def test_an_announcement_from_another_port_ends_with_the_partys_first_packet(
    street: Street, direct: bool, heard: int
) -> None:
    """Early media of the same host, and after the answer the SDP's own port."""
    phone, ring = street.speaker(PHONE), street.speaker(PHONE)
    street.invite(phone, direct=direct)
    assert heard - 1 <= street.heard_of(ring, 8.0) <= heard
    assert street.heard_of(phone, 1.0) == 50
    assert phone.hears_the_agent()
    assert street.heard(1.0, phone, ring) == [50, 0]


@pytest.mark.parametrize("host", [STRANGER, NEIGHBOUR])
def test_from_a_third_address_nothing_is_heard(street: Street, host: str) -> None:
    """Not first, not after any silence, not with the party's own SSRC and sequence numbers."""
    phone, stranger = street.speaker(PHONE), street.speaker(host)
    street.invite(phone)
    assert street.heard_of(stranger, 5.0) == 0
    assert street.heard_of(phone, 1.0) == 50
    street.passes(LONG_S)
    assert street.heard_of(phone.moved(host), 5.0) == 0
    assert street.heard_of(phone) == 1


# symmetric RTP and NAT


def test_a_phone_behind_nat_is_heard_at_once_and_answered_there(street: Street) -> None:
    phone = behind_nat(street)
    assert street.heard_of(phone, 1.0) == 50
    assert phone.hears_the_agent()


def test_a_wrong_port_in_the_sdp_is_waited_for_and_then_given_up(street: Street) -> None:
    """A public address in the SDP, and a NAT that rewrites ports: RFC 4961."""
    phone = street.speaker(PHONE)
    street.invite(phone, port=9)
    assert MOST <= street.heard_of(phone, 1.0) < 50
    assert phone.hears_the_agent()
    assert street.heard_of(phone, 1.0) == 50


def test_no_other_port_is_heard_while_the_party_sends(street: Street) -> None:
    """From the party's own address, even with its SSRC and the next sequence numbers."""
    phone = behind_nat(street)
    assert street.heard_of(phone, 1.0) == 50
    thief, double = street.speaker(NAT), phone.moved()
    double.seq += 2
    assert street.heard(2.0, phone, thief, double) == [100, 0, 0]
    assert phone.hears_the_agent()


# a port that changes in the middle of a call


@pytest.mark.parametrize("silence_s", [0.0, 0.1, 3.0, 8.0, 50.0])
@pytest.mark.parametrize("nat", [True, False])
def test_a_stream_that_goes_on_from_another_port_is_followed(
    street: Street, silence_s: float, nat: bool
) -> None:
    """The NAT's mapping was lost: 200 ms after the old port's last packet at the latest."""
    if nat:
        phone = behind_nat(street)
    else:
        phone = street.speaker(PHONE)
        street.invite(phone)
    street.heard_of(phone, 1.0)
    street.passes(silence_s)
    moved = phone.moved()
    assert street.heard_of(moved, 2.0) >= 100 - max(0.0, 0.2 - silence_s) / PTIME_S - 1
    assert moved.hears_the_agent()
    phone.seq = moved.seq
    if nat:
        assert street.heard(1.0, phone, moved) == [0, 50], "the old port is another port now"
    else:
        assert street.heard(1.0, phone, moved) == [50, 0], "the SDP's own port never is"


def test_a_mapping_may_change_twice_and_back(street: Street) -> None:
    phone = behind_nat(street)
    street.heard_of(phone, 1.0)
    other = phone.moved()
    assert street.heard_of(other, 1.0) >= MOST
    phone.seq = other.seq
    assert street.heard_of(phone, 1.0) >= MOST
    assert phone.hears_the_agent()


def test_the_loss_of_a_move_is_counted_in_the_streams_own_sequence(street: Street) -> None:
    phone = behind_nat(street)
    street.heard_of(phone, 1.0)
    moved = phone.moved()
    passed = street.heard_of(moved, 1.0)
    assert street.caller_stats()["lost"] == 50 - passed


@pytest.mark.parametrize("silence_s", [0.3, 3.0, 3600.0])
@pytest.mark.parametrize(("ssrc", "ahead"), [(0xBAD, 1), (None, -50), (None, 20_000)])
def test_another_stream_is_not_followed_after_any_silence(
    street: Street, silence_s: float, ssrc: int | None, ahead: int
) -> None:
    """Another SSRC, or a sequence that does not go on."""
    phone = behind_nat(street)
    street.heard_of(phone, 2.0)
    street.passes(silence_s)
    thief = phone.moved()
    thief.ssrc = ssrc or phone.ssrc
    thief.seq += ahead
    assert street.heard_of(thief, 0.9) == 0
    assert street.heard_of(phone, 1.0) == 50


# an address that is signalled anew


@pytest.mark.parametrize("late_s", [0.0, PTIME_S, 0.5])
@pytest.mark.parametrize("nat", [True, False])
def test_a_reinvite_moves_the_party_and_late_packets_do_not_move_it_back(
    street: Street, late_s: float, nat: bool
) -> None:
    if nat:
        old = behind_nat(street)
    else:
        old = street.speaker(PHONE)
        street.invite(old)
    street.heard_of(old, 1.0)
    if nat:
        new = behind_nat(street, 4002, again=old)
    else:
        new = old.moved()
        street.invite(new, again=True)
    assert street.heard_of(old, late_s) == 0
    new.seq = old.seq
    assert street.heard_of(new, 1.0) == 50
    assert new.hears_the_agent()
    assert street.heard(3.0, old, new) == [0, 150]
    street.passes(LONG_S)
    old.seq = new.seq
    assert street.heard_of(old, 5.0) == 0, "nor after a silence"
    assert street.heard_of(new, 1.0) == 50


def test_a_second_move_before_a_word_was_said_leaves_the_first_address_behind_too(
    street: Street,
) -> None:
    old = behind_nat(street)
    street.heard_of(old, 1.0)
    behind_nat(street, 4002, again=old)
    new = behind_nat(street, 4004, again=old)
    assert street.heard_of(old, 0.5) == 0
    assert street.heard_of(new, 1.0) == 50


def test_a_mapping_that_outlives_its_signalled_address_is_heard_again(street: Street) -> None:
    """The phone's SDP has changed and its NAT's mapping has not: nobody speaks from elsewhere."""
    phone = behind_nat(street)
    street.heard_of(phone, 1.0)
    street.invite(phone, address="10.0.0.6", port=4000, again=True)
    assert street.heard_of(phone, 2.4) == 0
    assert street.heard_of(phone, 1.0) >= MOST
    assert phone.hears_the_agent()
    other = phone.moved()
    other.ssrc += 1
    assert street.heard_of(other, 1.0) == 50, "and whoever comes from elsewhere has it at once"
    assert street.heard(1.0, phone, other) == [0, 50]


def test_a_reinvite_that_is_not_answered_moves_nothing(street: Street) -> None:
    phone = street.speaker(PHONE)
    street.invite(phone)
    street.heard_of(phone, 1.0)
    street.refuse(phone, 4002)
    assert street.heard_of(phone, 1.0) == 50
    assert phone.hears_the_agent()


def test_a_refresh_opens_nothing(street: Street) -> None:
    """Session timers repeat the description all day, for an attacker to wait for."""
    phone = behind_nat(street)
    street.heard_of(phone, 1.0)
    street.passes(LONG_S)
    street.invite(phone, address=PRIVATE, port=4000, again=True)
    assert street.heard_of(street.speaker(NAT), 5.0) == 0
    assert street.heard_of(phone, 1.0) == 50


# hold


@pytest.mark.parametrize(
    ("address", "direction"),
    [(PRIVATE, "inactive"), (PRIVATE, "recvonly"), ("0.0.0.0", "sendrecv")],
)
def test_hold_and_resume(street: Street, address: str, direction: str) -> None:
    """What was learned holds; and if the mapping is another after it, that is learned."""
    phone = behind_nat(street)
    street.heard_of(phone, 1.0)
    for silence_s in (1.0, 300.0):
        street.invite(phone, address=address, port=4000, direction=direction, again=True)
        street.passes(silence_s)
        street.invite(phone, address=PRIVATE, port=4000, again=True)
        assert phone.hears_the_agent()
        assert street.heard_of(phone, 1.0) == 50
    street.invite(phone, address=address, port=4000, direction=direction, again=True)
    street.passes(300.0)
    moved = phone.moved()
    moved.ssrc += 1  # as some begin a stream anew when they resume
    assert street.heard_of(moved, 5.0) == 0, "not while it holds"
    street.invite(moved, address=PRIVATE, port=4000, again=True)
    assert street.heard_of(moved, 1.0) == 50
    assert moved.hears_the_agent()


def test_after_a_resume_another_port_has_no_chance_once_the_party_spoke(street: Street) -> None:
    phone = behind_nat(street)
    street.heard_of(phone, 1.0)
    street.invite(phone, address=PRIVATE, port=4000, direction="inactive", again=True)
    street.passes(300.0)
    street.invite(phone, address=PRIVATE, port=4000, again=True)
    assert street.heard_of(phone) == 1
    street.passes(LONG_S)
    assert street.heard_of(street.speaker(NAT), 5.0) == 0


# what goes beside audio


def test_rtcp_has_a_mapping_of_its_own(street: Street) -> None:
    """Its port is learned apart, and it moves as audio does: with its SSRC, after a silence."""
    phone = behind_nat(street)
    assert street.reported(phone)
    thief = street.speaker(NAT)
    street.passes(5.0)
    assert not street.reported(thief)
    assert not street.reported(street.speaker(STRANGER))
    moved = phone.moved()
    assert street.reported(moved)
    street.passes(0.1)
    assert not street.reported(phone), "the old port, too soon"


def test_rtcp_of_the_sdp_displaces_a_guess(street: Street) -> None:
    phone, thief = street.speaker(PHONE), street.speaker(PHONE)
    street.invite(phone)
    street.reported(thief)
    street.passes(5.0)
    assert street.reported(thief)
    assert street.reported(phone)
    street.passes(5.0)
    assert not street.reported(thief)


@pytest.mark.parametrize("beside_audio", [True, False])
def test_keys_with_an_ssrc_of_their_own_pass(street: Street, beside_audio: bool) -> None:
    """From the audio's address; the first of a silent party's packets may be a key."""
    phone = behind_nat(street)
    if beside_audio:
        assert street.heard_of(phone, 1.0) == 50
    keys = key_packets(101, 5, seq=7, timestamp=99, ssrc=phone.ssrc ^ 0x55, packets=9)
    for key in keys:
        street.deliver(phone.rtp, key, street.caller_port)
        assert street.arrived(street.agent.rtp) == [key]
        assert street.heard_of(phone) == 1, "and so does the audio"
    thief = street.speaker(NAT)
    street.deliver(thief.rtp, keys[0], street.caller_port)
    assert street.arrived(street.agent.rtp) == []
