"""Gateways that live, die, wake up, ignore OPTIONS: what is sent to them, and what is concluded."""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import pytest
from structlog.testing import capture_logs

from config.settings import HealthSettings
from sip.b2bua.legs.options import LegOptions
from sip.clock import LoopClock
from sip.core.message import Request
from sip.core.parser import parse_message
from sip.core.uri import Uri
from sip.ids import Ids
from sip.softswitch.trunks.circuit import CircuitState
from sip.softswitch.trunks.health import FASTEST_S, GatewayState, TrunkHealth
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint, Target
from sip.transport.servers.resolver import ResolveError
from sip.ua.user_agent import UserAgent
from tests.ladder import Peer
from tests.virtual import virtual_time

ASKED = HealthSettings(options=True, interval_s=60, failures=3, cool_down_s=60)
PASSIVE = HealthSettings(options=False, failures=3, cool_down_s=60)


class Stage:
    """A carrier with two gateways, watched."""

    def __init__(self, ua: UserAgent, first: Peer, second: Peer, trunk: Trunk) -> None:
        self.ua = ua
        self.first = first
        self.second = second
        self.trunk = trunk
        self.health = TrunkHealth(ua, [trunk])
        self.one, self.two = trunk.gateways

    @property
    def state(self) -> GatewayState:
        """The first gateway's."""
        return next(self.health.states())

    def is_in(self, state: CircuitState) -> bool:
        return self.state.state is state

    def usable(self) -> bool:
        return self.health.usable("carrier", self.one)

    def call(self, *statuses: int | None) -> None:
        """Calls by the first gateway that end so."""
        for status in statuses:
            self.health.note("carrier", self.one, status)


@asynccontextmanager
async def stage(settings: HealthSettings, **trunk: Any) -> AsyncIterator[Stage]:
    ua = UserAgent(clock=LoopClock(), ids=Ids(), on_request=lambda _: None)
    listening = await ua.listen(Endpoint("udp", "127.0.0.1", 0))
    peers = [Peer(name, listening) for name in ("first", "second")]
    made = Stage(
        ua,
        peers[0],
        peers[1],
        Trunk(
            name="carrier",
            gateways=tuple(Uri.parse(f"sip:127.0.0.1:{peer.port}") for peer in peers),
            health=settings,
            **trunk,
        ),
    )
    try:
        yield made
    finally:
        await made.health.close()
        await ua.close()
        for peer in peers:
            peer.socket.close()


