"""A running gateway reads its configuration anew: all of it takes effect, or nothing."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from cryptography import x509

from config.settings import load
from gateway.main import running
from gateway.start.reload import Reloader
from tests.ports import free_port, free_ports
from tests.transport.tls.authority import Authority

Json = dict[str, Any]
TOKEN = "token"


class Gateway:
    """A whole gateway in this process, and the file that it was started with."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "gateway.yaml"
        relay = free_ports(8)
        authority = Authority(folder)
        authority.issue("one.example.com", file="tls.pem")
        self.keys: Json = {
            "http": {"listen": f"127.0.0.1:{free_port()}", "admin_token": TOKEN},
            "sip": {
                "listen": [f"udp:127.0.0.1:{free_port()}", f"tls:127.0.0.1:{free_port()}"],
                "tls": {"certificate": "tls.pem", "key": "tls.pem"},
            },
            "media": {"ports": f"{relay}-{relay + 7}"},
            "storage": {"url": f"sqlite:///{folder}/gateway.db"},
            "trunks": [{"name": "one", "identify": ["127.0.0.1"]}],
        }
        self.write()

    def write(self, **changes: Any) -> None:
        self.file.write_text(yaml.safe_dump(self.keys | changes))

    async def ask(self, method: str, path: str, token: str = TOKEN) -> tuple[int, Json]:
        headers = {"Authorization": f"Bearer {token}"}
        url = f"http://{self.keys['http']['listen']}/api/v1/{path}"
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.request(method, url) as response,
        ):
            return response.status, await response.json()

    async def trunks(self) -> list[str]:
        _, body = await self.ask("GET", "trunks")
        return [trunk["name"] for trunk in body["items"]]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    gateway = Gateway(tmp_path)
    settings = load(gateway.file, {})
    reloader = Reloader(settings, lambda: load(gateway.file, {}))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(settings, reloader=reloader))
        yield gateway


async def test_what_changed_is_in_force_and_what_waits_is_named(gateway: Gateway) -> None:
    two = {"name": "two", "identify": ["127.0.0.3"]}
    gateway.write(trunks=[two], media={"ports": "30000-30007"}, limits={"drain_s": 5})
    assert await gateway.ask("POST", "reload") == (
        200,
        {
            "changed": ["trunks.one", "trunks.two", "limits.drain_s"],
            "restart": ["media.ports"],
        },
    )
    assert await gateway.trunks() == ["retell", "two"]
    _, view = await gateway.ask("POST", "drain")
    assert view["ends_in_s"] <= 5


async def test_another_token_is_asked_for_from_the_next_request_on(gateway: Gateway) -> None:
    gateway.write(http=gateway.keys["http"] | {"admin_token": "another"})
    assert (await gateway.ask("POST", "reload"))[1]["changed"] == ["http.admin_token"]
    assert (await gateway.ask("GET", "trunks"))[0] == 401
    assert (await gateway.ask("GET", "trunks", "another"))[0] == 200


def misspell(gateway: Gateway) -> None:
    gateway.write(trunks=[{"name": "two", "gatways": []}])


def no_yaml(gateway: Gateway) -> None:
    gateway.file.write_text("sip: [")


def another_key(gateway: Gateway) -> None:
    """The new trunk is right; the certificate's key is another's."""
    authority = Authority(gateway.file.parent, "Other Root")
    authority.issue("other.example.com", file="other.pem")
    tls = {"certificate": "tls.pem", "key": "other.pem"}
    sip = gateway.keys["sip"] | {"tls": tls}
    gateway.write(trunks=[{"name": "two", "identify": ["127.0.0.3"]}], sip=sip)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (misspell, "trunks[0].gatways: unknown key; did you mean gateways?"),
        (no_yaml, "is not YAML"),
        (another_key, "is not the key of"),
        (lambda gateway: gateway.file.unlink(), "cannot be read"),
    ],
    ids=["misspelt", "no yaml", "another certificate's key", "gone"],
)
async def test_a_bad_file_is_refused_whole(
    gateway: Gateway, spoil: Callable[[Gateway], None], told: str
) -> None:
    spoil(gateway)
    status, body = await gateway.ask("POST", "reload")
    assert (status, body["code"]) == (422, "bad-configuration")
    assert any(told in problem for problem in body["problems"])
    assert await gateway.trunks() == ["retell", "one"], "what was in force stays so"
    gateway.write()
    assert await gateway.ask("POST", "reload") == (200, {"changed": [], "restart": []})


async def test_another_certificate_is_shown_from_the_next_connection_on(gateway: Gateway) -> None:
    authority = Authority(gateway.file.parent, "Other Root")
    authority.issue("other.example.com", file="other.pem")
    assert await _shown(gateway) == "one.example.com"
    tls = {"certificate": "other.pem", "key": "other.pem"}
    gateway.write(sip=gateway.keys["sip"] | {"tls": tls})
    assert (await gateway.ask("POST", "reload"))[1]["restart"] == []
    assert await _shown(gateway) == "other.example.com"


async def _shown(gateway: Gateway) -> str:
    """The name in the certificate of the TLS listener."""
    host, _, port = gateway.keys["sip"]["listen"][1].removeprefix("tls:").partition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    except OSError as error:
        raise AssertionError(f"no TLS: {error}") from None
    tls = writer.get_extra_info("ssl_object")
    certificate = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))
    writer.close()
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return str(names.get_values_for_type(x509.DNSName)[0])
