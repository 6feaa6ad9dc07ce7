"""OPTIONS over TCP and TLS: the connection's own troubles are told in its own words."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from config.settings import HealthSettings
from sip.clock import LoopClock
from sip.core.message import Request
from sip.core.uri import Uri
from sip.ids import Ids
from sip.softswitch.trunks import health
from sip.softswitch.trunks.circuit import CircuitState
from sip.softswitch.trunks.health import GatewayState, TrunkHealth
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint
from sip.transport.tls.contexts import ClientTls, ServerTls
from sip.ua.server_transaction import ServerTransaction
from sip.ua.user_agent import UserAgent
from tests.transport.tls.authority import Authority

ONE_IS_ENOUGH = HealthSettings(options=True, failures=1)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FIRST_WITHIN_S", 0.0)


@asynccontextmanager
async def asking(
    transport: str, ca: Path | None = None, certificate: Path | None = None
) -> AsyncIterator[tuple[TrunkHealth, list[Request]]]:
    """Health of a gateway that answers over `transport`, with that certificate."""
    clock, asked = LoopClock(), list[Request]()

    def answer(transaction: ServerTransaction) -> None:
        asked.append(transaction.request)
        transaction.respond(peer.response(transaction.request, 200, to_tag="x"))

    peer = UserAgent(clock=clock, ids=Ids(), on_request=answer)
    ours = UserAgent(clock=clock, ids=Ids(), on_request=lambda _: None, tls=ClientTls(ca=ca))
    tls = ServerTls(certificate) if certificate else None
    try:
        at = await peer.listen(Endpoint(transport, "127.0.0.1", 0), tls=tls)
        await ours.listen(Endpoint(transport, "127.0.0.1", 0), tls=tls)
        gateway = Uri.parse(f"sip:{at.hostport};transport={transport}")
        trunk = Trunk(name="pbx", gateways=(gateway,), health=ONE_IS_ENOUGH)
        health = TrunkHealth(ours, [trunk])
        health.start()
        yield health, asked
        await health.close()
    finally:
        await ours.close()
        await peer.close()


async def outcome(health: TrunkHealth) -> GatewayState:
    """The gateway's state once its first OPTIONS is over."""
    for _ in range(200):
        (state,) = health.states()
        if state.last_status is not None or state.last_error is not None:
            return state
        await asyncio.sleep(0.05)
    raise AssertionError("no OPTIONS was ever over")


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_a_gateway_that_answers(transport: str, tmp_path: Path) -> None:
    root = Authority(tmp_path)
    certificate = root.issue("127.0.0.1") if transport == "tls" else None
    async with asking(transport, root.bundle, certificate) as (health, asked):
        state = await outcome(health)
        assert (state.state, state.heard, state.last_status) == (CircuitState.CLOSED, True, 200)
        request = asked[0]
        assert request.uri.endswith(f";transport={transport}")
        assert request.via.transport == transport.upper()
        assert request.contact is not None
        assert request.contact.uri.transport == transport


async def test_an_expired_certificate_is_named(tmp_path: Path) -> None:
    root = Authority(tmp_path)
    expired = root.issue("127.0.0.1", days=(-10, -1))
    async with asking("tls", root.bundle, expired) as (health, _):
        state = await outcome(health)
        assert state.state is CircuitState.OPEN, "no wait for silence: it cannot be used"
        assert state.last_error is not None
        assert "certificate has expired on" in state.last_error


async def test_an_authority_that_we_do_not_know_is_named(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    theirs = Authority(tmp_path / "theirs", "Their Root")
    async with asking("tls", Authority(tmp_path).bundle, theirs.issue("127.0.0.1")) as (health, _):
        state = await outcome(health)
        assert state.last_error is not None
        assert "add its root to sip.tls.ca" in state.last_error
