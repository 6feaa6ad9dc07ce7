"""Port leases: bound pairs, random order, rest after use. Time is virtual, sockets are real."""

import errno
import os
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip.media.relay.ports import (
    RECEIVE_BUFFER,
    SEND_BUFFER,
    NoPortsError,
    PortPair,
    PortPool,
)

HOST = "127.0.0.9"
DRAIN_S = 5.0


@pytest.fixture
def leases() -> Iterator[ExitStack]:
    """Closes the pairs that a test still holds."""
    with ExitStack() as stack:
        yield stack


def pool(first: int = 21000, last: int = 21009, seed: int = 1) -> PortPool:
    return PortPool(HOST, first, last, drain_s=DRAIN_S, rng=random.Random(seed))


def lease(leases: ExitStack, ports: PortPool, now: float = 0.0) -> PortPair:
    pair = ports.lease(now)
    leases.callback(pair.rtp.close)
    leases.callback(pair.rtcp.close)
    return pair


def test_a_lease_is_two_bound_sockets(leases: ExitStack) -> None:
    pair = lease(leases, pool())
    assert pair.port % 2 == 0
    assert pair.rtp.getsockname() == (HOST, pair.port)
    assert pair.rtcp.getsockname() == (HOST, pair.port + 1)
    assert not pair.rtp.getblocking()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
        pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)),
    ):
        other.bind((HOST, pair.port))


@pytest.mark.parametrize(
    ("first", "last", "pairs"), [(21000, 21009, 5), (21001, 21010, 4), (21000, 21001, 1)]
)
def test_only_whole_pairs_inside_the_range_are_used(
    leases: ExitStack, first: int, last: int, pairs: int
) -> None:
    ports = pool(first, last)
    taken = [lease(leases, ports).port for _ in range(pairs)]
    assert ports.size == pairs == len(set(taken))
    assert min(taken) >= first
    assert max(taken) + 1 <= last
    with pytest.raises(NoPortsError, match=f"of {pairs} port pairs {pairs} are in use"):
        ports.lease(0.0)


@pytest.mark.parametrize(("first", "last"), [(21001, 21002), (21000, 21000), (0, 1)])
def test_a_range_without_a_pair_is_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="no even/odd pair"):
        pool(first, last)


def test_the_order_cannot_be_guessed(leases: ExitStack) -> None:
    orders = []
    for seed in (1, 2):
        ports = pool(21000, 21199, seed)
        orders.append([lease(leases, ports).port for _ in range(20)])
        leases.close()
    assert orders[0] != orders[1]
    assert orders[0] != sorted(orders[0])


def test_a_released_port_rests_before_it_is_used_again(leases: ExitStack) -> None:
    """As long as there are others."""
    ports = pool(21000, 21199)
    pair = lease(leases, ports)
    ports.release(pair, 100.0)
    assert (ports.leased, ports.resting) == (0, 1)
    others = {lease(leases, ports, 100.0 + DRAIN_S - 0.1).port for _ in range(ports.size - 1)}
    assert pair.port not in others
    assert lease(leases, ports, 100.0 + DRAIN_S).port == pair.port


def test_where_nothing_else_is_left_the_one_that_rested_longest_is_lent(
    leases: ExitStack,
) -> None:
    ports = pool(21000, 21007)
    pairs = [lease(leases, ports) for _ in range(4)]
    for second, pair in enumerate(pairs):
        ports.release(pair, 100.0 + second / 10)
    again = [lease(leases, ports, 101.0).port for _ in range(4)]
    assert again == [pair.port for pair in pairs]
    assert (ports.leased, ports.resting) == (4, 0)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.sampled_from((0.0, 0.5, 6.0)))))
@settings(deadline=None)
def test_no_pair_is_ever_leased_to_two_calls(steps: list[tuple[bool, int, float]]) -> None:
    """Whatever is leased and released, and when; and none gets lost."""
    ports, now = pool(21010, 21019), 0.0
    held: list[PortPair] = []
    for leases, which, passes in steps:
        now += passes
        if leases:
            try:
                held.append(ports.lease(now))
            except NoPortsError:
                assert len(held) == ports.size
        elif held:
            ports.release(held.pop(which % len(held)), now)
        assert len({pair.port for pair in held}) == len(held) == ports.leased
    for pair in held:
        ports.release(pair, now)
    now += DRAIN_S
    whole = [ports.lease(now) for _ in range(ports.size)]
    for pair in whole:
        ports.release(pair, now)
    assert len({pair.port for pair in whole}) == ports.size


def test_its_sockets_hold_two_seconds_of_a_stream(leases: ExitStack) -> None:
    """The kernel says twice what it was told, and counts what a packet costs it."""
    pair = lease(leases, pool())
    assert pair.rtp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 2 * RECEIVE_BUFFER
    assert pair.rtp.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) >= 2 * SEND_BUFFER
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(100):  # 2 s of 20 ms packets
            sender.sendto(number.to_bytes(172), pair.rtp.getsockname())
    assert [int.from_bytes(pair.rtp.recv(4096)) for _ in range(100)] == list(range(100))


def test_another_programs_port_is_passed_over(leases: ExitStack) -> None:
    """Also when it is only the RTCP port; then the RTP port must not stay bound."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((HOST, 21003))
        ports = pool(21000, 21003)
        assert lease(leases, ports).port == 21000
        with pytest.raises(NoPortsError, match="1 are in use and 1 another program's"):
            ports.lease(0.0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind((HOST, 21002))
    assert lease(leases, ports, DRAIN_S).port == 21002


def test_an_exhausted_file_table_is_no_ports_and_loses_none(
    leases: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = pool()

    def exhausted(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", exhausted)
        with pytest.raises(NoPortsError, match="Too many open files: raise the limit"):
            ports.lease(0.0)
    assert len({lease(leases, ports).port for _ in range(5)}) == 5
