"""Which URLs are told of events: none that leads into the operator's own network by itself."""

import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from config.callback_settings import CallbackSettings
from gateway.callbacks.receivers import ForbiddenAddressError, GuardedResolver, why_not

SECRET = {"secret": "whsec_1"}
ANY = CallbackSettings.model_validate(SECRET)
LISTED = CallbackSettings.model_validate(
    {**SECRET, "hosts": ["hooks.example.com", "*.example.net", "127.0.0.1", "[::1]"]}
)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/calls?of=1",
        "http://hooks.example.com:8080/",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
    ],
)
def test_public_ones_may(url: str) -> None:
    assert why_not(url, ANY) is None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://hooks.example.com/", "neither an http"),
        ("file:///etc/passwd", "neither an http"),
        ("hooks.example.com", "neither an http"),
        ("https://", "no"),
        ("https://hooks.example.com:99999/", "no URL"),
        ("https://user@hooks.example.com/", "user's name"),
        ("https://user:pass@hooks.example.com/", "user's name"),
        ("https://hooks.example.com/" + "x" * 2048, "more than 2048"),
        ("http://127.0.0.1/", "no public address"),
        ("http://10.1.2.3/", "no public address"),
        ("http://192.168.0.1/", "no public address"),
        ("http://169.254.169.254/latest/meta-data", "no public address"),
        ("http://0.0.0.0/", "no public address"),
        ("http://224.0.0.1/", "no public address"),
        ("http://100.64.0.1/", "no public address"),
        ("http://[::1]/", "no public address"),
        ("http://[fe80::1]/", "no public address"),
        ("http://[fd00::1]/", "no public address"),
        ("http://[::ffff:127.0.0.1]/", "no public address"),
        ("http://[::ffff:a01:203]/", "no public address"),
        ("http://[2002:7f00:1::]/", "no public address"),
        ("http://[64:ff9b::7f00:1]/", "no public address"),
    ],
)
def test_others_may_not(url: str, words: str) -> None:
    assert words in (why_not(url, ANY) or "")


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://hooks.example.com/", True),
        ("https://HOOKS.example.com./", True),
        ("https://one.example.net/", True),
        ("http://127.0.0.1:9000/", True),
        ("http://[::1]/", True),
        ("https://example.net/", False),
        ("https://evilexample.net/", False),
        ("https://8.8.8.8/", False),
    ],
)
def test_a_list_is_all_that_there_is(url: str, may: bool) -> None:
    assert (why_not(url, LISTED) is None) is may


def test_nothing_goes_unsigned() -> None:
    assert "secret is not set" in (why_not("https://hooks.example.com/", CallbackSettings()) or "")


class Names(AbstractResolver):
    """Knows one address for every name."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        one: ResolveResult = {
            "hostname": host,
            "host": self.address,
            "port": port,
            "family": family,
            "proto": 0,
            "flags": 0,
        }
        return [one]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "fe80::1%eth0"])
async def test_a_name_is_judged_by_what_it_leads_to(address: str) -> None:
    """A public name may lead to a private address, now or later."""
    with pytest.raises(ForbiddenAddressError, match=r"hooks\.example\.org is"):
        await GuardedResolver(Names(address), ANY).resolve("hooks.example.org")
    listed = GuardedResolver(Names(address), LISTED)
    assert await listed.resolve("hooks.example.com"), "the operator says so"
    assert await GuardedResolver(Names("8.8.8.8"), ANY).resolve("hooks.example.org")
