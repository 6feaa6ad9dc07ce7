"""The HTTP server as the gateway starts it: HTTPS, a listener for /metrics, room for calls."""

import asyncio
import resource
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop
from cryptography import x509

from config.settings import Settings
from gateway.cli.api_client import ApiClient
from gateway.cli.api_client import ApiError as CliError
from gateway.start.descriptors import raise_limit
from gateway.start.drain import Drain
from gateway.start.errors import StartupError
from gateway.start.http import start_http
from gateway.start.reload import Reloader
from gateway.start.shown import Shown
from tests.ports import free_port
from tests.transport.tls.authority import Authority


def settings(tmp_path: Path, **http: Any) -> Settings:
    port = free_port()
    return Settings.model_validate(
        {
            "http": {"listen": f"127.0.0.1:{port}", "admin_token": "token", **http},
            "sip": {"listen": []},
            "storage": {"url": f"sqlite:///{tmp_path}/calls.db"},
        }
    )


@asynccontextmanager
async def started(wanted: Settings) -> AsyncIterator[str]:
    """The address of a running HTTP server."""
    async with AsyncExitStack() as stack:
        shown = Shown(expected=False, drain=Drain(1.0))
        await start_http(wanted, shown, stack, Reloader(wanted, lambda: wanted))
        scheme = "http" if wanted.http.tls is None else "https"
        yield f"{scheme}://127.0.0.1:{wanted.http.listen.port}"


def files(tmp_path: Path, authority: Authority, name: str) -> dict[str, str]:
    """Certificate and key of that name, where the gateway reads them."""
    shutil.copy(authority.issue(name), tmp_path / "http.pem")
    return {"certificate": str(tmp_path / "http.pem"), "key": str(tmp_path / "http.pem")}


def name_shown(port: int) -> str:
    """The name of the certificate that a new connection is shown."""
    pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=5)
    names = x509.load_pem_x509_certificate(pem.encode()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    return str(names.value.get_values_for_type(x509.DNSName))


async def test_https_shows_a_new_certificate_once_its_file_has_changed(tmp_path: Path) -> None:
    """A renewed certificate needs no restart; an unusable file leaves the old one in force."""
    authority = Authority(tmp_path)
    tls = files(tmp_path, authority, "old.example.com")
    wanted = settings(tmp_path, tls=tls)
    port = wanted.http.listen.port
    async with started(wanted) as url, ApiClient(wanted) as api:
        assert await api.ready()
        assert await api.calls(1) == []
        assert "old" in await asyncio.to_thread(name_shown, port)
        files(tmp_path, authority, "new-one.example.com")
        assert "new" in await asyncio.to_thread(name_shown, port)
        (tmp_path / "http.pem").write_text("nothing")
        assert "new" in await asyncio.to_thread(name_shown, port)
        files(tmp_path, authority, "new-one.example.com")
        async with aiohttp.ClientSession() as http, http.get(f"{url}/healthz", ssl=False) as got:
            assert got.status == 200
        with pytest.raises(aiohttp.ClientError):
            async with aiohttp.ClientSession() as http:
                await http.get(url.replace("https", "http") + "/healthz")


def test_it_is_served_on_uvloop_too(tmp_path: Path) -> None:
    """What the gateway runs on; its transports are none of asyncio's classes."""
    tls = files(tmp_path, Authority(tmp_path), "gateway.example.com")

    async def ask() -> None:
        for wanted in (settings(tmp_path), settings(tmp_path, tls=tls, connections_per_address=5)):
            async with started(wanted), ApiClient(wanted) as api:
                assert await api.ready()
                assert await api.calls(1) == []

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ask())


async def test_the_command_line_gives_its_token_to_no_other_certificate(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), tmp_path / "other"
    other.mkdir()
    wanted = settings(tmp_path, tls=files(tmp_path, authority, "gateway.example.com"))
    theirs = wanted.model_copy(
        update={
            "http": wanted.http.model_copy(
                update={
                    "tls": settings(other, tls=files(other, authority, "x.example.com")).http.tls
                }
            )
        }
    )
    async with started(wanted), ApiClient(theirs) as api:
        with pytest.raises(CliError):
            await api.calls(1)


async def test_handshakes_that_never_end_hold_a_seat_and_no_more(tmp_path: Path) -> None:
    """Who connects and sends no ClientHello is counted as every client is."""
    authority = Authority(tmp_path)
    tls = files(tmp_path, authority, "gateway.example.com")
    wanted = settings(tmp_path, tls=tls, connections_per_address=5)
    async with started(wanted):
        port = wanted.http.listen.port
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        await asyncio.sleep(0.2)
        assert sum(not reader.at_eof() for reader, _ in idle) == 5
        for _, writer in idle:
            writer.transport.abort()
        await asyncio.sleep(0.1)
        async with ApiClient(wanted) as api:
            assert await api.ready()


async def test_unusable_certificates_stop_the_start(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("nothing")
    file = str(tmp_path / "x.pem")
    with pytest.raises(StartupError, match=r"http\.tls: .*no certificate in PEM form"):
        async with started(settings(tmp_path, tls={"certificate": file, "key": file})):
            pass


async def test_metrics_may_have_a_listener_and_a_token_of_their_own(tmp_path: Path) -> None:
    port = free_port()
    inside = {"listen": f"127.0.0.1:{port}", "token": "m3trics"}
    async with (
        started(settings(tmp_path, metrics=inside)) as url,
        aiohttp.ClientSession() as http,
    ):
        async with http.get(f"{url}/metrics") as outside:
            assert outside.status == 404
        shown = f"http://127.0.0.1:{port}"
        async with http.get(f"{shown}/metrics") as unproven:
            assert (unproven.status, (await unproven.json())["code"]) == (401, "unauthorized")
        bearer = {"Authorization": "Bearer m3trics"}
        async with http.get(f"{shown}/metrics", headers=bearer) as page:
            assert page.status == 200
            assert "gateway_http_connections" in await page.text()
        async with http.get(f"{shown}/api/v1/calls") as nothing_else:
            assert nothing_else.status == 404


def test_the_soft_limit_of_descriptors_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        assert raise_limit() > 256
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 256
        assert raise_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
