"""Whose encrypted audio is heard: nothing is that the party's key does not prove. Virtual time."""

from collections.abc import Iterator

import pytest

from sip.core.sdp_crypto import Crypto, Suite
from sip.media.relay.rtp_endpoint import CONNECT_AFTER
from sip.media.relay.srtp import LATE_S
from tests.media.street import (
    NAT,
    PHONE,
    PRIVATE,
    PTIME_S,
    STRANGER,
    Speaker,
    Street,
)
from tests.media.talk import receiver_report, rtp

SUITES = list(Suite)


def key(number: int, suite: Suite = Suite.AES_CM_128_HMAC_SHA1_80, tag: int = 1) -> Crypto:
    return Crypto(tag, suite, bytes([number]) * suite.key_size)


@pytest.fixture
def street() -> Iterator[Street]:
    street = Street()
    yield street
    street.close()


def refused(street: Street) -> int:
    count = street.caller_stats()["refused"]
    assert isinstance(count, int)
    return count


def foreign(street: Street) -> int:
    count = street.caller_stats()["foreign"]
    assert isinstance(count, int)
    return count


@pytest.mark.parametrize("suite", SUITES)
def test_speech_and_reports_both_ways(street: Street, suite: Suite) -> None:
    """Encrypted towards the phone, in the clear towards the agent; before and after learning."""
    phone = street.speaker(PHONE, key(1, suite))
    street.invite(phone)
    for _ in range(3):
        assert street.heard_of(phone, 0.5) == 25
        assert phone.hears_the_agent()
        assert street.reported(phone)
    assert refused(street) == foreign(street) == 0


def hears_a_report(street: Street, phone: Speaker) -> bool:
    report = receiver_report(street.agent.ssrc, phone.ssrc)
    street.deliver(street.agent.rtcp, report, street.agent_port + 1)
    assert phone.receiver is not None
    arrived = street.arrived(phone.rtcp)
    assert report not in arrived
    return report in [phone.receiver.unprotect_rtcp(each) for each in arrived]


def test_reports_towards_the_phone_are_encrypted(street: Street) -> None:
    phone = street.speaker(PHONE, key(1))
    street.invite(phone)
    assert hears_a_report(street, phone)
    assert hears_a_report(street, phone)


def injected(street: Street, thief: Speaker, phone: Speaker, kind: str, sent: list[bytes]) -> int:
    """How many packets of the thief's are heard, of 100 with plausible numbers."""
    heard = 0
    forger = Speaker(street, thief.host, phone.ssrc, phone.seq, key(9))
    for index in range(100):
        packet = rtp(0, phone.seq + 1 + index, (phone.seq + 1 + index) * 160, phone.ssrc)
        match kind:
            case "in the clear":
                wire = packet
            case "by another key":
                wire = forger.sealed(packet)
            case _:
                wire = sent[index % len(sent)] if sent else b"\x80" + bytes(171)
        street.deliver(thief.rtp, wire, street.caller_port)
        heard += len(street.arrived(street.agent.rtp))
        street.passes(0.001)
    return heard


@pytest.mark.parametrize("kind", ["in the clear", "by another key", "replayed"])
@pytest.mark.parametrize("host", [PHONE, STRANGER])
@pytest.mark.parametrize("spoken_s", [0.0, 0.1, 2.0])
@pytest.mark.parametrize("silence_s", [0.0, 1.0, 60.0])
def test_nothing_forged_or_replayed_is_heard_or_learned(
    street: Street, kind: str, host: str, spoken_s: float, silence_s: float
) -> None:
    """From the phone's own address and from a stranger's, at any time of the call."""
    phone = street.speaker(PHONE, key(1))
    street.invite(phone)
    sent = []
    for _ in range(round(spoken_s / PTIME_S)):
        packet = phone.packet()
        wire = phone.sealed(packet)
        sent.append(wire)
        street.deliver(phone.rtp, wire, street.caller_port)
        assert packet in street.arrived(street.agent.rtp)
        street.passes(PTIME_S)
    street.passes(silence_s)
    thief = street.speaker(host)
    before = refused(street) + foreign(street)
    assert injected(street, thief, phone, kind, sent) == 0
    assert refused(street) + foreign(street) == before + 100
    assert phone.hears_the_agent()
    assert street.arrived(thief.rtp) == []
    assert street.heard_of(phone, 1.0) == 50
    assert injected(street, phone, phone, kind, sent) == 0, "from the very socket"
    assert street.heard_of(phone, 1.0) == 50


def test_a_report_that_is_forged_or_replayed_goes_nowhere(street: Street) -> None:
    phone = street.speaker(PHONE, key(1))
    street.invite(phone)
    report = receiver_report(phone.ssrc, street.agent.ssrc)
    wire = phone.sender.protect_rtcp(report) if phone.sender else None
    assert wire is not None
    street.deliver(phone.rtcp, wire, street.caller_port + 1)
    assert street.arrived(street.agent.rtcp) == [report]
    thief = street.speaker(STRANGER)
    for by in (phone.rtcp, thief.rtcp):
        for bad in (wire, report, wire[:-1] + bytes((wire[-1] ^ 1,))):
            street.deliver(by, bad, street.caller_port + 1)
    assert street.arrived(street.agent.rtcp) == []
    assert street.reported(phone)


