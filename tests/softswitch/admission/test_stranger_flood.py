"""A flood from forged addresses: strangers share one rate, and nobody else pays for it."""

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from config.settings import BanSettings, SipAuthSettings
from sip.softswitch.admission.gatekeeper import Gatekeeper
from sip.softswitch.admission.known_peers import Peers
from sip.softswitch.trunks.trunk import Trunks
from sip.transport.endpoint import Endpoint
from tests.softswitch.admission.test_evidence import StoppedClock, trunk, way, with_digest

PHONE = Endpoint("udp", "198.51.100.20", 40000)


def keeper(clock: StoppedClock) -> Gatekeeper:
    """A carrier by address, phones by password from anywhere; 100 strangers' packets a second."""
    return Gatekeeper(
        clock,
        Trunks(
            [
                trunk("carrier", "192.0.2.0/24"),
                trunk("phones", login=("phone", "right"), registrar=True),
            ]
        ),
        "gateway.test",
        b"secret",
        SipAuthSettings(),
        BanSettings(strangers_per_second=100),
        registered=lambda _, source, __: "phones" if source == PHONE else None,
    )


def forged(number: int) -> str:
    return f"203.0.{number // 250}.{number % 250 + 1}"


def test_strangers_share_one_rate_however_many_they_are() -> None:
    clock = StoppedClock()
    door = keeper(clock)
    with capture_logs() as lines:
        read = sum(door.packet(way(forged(number))) for number in range(5000))
        clock.at = 1.0
        read += sum(door.packet(way(forged(number))) for number in range(5000, 10_000))
    assert read == 200
    assert door.turned_away == {"too many strangers": 9800}
    [line] = lines
    assert (line["event"], line["limit"]) == ("strangers.flood", "sip.bans.strangers_per_second")


def test_those_who_are_known_are_heard_in_a_flood() -> None:
    door = keeper(StoppedClock())
    proven = "198.51.100.30"
    door.judge(with_digest(door, "phone", "right"), way(proven))
    for number in range(1000):
        door.packet(way(forged(number)))
    assert not door.packet(way("198.51.100.40"))
    for _ in range(1000):
        assert door.packet(way("192.0.2.10"))
        assert door.packet(way(proven))
    for _ in range(50):
        assert door.packet(way(PHONE.host, port=PHONE.port))


def test_one_stranger_alone_is_slowed_by_its_own_rate_first() -> None:
    """It does not use up what the others have."""
    door = Gatekeeper(
        StoppedClock(),
        Trunks([trunk("carrier", "192.0.2.0/24")]),
        "gateway.test",
        b"secret",
        SipAuthSettings(),
        BanSettings(strangers_per_second=100, packets_per_second=10),
    )
    assert sum(door.packet(way("198.51.100.1")) for _ in range(15)) == 10
    assert door.packet(way("198.51.100.2"))


networks = st.ip_addresses(v=4).flatmap(
    lambda host: st.integers(0, 32).map(lambda bits: ip_network((host, bits), strict=False))
) | st.ip_addresses(v=6).map(lambda host: ip_network((host, 64), strict=False))


@given(st.lists(networks, max_size=8), st.ip_addresses())
def test_who_is_configured_is_told_as_its_networks_say(
    networks: list[IPv4Network | IPv6Network], host: IPv4Address | IPv6Address
) -> None:
    inside = [str(network[-1]) for network in networks]
    for address in [str(host), *inside]:
        expected = any(ip_address(address) in network for network in networks)
        assert Peers(networks).configured(address) is (expected or address in ("127.0.0.1", "::1"))
