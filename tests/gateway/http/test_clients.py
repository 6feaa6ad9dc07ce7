"""Who a client is, from the connection and from what proxies say."""

from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from config.settings import HttpSettings
from gateway.http.clients import Clients, counted_as

PROXIES = ["192.0.2.0/24", "2001:db8:1::/48"]


class Transport:
    """One whose peer is at `host`."""

    def __init__(self, host: str) -> None:
        self._host = host

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self._host, 40000) if name == "peername" else default


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("198.51.100.1", {}, "198.51.100.1"),
        ("198.51.100.1", {"X-Forwarded-For": "203.0.113.1"}, "198.51.100.1"),
        ("192.0.2.1", {}, "192.0.2.1"),
        ("192.0.2.1", {"X-Forwarded-For": "203.0.113.1"}, "203.0.113.1"),
        ("192.0.2.1", {"X-Forwarded-For": "203.0.113.9, 203.0.113.1"}, "203.0.113.1"),
        ("192.0.2.1", {"X-Forwarded-For": "203.0.113.1, 192.0.2.7"}, "203.0.113.1"),
        ("192.0.2.1", {"X-Forwarded-For": "203.0.113.1:4711"}, "203.0.113.1"),
        ("192.0.2.1", {"X-Forwarded-For": "nonsense, 203.0.113.1"}, "203.0.113.1"),
        ("192.0.2.1", {"X-Forwarded-For": "nonsense"}, "192.0.2.1"),
        ("192.0.2.1", {"Forwarded": "for=203.0.113.1;proto=https"}, "203.0.113.1"),
        ("192.0.2.1", {"Forwarded": 'for="[2001:db8::5]:4711"'}, "2001:db8::/64"),
        ("::ffff:192.0.2.1", {"X-Forwarded-For": "203.0.113.1"}, "203.0.113.1"),
        ("2001:db8:1::9", {"X-Forwarded-For": "203.0.113.1"}, "203.0.113.1"),
    ],
)
def test_who_asks(peer: str, headers: dict[str, str], client: str) -> None:
    clients = Clients(HttpSettings.model_validate({"trusted_proxies": PROXIES}), lambda: 0.0)
    transport: Any = Transport(peer)
    request = make_mocked_request("GET", "/", headers, transport=transport)
    assert clients.address(request) == client


def test_an_ipv6_host_is_its_network() -> None:
    """It may take another of 2^64 addresses for each connection."""
    assert counted_as("2001:db8::1") == counted_as("2001:db8::ffff:1") == "2001:db8::/64"
    assert counted_as("2001:db8:0:1::1") != counted_as("2001:db8::1")
    assert counted_as("::ffff:192.0.2.1") == counted_as("192.0.2.1")