def test_a_phone_behind_nat_is_learned_by_what_it_proves(street: Street) -> None:
    """A thief at the same NAT speaks first and often."""
    phone = street.speaker(NAT, key(1))
    street.invite(phone, address=PRIVATE, port=4000)
    thief = street.speaker(NAT)
    assert injected(street, thief, phone, "by another key", []) == 0
    assert street.heard_of(phone, 1.0) == 50
    assert phone.hears_the_agent()
    moved = phone.moved()
    street.passes(0.5)
    assert street.heard_of(moved, 1.0) == 50, "its mapping was lost"
    assert moved.hears_the_agent()


def test_the_roll_over_counter_is_kept_over_reinvites_and_moves(street: Street) -> None:
    """22 minutes at 20 ms: then a session refresh, a hold and its end, and another port."""
    phone = street.speaker(PHONE, key(1))
    phone.seq = 0xFFF0
    street.agent.seq = 0xFFF0
    street.invite(phone)
    assert street.heard_of(phone, 1.0) == 50
    assert all(phone.hears_the_agent() for _ in range(50))
    told = phone.receiver
    street.invite(phone, again=True)
    street.invite(phone, again=True, direction="sendonly")
    street.invite(phone, again=True)
    assert phone.receiver is told, "our key is what it was"
    assert street.heard_of(phone, 1.0) == 50
    assert phone.hears_the_agent()
    moved = phone.moved()
    street.invite(moved, again=True)
    assert moved.receiver is told
    assert street.heard_of(moved, 1.0) == 50
    assert moved.hears_the_agent()


def test_a_new_source_begins_anew(street: Street) -> None:
    """Another SSRC under the same key, after the sequence numbers of the first rolled over."""
    phone = street.speaker(PHONE, key(1))
    phone.seq = 0xFFF0
    street.invite(phone)
    assert street.heard_of(phone, 1.0) == 50
    street.passes(1.0)
    phone.ssrc, phone.seq = 0x7777, 5
    assert street.heard_of(phone, 1.0) >= 49, "one packet is its probation"


@pytest.mark.parametrize("suite", SUITES)
def test_a_new_key_by_reinvite(street: Street, suite: Suite) -> None:
    """Late packets under the old key are taken for a while, and never afterwards."""
    phone = street.speaker(PHONE, key(1, suite))
    street.invite(phone)
    assert street.heard_of(phone, 1.0) == 50
    late = [(packet, phone.sealed(packet)) for packet in (phone.packet(), phone.packet())]
    old = phone.sender
    phone.keys = key(2, suite)
    phone.sender = Speaker(street, PHONE, 0, 0, key(2, suite)).sender
    street.invite(phone, again=True)
    packet, wire = late[0]
    street.deliver(phone.rtp, wire, street.caller_port)
    assert packet in street.arrived(street.agent.rtp)
    street.deliver(phone.rtp, wire, street.caller_port)
    assert street.arrived(street.agent.rtp) == [], "not twice"
    assert street.heard_of(phone, 1.0) == 50
    assert phone.hears_the_agent()
    street.passes(LATE_S)
    street.deliver(phone.rtp, late[1][1], street.caller_port)
    assert street.arrived(street.agent.rtp) == []
    phone.keys, phone.sender = key(1, suite), old
    street.invite(phone, again=True)
    street.deliver(phone.rtp, wire, street.caller_port)
    assert street.arrived(street.agent.rtp) == [], "nor when it comes back to its first key"
    assert street.heard_of(phone, 1.0) == 50


def test_from_the_clear_to_encryption_and_back(street: Street) -> None:
    phone = street.speaker(PHONE)
    street.invite(phone)
    assert street.heard_of(phone, 1.0) == 50
    plain = phone.packet()
    phone.keys = key(3)
    phone.sender = Speaker(street, PHONE, 0, 0, key(3)).sender
    street.invite(phone, again=True)
    street.deliver(phone.rtp, plain, street.caller_port)
    assert street.arrived(street.agent.rtp) == [], "encrypted it is from now on"
    assert street.heard_of(phone, 1.0) == 50
    assert phone.hears_the_agent()
    phone.keys = phone.sender = None
    street.invite(phone, again=True)
    assert street.heard_of(phone, 1.0) == 50
    assert phone.hears_the_agent()


def test_a_speaker_that_counts_anew_is_heard_again_under_numbers_of_ours(street: Street) -> None:
    """RFC 3711 9.1: no number is used twice. The agent begins its own again, with its SSRC."""
    phone = street.speaker(PHONE, key(1))
    street.invite(phone)
    street.agent.seq = 1000
    assert all(phone.hears_the_agent() for _ in range(100))
    street.agent.seq = 500
    heard = []
    assert phone.receiver is not None
    for _ in range(50):
        packet = street.agent.packet()
        street.deliver(street.agent.rtp, packet, street.agent_port)
        for each in street.arrived(phone.rtp):
            clear = phone.receiver.unprotect(each)
            assert clear is not None
            heard.append(clear[12:] == packet[12:])
    assert len(heard) >= 40
    assert all(heard)


def test_encryption_may_come_and_go(street: Street) -> None:
    """Each change has the party's socket opened anew, which `Street.close` counts."""
    phone = street.speaker(PHONE, key(1))
    street.invite(phone)
    packets = CONNECT_AFTER * 2
    for _ in range(3):
        assert street.heard_of(phone, packets * PTIME_S) >= packets - 1, "a new source's probation"
        phone.keys = None if phone.keys else key(1)
        phone.sender = None if phone.keys is None else Speaker(street, PHONE, 0, 0, key(1)).sender
        phone.ssrc += 1
        street.passes(1.0)
        street.invite(phone, again=True)
