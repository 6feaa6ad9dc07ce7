"""Faults of a network, injected in virtual time: what the relay says of them is what they were."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pytest

from sip.media.ng.bencode import Decoded
from sip.media.ng.qualities import course_of, numbers_of, quality_of
from sip.media.plane import SILENCE_S
from sip.media.quality import Course, Quality
from sip.media.relay.losses import LATE_S
from tests.media.street import PHONE, PTIME_S, Speaker, Street
from tests.media.talk import Talk, rtp

TICKS = 160


class Arrival(NamedTuple):
    """A packet by its place in the stream, and when it arrives, in seconds."""

    place: int
    at: float


@pytest.fixture
def street() -> Iterator[Street]:
    street = Street()
    yield street
    street.close()


def spoken(seconds: float) -> list[Arrival]:
    """An even stream."""
    return [Arrival(index, index * PTIME_S) for index in range(round(seconds / PTIME_S))]


def hear(
    street: Street, arrivals: Iterable[Arrival], *, ppm: float = 0.0, payload_type: int = 0
) -> Speaker:
    """The caller's stream arrives so; its clock is `ppm` fast."""
    phone = street.speaker(PHONE)
    street.invite(phone)
    began = street.now
    for index, at in sorted(arrivals, key=lambda arrival: arrival.at):
        street.passes(began + at / (1 + ppm * 1e-6) - street.now)
        packet = rtp(payload_type, 1000 + index, 5000 + index * TICKS, phone.ssrc)
        street.deliver(phone.rtp, packet, street.caller_port)
    street.arrived(street.agent.rtp)
    return phone


def converse(street: Street, seconds: float, *speakers: Speaker) -> None:
    """These speak."""
    for _ in range(round(seconds / PTIME_S)):
        for who in speakers:
            port = street.agent_port if who is street.agent else street.caller_port
            street.deliver(who.rtp, who.packet(), port)
        street.passes(PTIME_S)
        for who in speakers:
            street.arrived(who.rtp)


def quality(street: Street) -> Quality:
    return quality_of(numbers_of(street.caller_stats("delete")), {})


def jitter_ms(arrivals: Iterable[Arrival]) -> float:
    """RFC 3550 A.8 of these arrivals, in milliseconds."""
    jitter, before = 0.0, None
    for index, at in sorted(arrivals, key=lambda arrival: arrival.at):
        transit = at - index * PTIME_S
        if before is not None:
            jitter += (abs(transit - before) - jitter) / 16
        before = transit
    return jitter * 1000


def reordered(arrivals: Iterable[Arrival]) -> int:
    """RFC 4737 3.3: those with a lower number than one that came before."""
    highest, count = -1, 0
    for index, _ in sorted(arrivals, key=lambda arrival: arrival.at):
        count += index < highest
        highest = max(highest, index)
    return count


def test_a_perfect_call_has_perfect_figures(street: Street) -> None:
    hear(street, spoken(21))
    found = quality(street)
    assert found.loss_percent == 0
    assert (found.reordered, found.late, found.duplicates, found.bursts) == (0, 0, 0, 0)
    assert found.jitter_avg_ms == pytest.approx(0, abs=0.001)
    assert found.clock_drift_ppm == pytest.approx(0, abs=0.1)
    assert found.mos_avg == found.mos_min == pytest.approx(4.40, abs=0.01)
    assert found.burst_loss_percent is None
    assert found.round_trip_ms is None


@pytest.mark.parametrize("part", [0.005, 0.03, 0.1, 0.3])
def test_loss_at_random(street: Street, part: float) -> None:
    rng = random.Random(11)
    sent = spoken(60)
    arrived = [sent[0], *(each for each in sent[1:-1] if rng.random() >= part), sent[-1]]
    hear(street, arrived)
    found = quality(street)
    lost = 100 * (len(sent) - len(arrived)) / len(sent)
    assert found.loss_percent == pytest.approx(lost, rel=0.001)
    impairment = 95 * lost / (lost + 25.1)  # G.107's equation 29 for G.711 with concealment
    r = 93.0 - impairment
    mos = 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6  # and B.4
    assert found.mos_avg == pytest.approx(mos, abs=0.15)
    assert found.mos_min is not None
    assert found.mos_avg is not None
    assert found.mos_min < found.mos_avg


def test_loss_in_bursts_is_told_apart_from_loss_at_random(street: Street) -> None:
    """Ten packets in each second and a half, one after another."""
    hear(street, [each for each in spoken(60) if each.place % 75 >= 10 or each.place < 10])
    found = quality(street)
    assert found.loss_percent == pytest.approx(100 * 390 / 3000, abs=0.01)
    assert found.bursts == 39
    assert found.burst_loss_percent == 100


