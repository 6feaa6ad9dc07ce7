"""Bans that grow, rates, and the bounds of what is remembered of strangers."""

from typing import Never
from unittest.mock import patch

import pytest

from config.settings import BanSettings
from sip.softswitch.admission import bans as module
from sip.softswitch.admission import known_peers, packet_rates
from sip.softswitch.admission.bans import Bans, Offence, banned_as
from sip.softswitch.admission.known_peers import Peers
from sip.softswitch.admission.packet_rates import Rates
from sip.softswitch.shared import BanRecord, MemoryStore

HOST = "198.51.100.7"


def offend(bans: Bans, now: float, times: int = 20, host: str = HOST) -> None:
    for _ in range(times):
        bans.strike(host, now, Offence.STRANGER)


def test_a_ban_comes_with_the_last_strike_and_ends_by_itself() -> None:
    bans = Bans(BanSettings())
    offend(bans, 0.0, 19)
    assert not bans.banned(HOST, 0.0)
    offend(bans, 1.0, 1)
    assert bans.banned(HOST, 300.9)
    assert not bans.banned(HOST, 301.0)
    assert not bans.list(301.0)


def test_each_further_ban_is_twice_as_long_up_to_the_longest() -> None:
    bans, now = Bans(BanSettings(first_s=300, longest_s=1000)), 0.0
    lengths = []
    for _ in range(5):
        offend(bans, now)
        [ban] = bans.list(now)
        lengths.append(ban.until - ban.since)
        now = ban.until
    assert lengths == [300, 600, 1000, 1000, 1000]


def test_who_behaves_for_as_long_as_the_longest_ban_begins_anew() -> None:
    bans = Bans(BanSettings(longest_s=1000))
    offend(bans, 0.0)
    offend(bans, 300.0 + 1000.0 + 1.0)
    [ban] = bans.list(1400.0)
    assert ban.until - ban.since == 300


def test_an_hour_without_offence_clears_the_strikes() -> None:
    bans = Bans(BanSettings())
    offend(bans, 0.0, 19)
    offend(bans, 3601.0, 19)
    assert not bans.banned(HOST, 3601.0)


@pytest.mark.parametrize(
    ("offence", "times"),
    [
        (Offence.STRANGER, 20),
        (Offence.DIGEST, 3),
        (Offence.SCANNER, 1),
        (Offence.FLOOD, 200),
    ],
)
def test_every_offence_has_its_own_limit(offence: Offence, times: int) -> None:
    bans = Bans(BanSettings())
    for _ in range(times - 1):
        assert bans.strike(HOST, 0.0, offence) is None
    ban = bans.strike(HOST, 0.0, offence)
    assert ban is not None
    assert (ban.address, ban.reason, ban.strikes) == (HOST, offence.value, times)
    assert bans.counts == {offence: 1}


def test_one_line_a_ban_says_how_to_lift_it() -> None:
    bans = Bans(BanSettings())
    with patch.object(module, "log") as log:
        offend(bans, 0.0, 500)
    [line] = log.warning.call_args_list
    assert line.kwargs["lift"] == f"retell-sip-gateway unban {HOST}"
    assert (line.kwargs["for_s"], line.kwargs["address"]) == (300, HOST)


def test_lifting_a_ban_forgets_what_led_to_it() -> None:
    bans = Bans(BanSettings())
    offend(bans, 0.0)
    assert bans.lift(HOST)
    assert not bans.banned(HOST, 0.0)
    assert not bans.lift(HOST)
    assert not bans.lift("no:address")
    offend(bans, 1.0)
    [ban] = bans.list(1.0)
    assert ban.until - ban.since == 300


def test_an_ipv6_host_is_banned_with_its_network() -> None:
    bans = Bans(BanSettings())
    for number in range(20):
        bans.strike(f"2001:db8:1:2::{number:x}", 0.0, Offence.STRANGER)
    [ban] = bans.list(0.0)
    assert ban.address == "2001:db8:1:2::/64"
    assert bans.banned("2001:db8:1:2:ffff::1", 0.0)
    assert not bans.banned("2001:db8:1:3::1", 0.0)
    assert bans.lift("2001:db8:1:2::/64")
    assert banned_as("::ffff:198.51.100.7") == HOST


def test_what_is_remembered_is_bounded_and_forged_sources_do_not_free_the_banned() -> None:
    bans = Bans(BanSettings())
    offend(bans, 0.0)
    for number in range(2 * module.MAX_REMEMBERED):
        bans.strike(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1.0, Offence.STRANGER)
    assert len(bans._records) <= module.MAX_REMEMBERED
    assert bans.banned(HOST, 1.0)
    for number in range(2 * module.MAX_REMEMBERED):
        bans.strike(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 2.0, Offence.SCANNER)
    assert len(bans) <= module.MAX_REMEMBERED