def story(
    settings: HealthSettings, **trunk: Any
) -> Callable[[Callable[[Stage], Coroutine[Any, Any, None]]], Callable[[], None]]:
    """Run a story on virtual time."""

    def decorate(test: Callable[[Stage], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        async def run() -> None:
            async with stage(settings, **trunk) as made:
                await test(made)

        run.__doc__, run.__name__ = test.__doc__, test.__name__
        return virtual_time(run)

    return decorate


async def answer(peer: Peer, status: int = 200) -> Request:
    request: Request = await peer.expect("OPTIONS", within_s=200)
    await peer.send(status, answering="OPTIONS")
    return request


def lines(logs: list[Any], event: str) -> list[Any]:
    return [line for line in logs if line["event"] == event]


# OPTIONS


@story(ASKED)
async def test_what_an_options_says(s: Stage) -> None:
    """RFC 3261 11.1; Teams refuses one with a user part."""
    s.health.start()
    request = await answer(s.first)
    assert request.uri == f"sip:127.0.0.1:{s.first.port}"
    assert str(request.to.uri) == "sip:127.0.0.1"
    assert request.from_.uri.user is None
    assert request.from_.tag
    assert request.to.tag is None
    assert request.max_forwards == 70
    assert request.headers.get("accept") == "application/sdp"
    assert "INVITE" in (request.headers.get("allow") or "")
    assert request.contact is not None
    await asyncio.sleep(0.01)
    state = s.state
    assert (state.state, state.heard, state.last_status) == (CircuitState.CLOSED, True, 200)
    assert state.round_trip_s is not None
    assert state.round_trip_s < 1


@story(PASSIVE)
async def test_a_gateway_at_an_ipv6_address_is_asked_too(s: Stage) -> None:
    """RFC 3261 25.1: in a URI an IPv6 address, ours as well, stands in brackets."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as peer:
        peer.bind(("::1", 0))
        peer.setblocking(False)
        ours = await s.ua.listen(Endpoint("udp", "::1", 0))
        gateway = Uri.parse(f"sip:[::1]:{peer.getsockname()[1]}")
        health = TrunkHealth(s.ua, [Trunk(name="six", gateways=(gateway,), health=ASKED)])
        health.start()
        async with asyncio.timeout(60):
            data = await asyncio.get_running_loop().sock_recv(peer, 65535)
        await health.close()
    request = parse_message(data)
    assert str(request.from_.uri) == "sip:[::1]"
    assert str(request.contact) == f"<sip:[::1]:{ours.port}>"
    assert (request.headers.get("via") or "").startswith("SIP/2.0/UDP [::1]:")


@story(ASKED)
async def test_the_interval_is_kept_and_jittered(s: Stage) -> None:
    s.health.start()
    times = []
    for _ in range(12):
        await answer(s.first)
        times.append(s.ua.clock.now())
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(53.9 <= wait <= 66.1 for wait in waits)
    assert len({round(wait, 2) for wait in waits}) > 3, "not in step with the others'"


@story(HealthSettings(options=True, interval_s=10))
async def test_never_faster_than_ten_seconds(s: Stage) -> None:
    s.health.start()
    await answer(s.first)
    begun = s.ua.clock.now()
    for _ in range(5):
        await answer(s.first)
    assert s.ua.clock.now() - begun >= 5 * FASTEST_S - 0.1


@pytest.mark.parametrize("status", [200, 401, 403, 404, 405, 407, 481, 483, 486, 500, 501, 603])
def test_any_answer_proves_a_living_gateway(status: int) -> None:
    async def run() -> None:
        async with stage(ASKED) as s:
            s.health.start()
            for _ in range(4):
                await answer(s.first, status)
            await asyncio.sleep(0.01)
            assert s.is_in(CircuitState.CLOSED)
            assert s.state.last_status == status
            assert s.state.last_error is None
            assert s.usable()

    virtual_time(run)()


@pytest.mark.parametrize("status", [408, 503])
def test_answers_of_a_gateway_that_is_of_no_use(status: int) -> None:
    async def run() -> None:
        async with stage(ASKED) as s:
            s.health.start()
            for _ in range(3):
                await answer(s.first, status)
            await asyncio.sleep(0.01)
            assert s.is_in(CircuitState.OPEN)
            assert s.state.last_error is not None
            assert s.state.last_error.startswith(str(status))
            assert not s.usable()

    virtual_time(run)()


@story(ASKED)
async def test_silence_opens_the_circuit_and_an_answer_closes_it(s: Stage) -> None:
    """Once it is known to answer OPTIONS; failures are looked into sooner than the interval."""
    with capture_logs() as logs:
        s.health.start()
        await answer(s.first)
        died = s.ua.clock.now()
        for _ in range(3):
            await s.first.expect("OPTIONS", within_s=200)
        await asyncio.sleep(8.1)
        assert s.is_in(CircuitState.OPEN)
        assert s.ua.clock.now() - died < 66 + 2 * (8 + FASTEST_S) + 8
        assert not s.usable()
        assert s.state.last_error == "no answer in 8 s"
        (down,) = lines(logs, "trunk.gateway-down")
        assert down["trunk"] == "carrier"
        assert down["gateway"] == str(s.one)
        assert down["reason"] == "OPTIONS: no answer in 8 s, 3 failures in a row"
        assert down["now"] == "the trunk's other gateways get its calls; in 60 s an OPTIONS decides"
        await asyncio.sleep(61)
        assert s.is_in(CircuitState.HALF_OPEN)
        assert not s.usable(), "an OPTIONS decides, not a caller"
        await answer(s.first)
        await asyncio.sleep(0.01)
        assert s.is_in(CircuitState.CLOSED)
        assert s.usable()
        (up,) = lines(logs, "trunk.gateway-up")
        assert up["reason"] == "200 to OPTIONS"
        assert 60 <= up["down_s"] <= 65


@story(ASKED)
async def test_a_gateway_that_stays_dead_is_logged_once(s: Stage) -> None:
    with capture_logs() as logs:
        s.health.start()
        await answer(s.first)
        await asyncio.sleep(1800)
        assert not s.usable()
    assert len(lines(logs, "trunk.gateway-down")) == 1
    assert not lines(logs, "trunk.gateway-up")


@story(ASKED)
async def test_silence_of_one_who_never_answered_proves_nothing(s: Stage) -> None:
    """VoIP.ms and others ignore OPTIONS: their calls must not pay for it."""
    with capture_logs() as logs:
        s.health.start()
        await asyncio.sleep(600)
        assert s.is_in(CircuitState.CLOSED)
        assert not s.state.heard
        assert s.usable()
        s.call(200)
        await asyncio.sleep(200)
        await s.first.drain(0.1)
        assert not s.state.by_options, "it takes calls and no OPTIONS: it is not asked any more"
        assert await s.first.drain(600) == []
    told = [line for line in lines(logs, "trunk.options-ignored") if line["gateway"] == str(s.one)]
    assert len(told) == 1


@story(ASKED)
async def test_connection_refused_proves_much(s: Stage) -> None:
    """Nobody listens on TCP there: no OPTIONS was ever answered, and yet it is dead."""
    await s.ua.listen(Endpoint("tcp", "127.0.0.1", 0))
    gateway = Uri.parse(f"sip:127.0.0.1:{s.first.port};transport=tcp")
    trunk = Trunk(name="tcp", gateways=(gateway,), health=ASKED)
    health = TrunkHealth(s.ua, [trunk])
    health.start()
    await asyncio.sleep(60)
    (state,) = health.states()
    assert state.state is not CircuitState.CLOSED
    assert state.last_error
    assert not health.usable("tcp", gateway)
    await health.close()


@story(ASKED)
async def test_a_name_that_leads_nowhere_is_dead(s: Stage) -> None:
    async def resolve(uri: Uri) -> NoReturn:
        raise ResolveError(f"DNS does not know {uri.host}")

    s.ua.resolver.resolve = resolve  # type: ignore[method-assign]
    gateway = Uri.parse("sip:nowhere.invalid")
    health = TrunkHealth(s.ua, [Trunk(name="lost", gateways=(gateway,), health=ASKED)])
    health.start()
    await asyncio.sleep(120)
    assert not health.usable("lost", gateway)
    (state,) = health.states()
    assert state.last_error is not None
    assert "nowhere.invalid" in state.last_error
    await health.close()


@story(ASKED, outbound_proxy=None)
async def test_closing_leaves_nothing_behind(s: Stage) -> None:
    s.health.start()
    await s.first.expect("OPTIONS")
    await s.health.close()
    assert s.ua.gauges["transactions"] <= 1, "the second gateway's may not have begun"
    s.call(None, None, None)
    assert await s.first.drain(200) == []
    assert s.ua.gauges["transactions"] == 0


@story(PASSIVE)
async def test_the_proxy_before_a_gateway_gets_its_options(s: Stage) -> None:
    proxy = Uri.parse(f"sip:127.0.0.1:{s.second.port}")
    gateway = Uri.parse("sip:sip.example.com")
    trunk = Trunk(name="behind", gateways=(gateway,), outbound_proxy=proxy, health=ASKED)
    health = TrunkHealth(s.ua, [trunk])
    health.start()
    request = await answer(s.second)
    assert request.uri == "sip:sip.example.com"
    assert request.headers.get("route") == f"<sip:127.0.0.1:{s.second.port};lr>"
    await health.close()


@story(ASKED)
async def test_a_name_is_alive_as_long_as_one_of_its_servers_is(s: Stage) -> None:
    """RFC 3263 4.3: the dead one is tried last, and first again when it is back."""
    servers = [
        Target(Endpoint("udp", "127.0.0.1", peer.port), "sip.example.com")
        for peer in (s.first, s.second)
    ]

    async def resolve(uri: Uri) -> tuple[Target, ...]:
        return tuple(servers)

    s.ua.resolver.resolve = resolve  # type: ignore[method-assign]
    gateway = Uri.parse("sip:sip.example.com")
    health = TrunkHealth(s.ua, [Trunk(name="named", gateways=(gateway,), health=ASKED)])
    health.start()
    await asyncio.gather(answer(s.first), answer(s.second))
    for _ in range(5):
        await s.first.expect("OPTIONS", within_s=200)
        await answer(s.second)
        await asyncio.sleep(9)
        assert s.ua.resolver.penalized(servers[0].endpoint)
        assert not s.ua.resolver.penalized(servers[1].endpoint)
    (state,) = health.states()
    assert (state.state, state.last_status) == (CircuitState.CLOSED, 200)
    await asyncio.gather(answer(s.first), answer(s.second))
    await asyncio.sleep(0.01)
    assert not s.ua.resolver.penalized(servers[0].endpoint)
    await health.close()


@story(ASKED, leg=LegOptions(contact_domain="sbc.example.com"))
async def test_a_peer_that_knows_us_by_name_is_asked_by_that_name(s: Stage) -> None:
    """Teams: From, Contact and Via bear the name of a domain, never an address."""
    s.health.start()
    request = await answer(s.first)
    assert request.from_.uri.host == "sbc.example.com"
    assert request.contact is not None
    assert request.contact.uri.host == "sbc.example.com"
    assert request.via.host == "sbc.example.com"


# calls alone


@story(PASSIVE)
async def test_without_options_nothing_is_sent(s: Stage) -> None:
    s.health.start()
    assert await s.first.drain(600) == []
    assert not s.state.by_options


@story(PASSIVE)
async def test_three_dead_calls_in_a_row_open_the_circuit(s: Stage) -> None:
    with capture_logs() as logs:
        s.call(None, None, 200, None, None)
        assert s.usable()
        s.call(None)
        assert not s.usable()
        assert s.is_in(CircuitState.OPEN)
        assert s.health.usable("carrier", s.two)
        (down,) = lines(logs, "trunk.gateway-down")
        assert down["reason"] == "an INVITE got no answer, 3 failures in a row"
        assert (
            down["now"] == "the trunk's other gateways get its calls; in 60 s one call may try it"
        )
        for _ in range(3):
            s.health.note("carrier", s.two, None)
        last = lines(logs, "trunk.gateway-down")[-1]
        assert last["now"].startswith("the trunk places no calls;")


@story(PASSIVE)
async def test_exactly_one_try_after_the_cool_down(s: Stage) -> None:
    s.call(None, None, None)
    await asyncio.sleep(59)
    assert not s.usable()
    await asyncio.sleep(2)
    assert [s.usable(), s.usable(), s.usable()] == [True, False, False]
    s.call(None)
    assert s.is_in(CircuitState.OPEN)
    await asyncio.sleep(59)
    assert not s.usable()
    await asyncio.sleep(2)
    assert s.usable()
    s.call(486)
    assert s.is_in(CircuitState.CLOSED)
    assert [s.usable(), s.usable()] == [True, True]


@story(PASSIVE)
async def test_a_try_that_is_never_heard_of_goes_to_another(s: Stage) -> None:
    """Its caller hung up before anybody answered, or another gateway was tried first."""
    s.call(None, None, None)
    await asyncio.sleep(61)
    assert s.usable()
    await asyncio.sleep(39)
    assert not s.usable()
    await asyncio.sleep(2)
    assert [s.usable(), s.usable()] == [True, False]


@story(PASSIVE)
async def test_408_teaches_nothing(s: Stage) -> None:
    """It is mostly the callee who did not answer: it neither opens nor closes."""
    s.call(None, None, 408, 408, 408)
    assert s.usable()
    s.call(None)
    assert not s.usable()
    await asyncio.sleep(61)
    assert s.usable()
    s.call(408)
    assert [s.usable(), s.usable()] == [True, False], "the try was given back"


@story(PASSIVE)
async def test_503_for_a_moment_is_load(s: Stage) -> None:
    """RFC 3261 21.5.4. Twilio says it to the second call of a second: the first goes through."""
    s.call(*[503] * 20)
    await asyncio.sleep(20)
    s.call(*[503] * 20)
    assert s.usable()
    assert (s.state.last_status, s.state.last_error) == (503, "503 to an INVITE")
    s.call(200)
    await asyncio.sleep(50)
    s.call(*[503] * 20)
    assert s.usable(), "the minute begins anew"


@story(PASSIVE)
async def test_503_and_nothing_else_for_a_minute_is_a_gateway_out_of_service(s: Stage) -> None:
    with capture_logs() as logs:
        s.call(503)
        await asyncio.sleep(61)
        s.call(503, 503)
        assert s.usable()
        s.call(503)
        assert not s.usable()
        await asyncio.sleep(61)
        assert [s.usable(), s.usable()] == [True, False]
        s.call(503)
        assert s.is_in(CircuitState.OPEN)
        await asyncio.sleep(61)
        assert s.usable()
        s.call(486)
        assert s.is_in(CircuitState.CLOSED)
    (down,) = lines(logs, "trunk.gateway-down")
    assert down["reason"] == "503 to every INVITE for 60 s and more, 3 failures in a row"


@story(PASSIVE)
async def test_a_503_to_a_try_gives_it_back(s: Stage) -> None:
    """Whoever was silent and says 503 now is there; whether of use, the next call tells."""
    s.call(None, None, None)
    await asyncio.sleep(61)
    assert s.usable()
    s.call(503)
    assert [s.usable(), s.usable()] == [True, False]
    s.call(200)
    assert s.is_in(CircuitState.CLOSED)


@story(PASSIVE)
async def test_a_call_that_was_under_way_closes_an_open_circuit(s: Stage) -> None:
    s.call(None, None, None, 200)
    assert s.usable()


@story(PASSIVE)
async def test_what_nobody_configured_is_usable(s: Stage) -> None:
    other = Uri.parse("sip:192.0.2.1")
    assert s.health.usable("carrier", other)
    s.health.note("carrier", other, None)
    assert s.health.usable("carrier", other)