@pytest.mark.parametrize("spread_s", [0.02, 0.04, 0.08])
def test_jitter_is_that_of_rfc_3550_over_the_same_arrivals(street: Street, spread_s: float) -> None:
    rng = random.Random(5)
    arrived = [Arrival(index, at + rng.uniform(0, 2 * spread_s)) for index, at in spoken(30)]
    hear(street, arrived)
    stats = street.caller_stats("delete")
    found = quality_of(numbers_of(stats), {})
    reported = stats["jitter us"]
    assert isinstance(reported, int)
    assert reported / 1000 == pytest.approx(jitter_ms(arrived), rel=0.01)
    assert found.reordered == reordered(arrived)
    assert found.loss_percent == 0
    assert found.jitter_max_ms is not None
    assert found.jitter_avg_ms is not None
    assert found.jitter_max_ms >= found.jitter_avg_ms
    assert found.mos_avg is not None
    assert found.mos_avg < 4.40


def test_packets_out_of_order_are_neither_lost_nor_double(street: Street) -> None:
    """One in 25 comes 30 ms late, one in 125 comes when its time is over."""
    arrived = [
        Arrival(index, at + (0.15 if index % 125 == 60 else 0.03 if index % 25 == 10 else 0))
        for index, at in spoken(30)
    ]
    hear(street, arrived)
    found = quality(street)
    assert found.reordered == reordered(arrived) == 60
    assert found.late == 12 == sum(index % 125 == 60 for index, _ in arrived)
    assert LATE_S < 0.15 - PTIME_S
    assert (found.loss_percent, found.duplicates) == (0, 0)


def test_doubles_hide_no_loss(street: Street) -> None:
    sent = spoken(20)
    arrived = [each for each in sent if each.place % 50 != 30]
    doubles = [Arrival(index, at + 0.001) for index, at in arrived if index % 10 == 5]
    hear(street, [*arrived, *doubles])
    found = quality(street)
    assert found.loss_percent == pytest.approx(100 * 20 / 1000)
    assert (found.duplicates, found.reordered) == (100, 0)


@pytest.mark.parametrize("ppm", [-250.0, 40.0, 900.0])
def test_a_senders_clock_drift(street: Street, ppm: float) -> None:
    hear(street, spoken(40), ppm=ppm)
    found = quality(street)
    assert found.clock_drift_ppm == pytest.approx(ppm, abs=1.0)


def test_a_clock_drift_among_jitter(street: Street) -> None:
    rng = random.Random(2)
    arrived = [Arrival(index, at + rng.uniform(0, 0.01)) for index, at in spoken(180)]
    hear(street, arrived, ppm=500.0)
    assert quality(street).clock_drift_ppm == pytest.approx(500.0, rel=0.1)


def test_the_course_shows_when_it_was_bad(street: Street) -> None:
    """Half of the packets are missing from the 20th to the 30th second."""
    hear(street, [each for each in spoken(50) if not (20 <= each.at < 30 and each.place % 2)])
    course = course_of(street.caller_stats("delete"), {}, 5000.0)
    assert course is not None
    assert course.every_s == 5.0
    assert course.began_ms == pytest.approx((5000 - 50) * 1000, abs=1500)
    bad = [mos is not None and mos < 3 for mos in course.mos]
    assert 2 <= sum(bad) <= 3
    assert bad.index(True) in (3, 4)
    assert max(loss or 0 for loss in course.loss_percent) > 40
    assert {loss for loss, is_bad in zip(course.loss_percent, bad, strict=True) if not is_bad} <= {
        *[0.0], *[loss for loss in course.loss_percent if loss is not None and loss < 20]
    }  # fmt: skip


def test_the_course_of_a_call_of_hours_stays_bounded(street: Street) -> None:
    """A packet each second will do: what is rare is not judged, and still has its place."""
    phone = street.speaker(PHONE)
    street.invite(phone)
    for _ in range(3 * 3600):
        street.deliver(phone.rtp, phone.packet(), street.caller_port)
        street.passes(1.0)
        if street.now % 60 < 1:
            street.arrived(street.agent.rtp)
            street.arrived(street.agent.rtcp)
            street.arrived(phone.rtcp)
    course = course_of(street.caller_stats("delete"), {}, 20_000.0)
    assert isinstance(course, Course)
    assert course.every_s == 20.0
    assert 360 <= len(course.mos) < 720
    assert len(course.mos) * course.every_s == pytest.approx(3 * 3600, abs=200)


