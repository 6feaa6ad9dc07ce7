"""Our public address: as told, by a name, or by what a STUN server sees."""

from pathlib import Path

import pytest

from sip.transport import public_address
from sip.transport.public_address import AddressError, find_address
from sip.transport.servers.dns import Dns
from tests.fakes.stun import stun_server
from tests.ports import free_port

SEEN = "203.0.113.77"


@pytest.fixture
def dns(tmp_path: Path) -> Dns:
    """Names of a hosts file, and no name server that would know another."""
    hosts = tmp_path / "hosts"
    hosts.write_text(
        "203.0.113.5 gw.example.com\n2001:db8::5 gw.example.com\n127.0.0.1 stun.test\n"
    )
    return Dns([("127.0.0.1", free_port())], hosts)


@pytest.mark.parametrize(
    ("told", "family", "means"),
    [
        ("198.51.100.1", 4, "198.51.100.1"),
        ("gw.example.com", 4, "203.0.113.5"),
        ("gw.example.com", 6, "2001:db8::5"),
    ],
)
async def test_an_address_and_a_name(told: str, family: int, means: str, dns: Dns) -> None:
    assert await find_address(told, family, dns) == means


@pytest.mark.parametrize("host", ["127.0.0.1", "stun.test"])
async def test_by_stun(host: str, dns: Dns) -> None:
    async with stun_server(SEEN) as server:
        assert await find_address(f"stun:{host}:{server.port}", 4, dns) == SEEN
        assert server.asked == 1


async def test_a_lost_request_is_sent_again(dns: Dns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_address, "FIRST_WAIT_S", 0.01)
    async with stun_server(SEEN) as server:
        server.deaf_for = 2
        assert await find_address(f"stun:127.0.0.1:{server.port}", 4, dns) == SEEN
        assert server.asked == 3


async def test_an_answer_to_nobodys_question_is_not_believed(dns: Dns) -> None:
    async with stun_server(SEEN) as server:
        server.lies = "198.51.100.66"
        assert await find_address(f"stun:127.0.0.1:{server.port}", 4, dns) == SEEN


async def test_what_cannot_be_found_is_said(dns: Dns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_address, "STUN_TIMEOUT_S", 0.2)
    with pytest.raises(AddressError, match=r"^stun.test has no IPv6 address"):
        await find_address("stun.test", 6, dns)
    with pytest.raises(AddressError, match=r"^unknown.example.com: "):
        await find_address("unknown.example.com", 4, dns)
    silent = f"stun:127.0.0.1:{free_port()}"
    with pytest.raises(AddressError, match=f"^{silent}: no answer from 127.0.0.1 port"):
        await find_address(silent, 4, dns)
    async with stun_server("2001:db8::1") as server:
        told = f"stun:127.0.0.1:{server.port}"
        with pytest.raises(AddressError, match="says 2001:db8::1, which is not of IPv4"):
            await find_address(told, 4, dns)
        server.refuses = True
        with pytest.raises(AddressError, match=f"^{told}: the STUN server refuses: 400"):
            await find_address(told, 4, dns)
