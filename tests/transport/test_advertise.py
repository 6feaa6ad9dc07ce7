"""Which of our addresses a peer is told."""

import re
import socket
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from sip.transport.advertise import Advertiser, Public
from sip.transport.endpoint import Endpoint
from sip.transport.interfaces import interface_address, interfaces
from sip.transport.source_address import Routes

PUBLIC = "203.0.113.10"
OURS = "192.168.7.2"
LOCAL = Endpoint("udp", OURS, 5060)


@dataclass
class FlowTo:
    """A UDP flow from our address on the local network, or another."""

    remote: Endpoint
    local: Endpoint = LOCAL
    advertise: str | None = None
    standing: object = None
    reliable = False
    closed = False
    proven = False
    deaf = False
    peer_names = ()
    error = None

    def send(self, data: bytes) -> None:
        raise AssertionError("an address is asked for, nothing is sent")

    def abort(self) -> None: ...
    def keep(self) -> None: ...


class StoppedClock:
    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    def epoch(self) -> float:
        raise AssertionError

    def call_later(self, *_: object) -> object:
        raise AssertionError


def told(policy: str, peer: str, *, public: str | None = PUBLIC, **flow: object) -> str:
    remote = Endpoint("udp", peer, 5060)
    advertiser = Advertiser(Public(public), StoppedClock())  # type: ignore[arg-type]
    return advertiser.address(policy, FlowTo(remote, **flow))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "peer", "expected"),
    [
        ("auto", "198.51.100.7", PUBLIC),
        ("auto", "192.168.7.9", OURS),
        ("auto", "100.64.1.1", OURS),
        ("public", "192.168.7.9", PUBLIC),
        ("private", "198.51.100.7", OURS),
        ("192.0.2.44", "198.51.100.7", "192.0.2.44"),
    ],
)
def test_policies(policy: str, peer: str, expected: str) -> None:
    assert told(policy, peer) == expected


@pytest.mark.parametrize(
    ("policy", "peer", "expected"),
    [
        ("auto", "198.51.100.7", "203.0.113.20"),
        ("auto", "192.168.7.9", OURS),
        ("public", "192.168.7.9", "203.0.113.20"),
        ("private", "198.51.100.7", OURS),
        ("192.0.2.44", "198.51.100.7", "192.0.2.44"),
    ],
)
def test_media_may_have_an_address_of_its_own(policy: str, peer: str, expected: str) -> None:
    """Also before that of the listener by which the call came."""
    public = Public(PUBLIC, "203.0.113.20")
    advertiser = Advertiser(public, StoppedClock())  # type: ignore[arg-type]
    flow = FlowTo(Endpoint("udp", peer, 5060), advertise="192.0.2.99")
    assert advertiser.media_address(policy, flow) == expected
    public.media = None
    assert advertiser.media_address(policy, flow) == advertiser.address(policy, flow)


def test_another_address_is_told_from_then_on() -> None:
    public = Public(PUBLIC)
    advertiser = Advertiser(public, StoppedClock())  # type: ignore[arg-type]
    flow = FlowTo(Endpoint("udp", "198.51.100.7", 5060))
    assert advertiser.address("auto", flow) == advertiser.media_address("auto", flow) == PUBLIC
    public.sip = "203.0.113.11"
    assert advertiser.address("auto", flow) == "203.0.113.11"
    assert advertiser.media_address("auto", flow) == "203.0.113.11"


def test_a_listener_that_advertises_for_itself() -> None:
    assert told("auto", "198.51.100.7", advertise="192.0.2.99") == "192.0.2.99"
    assert told("public", "198.51.100.7", advertise="192.0.2.99") == PUBLIC


def test_a_private_address_is_advertised_to_private_peers_if_it_was_configured() -> None:
    """Two private networks with a router between them: ours is known there by another address."""
    assert told("auto", "192.168.7.9", public="10.9.8.7") == "10.9.8.7"


def test_nothing_configured_is_our_own_address() -> None:
    assert told("auto", "198.51.100.7", public=None) == OURS
    assert told("public", "198.51.100.7", public=None) == OURS


def test_peers_on_this_machine_get_the_loopback_address() -> None:
    local = Endpoint("udp", "0.0.0.0", 5060)
    assert told("auto", "127.0.0.1", local=local) == "127.0.0.1"


def test_families_are_never_mixed() -> None:
    """RFC 6157: an IPv4 address in a Contact is of no use to a peer that came over IPv6."""
    local = Endpoint("udp", "2001:db8::2", 5060)
    assert told("public", "2001:db8::9", local=local) == "2001:db8::2"
    assert told("auto", "2001:db8::9", local=local, public="2001:db8::ff") == "2001:db8::ff"


def test_an_interface_by_name() -> None:
    assert told("interface:lo", "198.51.100.7") == "127.0.0.1"
    assert interface_address("lo", 6) == "::1"
    assert "lo" in interfaces()


def test_an_interface_that_is_not_there() -> None:
    """It may come back; a call does not fail for it, and the operator is told once."""
    with pytest.raises(OSError, match="there is no network interface wg7"):
        interface_address("wg7", 4)
    advertiser = Advertiser(Public(PUBLIC), StoppedClock())  # type: ignore[arg-type]
    flow = FlowTo(Endpoint("udp", "198.51.100.7", 5060))
    with capture_logs() as lines:
        assert advertiser.address("interface:wg7", flow) == OURS
        assert advertiser.address("interface:wg7", flow) == OURS
    [line] = lines
    assert re.match(r"there is no network interface wg7; there are .*lo", line["error"])


def test_an_interface_that_gets_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = iter(["192.0.2.1", "192.0.2.2"])
    monkeypatch.setattr("sip.transport.advertise.interface_address", lambda *_: next(addresses))
    clock = StoppedClock()
    advertiser = Advertiser(Public(PUBLIC), clock)  # type: ignore[arg-type]
    flow = FlowTo(Endpoint("udp", "198.51.100.7", 5060))
    told = []
    for clock.at in (0.0, 4.0, 6.0):
        told.append(advertiser.address("interface:eth1", flow))
    assert told == ["192.0.2.1", "192.0.2.1", "192.0.2.2"]


def test_without_a_route_there_is_still_an_address() -> None:
    """What is sent is lost, and the timers of SIP notice; no call breaks for it."""
    nowhere = Endpoint("udp", "255.255.255.255", 5060)  # the kernel has no route for it
    local = Endpoint("udp", "0.0.0.0", 5060)
    assert told("auto", nowhere.host, local=local, public=None) == "127.0.0.1"


def test_the_route_is_asked_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Probe(socket.socket):
        def connect(self, address: object) -> None:
            asked.append(str(address))
            super().connect(address)  # type: ignore[arg-type]

    monkeypatch.setattr("sip.transport.source_address.socket.socket", Probe)
    clock = StoppedClock()
    routes = Routes(clock)  # type: ignore[arg-type]
    for clock.at in (0.0, 29.0, 31.0):
        assert routes.source(Endpoint("udp", "127.0.0.1", 9)) == "127.0.0.1"
    assert len(asked) == 2