def test_a_party_that_never_spoke_has_no_course(street: Street) -> None:
    street.invite(street.speaker(PHONE))
    street.passes(100)
    stats = street.caller_stats("delete")
    assert course_of(stats, {}, 0.0) is None
    assert quality_of(numbers_of(stats), {}).loss_percent is None
    assert quality_of(numbers_of(stats), {}).mos_avg is None


@pytest.mark.parametrize("spoken_s", [5.0, 5.38, 5.82, 6.98])
@pytest.mark.parametrize("alone", [True, False])
def test_dead_audio_is_told_within_three_seconds_with_its_leg(
    street: Street, spoken_s: float, alone: bool
) -> None:
    """As it is asked for by default; the phone falls silent, and the agent perhaps too."""
    phone = street.speaker(PHONE)
    street.invite(phone, silence_s=SILENCE_S)
    converse(street, spoken_s, phone, street.agent)
    ended = street.now - PTIME_S
    assert street.told == []
    converse(street, 3.0, *([street.agent] if alone else []))
    events = {(event, tag) for _, event, tag in street.told}
    assert events == ({("one-way", "A")} if alone else {("silent", "A"), ("silent", "B")})
    assert all(SILENCE_S - 0.1 <= at - ended <= 3.0 for at, _, _ in street.told)
    converse(street, 1.0, phone, street.agent)
    assert {(event, tag) for _, event, tag in street.told[len(events) :]} == {
        ("heard", tag) for _, tag in events
    }
    one_way_s = quality(street).one_way_s
    assert one_way_s == (pytest.approx(3.25, abs=0.3) if alone else 0)


def test_comfort_noise_is_no_dead_audio(street: Street) -> None:
    """RFC 3389: it says that nothing comes for a while."""
    phone = street.speaker(PHONE)
    street.invite(phone, silence_s=SILENCE_S)
    converse(street, 5.0, phone, street.agent)
    phone.seq += 1
    street.deliver(phone.rtp, rtp(13, phone.seq, phone.seq * 160, phone.ssrc), street.caller_port)
    converse(street, 20.0, street.agent)
    assert street.told == []
    assert quality(street).one_way_s == 0


@pytest.mark.parametrize(
    "stats",
    [
        {},
        {"expected": "many", "lost": [], "samples": {"columns": [[1], [2]], "interval ms": 5000}},
        {"expected": 0, "samples": {"columns": [[], [], [], []], "interval ms": 5000}},
        {"expected": -1, "samples": {"columns": [["x"], [1], [1], [1]], "interval ms": 0}},
    ],
)
def test_an_engine_that_says_nonsense_tells_nothing(stats: dict[str, Decoded]) -> None:
    assert course_of(stats, {}, 0.0) is None
    assert quality_of(numbers_of(stats), {}).loss_percent is None


def test_what_rtpengine_grades_is_taken_over() -> None:
    """As its docs/ng_control_protocol.md has it."""
    grade: dict[str, Decoded] = {"MOS": 43, "round-trip time": 12345, "jitter": 3, "packet loss": 1}
    graded: dict[str, Decoded] = {
        "average MOS": grade,
        "lowest MOS": {**grade, "MOS": 38},
        "MOS progression": {
            "interval": 10,
            "entries": [{"reported at": 1000, **grade}, {"reported at": 1010, **grade, "MOS": 38}],
        },
    }
    found = quality_of({"packets": 7}, graded)
    assert (found.mos_avg, found.mos_min, found.loss_percent) == (4.3, 3.8, 1)
    assert (found.jitter_avg_ms, found.round_trip_ms) == (3, 12.345)
    course = course_of({"packets": 7}, graded, 2000.0)
    assert course is not None
    assert (course.began_ms, course.every_s, course.mos) == (1_000_000, 10, [4.3, 3.8])


async def test_over_real_sockets_too(relay_talk: Talk) -> None:
    """Times are the machine's, so that jitter is only known to be there."""
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    await relay_talk.connect(a, b)
    rng = random.Random(4)
    kept = [index for index in range(200) if index in (0, 199) or rng.random() > 0.1]
    for first in range(20, len(kept) - 1, 40):
        kept[first], kept[first + 1] = kept[first + 1], kept[first]
    for index in kept:
        a.snd(rtp(0, index, index * TICKS, 0xA))
        await b.rtp.receive()
        await asyncio.sleep(0.005)
    found = (await relay_talk.plane.query(relay_talk.call_id)).parties["A"].quality
    assert found.loss_percent == pytest.approx(100 * (200 - len(kept)) / 200)
    assert found.reordered == len(range(20, len(kept) - 1, 40))
    assert not math.isnan(found.mos_avg or 0.0)
