"""RTCP of the relay's own, on virtual time: who gets which reports, and what they say."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from sip.core.sdp_crypto import Crypto, Suite
from sip.media import rtcp
from sip.media.ng.qualities import numbers_of, quality_of
from sip.media.relay.reporter import PATIENCE_S
from sip.media.rtcp import (
    Block,
    Bye,
    Echoes,
    ExtendedReport,
    Names,
    Packet,
    ReceiverReport,
    ReceiverTime,
    SenderReport,
    VoipMetrics,
)
from tests.media.desk import clip
from tests.media.reference_srtp import Reference
from tests.media.street import PHONE, PTIME_S, Speaker, Street
from tests.media.talk import rtp

#: A look each second, and its distance from the last at most.
LOOK_S = 1.0


@pytest.fixture
def street() -> Iterator[Street]:
    street = Street()
    yield street
    street.close()


@pytest.fixture
def phone(street: Street) -> Speaker:
    phone = street.speaker(PHONE)
    street.invite(phone)
    return phone


class Told:
    """The RTCP that arrives at a party, with its time."""

    def __init__(self, street: Street, who: Speaker) -> None:
        self.street = street
        self.who = who
        self.all: list[tuple[float, list[Packet]]] = []

    def look(self) -> list[list[Packet]]:
        """What came since the last look."""
        new = [rtcp.read(each) for each in self.street.arrived(self.who.rtcp)]
        self.all += [(self.street.now, each) for each in new]
        return new

    def passes(self, seconds: float) -> list[list[Packet]]:
        """What comes in that time, in which nobody speaks."""
        new: list[list[Packet]] = []
        for _ in range(round(seconds * 4)):
            self.street.passes(0.25)
            new += self.look()
        return new


def converse(street: Street, phone: Speaker, seconds: float, *told: Told) -> None:
    """Both speak."""
    for _ in range(round(seconds / PTIME_S)):
        street.deliver(phone.rtp, phone.packet(), street.caller_port)
        street.deliver(street.agent.rtp, street.agent.packet(), street.agent_port)
        street.passes(PTIME_S)
        for who in (street.agent, phone):
            street.arrived(who.rtp)
        for each in told:
            each.look()


def report(street: Street, who: Speaker, port: int, *packets: Packet) -> bytes:
    """The relay gets RTCP."""
    datagram = rtcp.write(packets)
    street.deliver(who.rtcp, datagram, port + 1)
    return datagram


def test_where_nobody_reports_each_party_hears_us(street: Street, phone: Speaker) -> None:
    told = Told(street, phone), Told(street, street.agent)
    began = street.now
    converse(street, phone, 60, *told)
    for each in told:
        times = [began, *[at for at, _ in each.all]]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert 9 <= len(gaps) <= 30
        assert max(gaps) <= PATIENCE_S + 2 * LOOK_S
        assert min(gaps) >= 2.0


def test_a_report_says_what_the_party_is_sent_and_how_it_is_heard(
    street: Street, phone: Speaker
) -> None:
    told = Told(street, phone)
    converse(street, phone, 4, told)
    phone.seq += 10  # lost on the way
    converse(street, phone, 4, told)
    (_, packets), *_ = told.all
    sent, names = packets
    assert isinstance(sent, SenderReport)
    assert sent.ssrc == street.agent.ssrc
    assert 300 <= sent.packets <= 400
    assert sent.octets == sent.packets * 160
    assert abs(sent.rtp_time - street.agent.seq * 160) < 3 * 8000
    (block,) = sent.blocks
    assert block.ssrc == phone.ssrc
    assert block.lost == 10
    assert block.fraction == 10 * 256 // (sent.packets + 10)
    assert isinstance(names, Names)
    ((ssrc, cname),) = names.names
    assert ssrc == sent.ssrc
    assert len(cname) == 16, "RFC 7022: of this call alone"


@pytest.mark.parametrize("suite", list(Suite))
def test_an_encrypted_party_gets_encrypted_reports_and_the_other_clear_ones(
    street: Street, suite: Suite
) -> None:
    """RFC 3711 3.4, opened by its arithmetic: no number of SRTCP comes twice."""
    phone = street.speaker(PHONE, keys=Crypto(1, suite, bytes(range(suite.key_size))))
    street.invite(phone)
    assert phone.receiver is not None
    key = Reference(phone.receiver.crypto)
    clear, sealed = Told(street, street.agent), []
    for _ in range(round(30 / PTIME_S)):
        street.deliver(phone.rtp, phone.sealed(phone.packet()), street.caller_port)
        street.deliver(street.agent.rtp, street.agent.packet(), street.agent_port)
        street.passes(PTIME_S)
        sealed += street.arrived(phone.rtcp)
        clear.look()
    assert len(sealed) > 3
    opened = [rtcp.read(key.unprotect_rtcp(each)) for each in sealed]
    for reader, speaker, reports in (
        (phone, street.agent, opened),
        (street.agent, phone, [packets for _, packets in clear.all]),
    ):
        sent = reports[-1][0]
        assert isinstance(sent, SenderReport)
        assert sent.ssrc == speaker.ssrc
        assert [block.ssrc for block in sent.blocks] == [reader.ssrc]
        assert sent.blocks[0].lost == 0
    tag = 0 if suite.name.startswith("AEAD") else 10
    numbers = [each[len(each) - tag - 4 : len(each) - tag] for each in sealed]
    assert len(set(numbers)) == len(numbers)


def test_on_hold_reports_go_on_for_ten_minutes(street: Street, phone: Speaker) -> None:
    converse(street, phone, 2)
    street.invite(phone, again=True, direction="inactive")
    told = Told(street, phone)
    began = street.now
    told.passes(600)
    times = [began, *[at for at, _ in told.all]]
    assert max(b - a for a, b in pairwise(times)) <= PATIENCE_S + 2 * LOOK_S
    last = told.all[-1][1][0]
    assert isinstance(last, ReceiverReport)
    assert last.blocks == (), "nothing came"
    assert street.arrived(phone.rtp) == []


def test_a_hold_by_the_zero_address_gets_nothing(street: Street, phone: Speaker) -> None:
    converse(street, phone, 2)
    street.invite(phone, again=True, address="0.0.0.0", port=phone.port)
    told = Told(street, phone)
    assert told.passes(60) == []


def test_what_the_other_side_reports_passes_and_we_are_silent(
    street: Street, phone: Speaker
) -> None:
    told = Told(street, phone)
    sent: list[bytes] = []
    for _ in range(12):
        converse(street, phone, 5, told)
        packet = SenderReport(street.agent.ssrc, rtcp.ntp_of(street.now), 1, 2, 3)
        sent.append(report(street, street.agent, street.agent_port, packet))
        told.look()
    assert [rtcp.write(packets) for _, packets in told.all] == sent


def test_where_the_other_side_falls_silent_we_take_over(street: Street, phone: Speaker) -> None:
    told = Told(street, phone)
    packet = SenderReport(street.agent.ssrc, rtcp.ntp_of(street.now), 1, 2, 3)
    report(street, street.agent, street.agent_port, packet)
    told.look()
    assert told.passes(PATIENCE_S - 0.5) == []
    assert len(told.passes(1.0 + LOOK_S)) == 1


def test_reports_of_numbers_that_the_party_never_sees_end_here(
    street: Street, phone: Speaker
) -> None:
    """Once we have spoken to it, the party hears one stream, with numbers of ours."""
    told = Told(street, phone)
    converse(street, phone, 1, told)
    street.play_to_caller(clip())
    before = len(told.all)
    packet = SenderReport(street.agent.ssrc, 1 << 40, 1, 2, 3)
    report(street, street.agent, street.agent_port, packet)
    assert told.look() == []
    converse(street, phone, 10, told)
    assert len(told.all) > before
    for _, packets in told.all:
        (first, *_) = packets
        assert isinstance(first, SenderReport)
        assert first.ntp != 1 << 40
        assert first.packets > 50
    passed = Told(street, street.agent)
    passed.look()
    report(street, phone, street.caller_port, ReceiverReport(phone.ssrc))
    assert passed.look() == [[ReceiverReport(phone.ssrc)]], "the agent hears the phone's own"


def test_a_round_trip_is_measured_by_what_the_party_says_of_our_reports(
    street: Street, phone: Speaker
) -> None:
    told = Told(street, phone)
    converse(street, phone, 10, told)
    (packet, *_) = told.all[-1][1]
    assert isinstance(packet, SenderReport)
    at, delay_s, trip_s = told.all[-1][0], 0.5, 0.12
    street.passes(at + trip_s + delay_s - street.now)
    block = Block(packet.ssrc, 26, 5, 100, 80, rtcp.middle(packet.ntp), round(delay_s * 65536))
    report(street, phone, street.caller_port, ReceiverReport(phone.ssrc, (block,)))
    found = quality_of(numbers_of(street.caller_stats("delete")), {})
    late_s = PTIME_S  # told.all has the time of the look
    assert found.round_trip_ms == pytest.approx(1000 * trip_s, abs=1000 * late_s + 1)
    assert found.heard_loss_percent == pytest.approx(100 * 26 / 256, abs=0.01)
    assert found.heard_jitter_ms == pytest.approx(10.0)


def test_a_round_trip_is_measured_by_reports_that_pass_too(street: Street, phone: Speaker) -> None:
    converse(street, phone, 1)
    ntp = rtcp.ntp_of(7777.0)
    report(street, street.agent, street.agent_port, SenderReport(street.agent.ssrc, ntp, 1, 2, 3))
    street.passes(0.25)
    block = Block(street.agent.ssrc, 0, 0, 100, 0, rtcp.middle(ntp), 65536 // 10)
    report(street, phone, street.caller_port, ReceiverReport(phone.ssrc, (block,)))
    found = quality_of(numbers_of(street.caller_stats()), {})
    assert found.round_trip_ms == pytest.approx(150.0, abs=1.0)


def test_our_report_tells_when_the_partys_own_came(street: Street, phone: Speaker) -> None:
    """RFC 3550 6.4.1: so that it can measure its round trip to us."""
    told = Told(street, phone)
    ntp = rtcp.ntp_of(1234.5)
    converse(street, phone, 1, told)
    report(street, phone, street.caller_port, SenderReport(phone.ssrc, ntp, 1, 2, 3))
    at = street.now
    converse(street, phone, 9, told)
    told_at, (first, *_) = told.all[0]
    assert isinstance(first, SenderReport)
    (block,) = first.blocks
    assert block.last_report == rtcp.middle(ntp)
    assert block.delay / 65536 == pytest.approx(told_at - at, abs=2 * PTIME_S)


def test_extended_reports_are_read_and_a_receivers_time_is_told_back(
    street: Street, phone: Speaker
) -> None:
    told = Told(street, phone)
    converse(street, phone, 1, told)
    grades = VoipMetrics(street.agent.ssrc, mos_lq=41, mos_cq=39)
    blocks = (ReceiverTime(0x1234567890ABCDEF), grades)
    report(
        street,
        phone,
        street.caller_port,
        ReceiverReport(phone.ssrc),
        ExtendedReport(phone.ssrc, blocks),
    )
    converse(street, phone, 9, told)
    extended = [each for _, packets in told.all for each in packets]
    (echoed,) = [each for each in extended if isinstance(each, ExtendedReport)]
    (echoes,) = echoed.blocks
    assert isinstance(echoes, Echoes)
    assert (echoes.echoes[0].ssrc, echoes.echoes[0].last_report) == (phone.ssrc, 0x567890AB)
    assert quality_of(numbers_of(street.caller_stats()), {}).heard_mos == 3.9


def test_who_offers_extended_reports_gets_our_grades(street: Street) -> None:
    """RFC 3611 4.7, of what the phone sends: 10 of 250 packets lost, in one run."""
    phone = street.speaker(PHONE)
    street.invite(phone, extra="a=rtcp-xr:voip-metrics\r\n")
    told = Told(street, phone)
    converse(street, phone, 2.4, told)
    phone.seq += 10
    converse(street, phone, 7.6, told)
    extended = [each for _, packets in told.all for each in packets]
    (report, *_) = [each for each in extended if isinstance(each, ExtendedReport)]
    (grades,) = report.blocks
    assert isinstance(grades, VoipMetrics)
    assert grades.ssrc == phone.ssrc
    assert grades.loss_rate in range(5, 12)
    assert (grades.burst_density, grades.burst_ms, grades.min_gap) == (255, 200, 16)
    assert (grades.gap_density, grades.discard_rate) == (0, 0)
    assert 35 <= grades.mos_lq <= 43
    assert 60 <= grades.r_factor <= 92


def test_who_offers_none_gets_none(street: Street, phone: Speaker) -> None:
    told = Told(street, phone)
    converse(street, phone, 20, told)
    assert not any(isinstance(each, ExtendedReport) for _, packets in told.all for each in packets)


def test_who_wants_no_rtcp_gets_none(street: Street) -> None:
    """RFC 3556 2: no bandwidth for it."""
    phone = street.speaker(PHONE)
    street.invite(phone, extra="b=RS:0\r\nb=RR:0\r\n")
    told = Told(street, phone)
    converse(street, phone, 20, told)
    street.request("delete", {})
    assert told.look() == []
    assert told.all == []


def test_who_was_told_something_is_told_goodbye(street: Street, phone: Speaker) -> None:
    told = Told(street, phone)
    converse(street, phone, 10, told)
    street.request("delete", {})
    (last,) = told.look()
    names = {type(packet) for packet in last}
    assert names == {SenderReport, Names, Bye}
    assert last[-1] == Bye((street.agent.ssrc,))


def test_who_was_told_nothing_is_not(street: Street, phone: Speaker) -> None:
    told = Told(street, phone)
    converse(street, phone, 1, told)
    street.request("delete", {})
    assert told.look() == []


def test_hostile_reports_hurt_nothing(street: Street, phone: Speaker) -> None:
    converse(street, phone, 1)
    good = rtcp.write([ReceiverReport(phone.ssrc, (Block(1, last_report=5, delay=0xFFFFFFFF),))])
    for cut in range(len(good)):
        for octet in (0, 127, 255):
            datagram = good[:cut] + bytes((octet,)) + good[cut + 1 :]
            street.deliver(phone.rtcp, datagram, street.caller_port + 1)
    street.passes(0.1)
    assert street.heard_of(phone) == 1
    assert quality_of(numbers_of(street.caller_stats()), {}).round_trip_ms is None


def test_a_key_is_no_reason_to_report_other_numbers(street: Street, phone: Speaker) -> None:
    """A forwarded stream's report has the numbers of that stream, whatever passed beside it."""
    told = Told(street, phone)
    converse(street, phone, 5, told)
    street.deliver(street.agent.rtp, rtp(101, 1, 1, 0xBEEF, b"\1\x0a\0\xa0"), street.agent_port)
    converse(street, phone, 5, told)
    names = {packets[0].ssrc for _, packets in told.all if isinstance(packets[0], SenderReport)}
    assert names == {street.agent.ssrc}
