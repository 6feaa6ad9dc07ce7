"""Our public address while the gateway runs: found at the start, noticed when it changes."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from config.settings import Settings
from gateway.main import running
from gateway.start import addresses
from gateway.start.addresses import OurAddresses
from gateway.start.errors import StartupError
from sip.core.header_values import parse_name_addr
from sip.core.message import Request
from sip.transport.endpoint import Endpoint
from sip.transport.servers.dns import Dns
from tests.fakes.stun import StunServer, stun_server
from tests.ports import free_port, free_ports
from tests.softswitch.registration.registering import RegistrarPeer

BEFORE, AFTER, MEDIA = "203.0.113.77", "203.0.113.88", "203.0.113.99"


def settings(**advertise: str) -> Settings:
    return Settings.model_validate({key: {"advertise": told} for key, told in advertise.items()})


def by(server: StunServer) -> str:
    return f"stun:127.0.0.1:{server.port}"


async def test_a_change_is_told_logged_and_counted_as_ours() -> None:
    async with stun_server(BEFORE) as server, AsyncExitStack() as stack:
        ours = OurAddresses(settings(sip=by(server), media=MEDIA))
        changes: list[str | None] = []
        ours.on_change = lambda: changes.append(ours.public.sip)
        await ours.start(stack)
        assert (ours.public.sip, ours.public.media) == (BEFORE, MEDIA)
        assert {BEFORE, MEDIA} < ours.own
        await ours.look()
        assert changes == []
        server.sees = AFTER
        with capture_logs() as logs:
            await ours.look()
        assert logs == [
            {
                "event": "advertise.changed",
                "log_level": "warning",
                "key": "sip.advertise",
                "by": by(server),
                "before": BEFORE,
                "now": AFTER,
            }
        ]
        assert changes == [AFTER]
        assert AFTER in ours.own
        assert BEFORE not in ours.own


async def test_one_that_is_not_found_for_a_while_stays_and_is_logged_once() -> None:
    async with stun_server(BEFORE) as server, AsyncExitStack() as stack:
        ours = OurAddresses(settings(media=by(server)))
        await ours.start(stack)
        server.refuses = True
        with capture_logs() as logs:
            for _ in range(3):
                await ours.look()
        (line,) = logs
        assert (line["event"], line["key"]) == ("advertise.failed", "media.advertise")
        assert line["kept"] == BEFORE == ours.public.media


async def test_one_that_is_not_found_at_the_start_is_no_start(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("")
    dns = Dns([("127.0.0.1", free_port())], hosts)
    async with AsyncExitStack() as stack:
        with pytest.raises(StartupError, match=r"^sip.advertise: gw.example.com: "):
            await OurAddresses(settings(sip="gw.example.com"), dns).start(stack)


def contacts(register: Request) -> list[tuple[str, str | None]]:
    """Host and `expires` of each Contact."""
    told = [parse_name_addr(text) for text in register.headers.get_all("contact")]
    return [(one.uri.host, one.param("expires")) for one in told]


async def test_a_registrar_is_told_and_the_old_contact_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a running gateway, and after the password was asked for again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(addresses, "LOOK_EVERY_S", 0.05)
    sip, relay = free_port(), free_ports(8)
    registrar = RegistrarPeer("registrar", Endpoint("udp", "127.0.0.1", sip))
    async with stun_server(BEFORE) as server:
        trunk = {
            "name": "line",
            "gateways": [f"sip:127.0.0.1:{registrar.port}"],
            "credentials": {"username": "1234567t0", "password": "s3cret-of-the-line"},
            "register": True,
            "advertise": "public",
        }
        wanted = {
            "http": {"listen": f"127.0.0.1:{free_port()}"},
            "sip": {"listen": [f"udp:127.0.0.1:{sip}"], "advertise": by(server)},
            "media": {"ports": f"{relay}-{relay + 7}"},
            "storage": {"url": "sqlite:///gateway.db"},
            "trunks": [trunk],
        }
        async with running(Settings.model_validate(wanted)):
            assert contacts(await registrar.asked()) == [(BEFORE, "3600")]
            await registrar.grant()
            await asyncio.sleep(0.1)
            server.sees = AFTER
            await registrar.asked()
            await registrar.challenge()
            proven = await registrar.asked()
            assert registrar.proven(proven)
            assert contacts(proven) == [(AFTER, "3600"), (BEFORE, "0")]
            await registrar.grant()
            await asyncio.sleep(0.1)
            leaving = asyncio.create_task(registrar.asked())
            await asyncio.sleep(0.2)
            assert not leaving.done(), "told once"
        assert contacts(await leaving) == [(AFTER, "0")]
        await registrar.close()