def test_a_wave_of_bans_does_not_flood_the_log() -> None:
    bans = Bans(BanSettings())
    with patch.object(module, "log") as log:
        for number in range(500):
            bans.strike(f"10.0.{number >> 8}.{number & 255}", 0.0, Offence.SCANNER)
    assert log.warning.call_count == module.MAX_LINES
    assert len(bans) == 500


def test_a_rate_lets_a_burst_through_and_then_its_measure() -> None:
    bucket = Rates(100)
    assert sum(bucket.take(HOST, 0.0) for _ in range(500)) == 100
    assert sum(bucket.take(HOST, 0.5) for _ in range(500)) == 50
    assert sum(bucket.take("198.51.100.8", 0.5) for _ in range(500)) == 100


def test_rates_forget_the_quiet_and_are_bounded_when_nobody_is() -> None:
    bucket = Rates(10)
    for number in range(packet_rates.MAX_SOURCES):
        bucket.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
    bucket.take(HOST, 10.0)
    assert len(bucket) == 1
    for number in range(3 * packet_rates.MAX_SOURCES):
        bucket.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 11.0)
    assert len(bucket) <= packet_rates.MAX_SOURCES


def test_acquaintances_are_bounded_and_end() -> None:
    known = Peers([])
    for number in range(2 * known_peers.MAX_MET):
        known.meet(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
    assert len(known._met) == known_peers.MAX_MET
    assert not known.met("10.0.0.1", 1.0)
    assert not known.configured("no address")


# over a restart


class Time:
    """A clock that a test sets: the loop's seconds begin anew with each run of the program."""

    def __init__(self, now: float, epoch: float) -> None:
        self._now, self._epoch = now, epoch

    def now(self) -> float:
        return self._now

    def epoch(self) -> float:
        return self._epoch

    def call_later(self, delay_s: float, callback: object, *args: object) -> Never:
        raise AssertionError("bans need no timer")


async def restarted(
    store: MemoryStore[BanRecord], clock: Time, settings: BanSettings | None = None
) -> Bans:
    bans = Bans(settings or BanSettings())
    await bans.restore(store, clock)
    return bans


async def test_a_ban_holds_over_a_restart_and_the_next_one_is_longer() -> None:
    store: MemoryStore[BanRecord] = MemoryStore()
    offend(await restarted(store, Time(1000.0, 5_000_000.0)), 1000.0)
    bans = await restarted(store, Time(7.0, 5_000_100.0))
    [ban] = bans.list(7.0)
    assert (ban.address, ban.reason, ban.strikes) == (HOST, Offence.STRANGER.value, 20)
    assert (ban.since, ban.until) == (7.0 - 100, 7.0 + 200)
    assert bans.banned(HOST, 206.0)
    assert not bans.banned(HOST, 207.0)
    offend(bans, 210.0)
    [again] = bans.list(210.0)
    assert again.until - again.since == 600
    [record] = await store.load()
    assert (record.bans, record.until_ms) == (2, 5_000_903_000)


async def test_a_ban_that_is_over_is_remembered_as_long_as_it_was_in_memory() -> None:
    store: MemoryStore[BanRecord] = MemoryStore()
    short = BanSettings(longest_s=1000)
    offend(await restarted(store, Time(0.0, 0.0), short), 0.0)
    bans = await restarted(store, Time(0.0, 400.0), short)
    assert not bans.list(0.0)
    offend(bans, 0.0)
    [ban] = bans.list(0.0)
    assert ban.until - ban.since == 600
    await restarted(store, Time(0.0, 1000.0 + 1001.0), short)
    assert await store.load() == []


async def test_a_lifted_ban_is_not_back_after_a_restart() -> None:
    store: MemoryStore[BanRecord] = MemoryStore()
    bans = await restarted(store, Time(0.0, 0.0))
    offend(bans, 0.0)
    assert len(await store.load()) == 1
    assert bans.lift(HOST)
    assert await store.load() == []


async def test_the_store_is_as_bounded_as_memory_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED", 10)
    store: MemoryStore[BanRecord] = MemoryStore()
    bans = await restarted(store, Time(0.0, 0.0))
    for number in range(200):
        bans.strike(f"198.51.100.{number}", 0.0, Offence.SCANNER)
        bans.strike(f"203.0.113.{number}", 0.0, Offence.STRANGER)
    kept = {record.address for record in await store.load()}
    assert kept == {ban.address for ban in bans.list(0.0)}
    assert len(kept) == 10
    assert len(await restarted(store, Time(0.0, 0.0))) == 10
