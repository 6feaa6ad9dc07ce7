"""Keys through a whole gateway, in real time: from every form into clean events for Retell, and
from Retell's events into INFO; counted in the record, and told nowhere."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from sip.core.info_keys import ALONE, RELAY
from sip.transport.endpoint import Endpoint
from tests.b2bua.keyed import EVENTS, IN, INFO, RETELL, Kind, Talk
from tests.interop.harness.gateway import Gateway, Json
from tests.interop.harness.network import Network, Party
from tests.ladder import Peer

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: No other digits in this order are in a log: no times, numbers, or ids.
KEYS = "7#*2D"


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["info", "info-dtmf"])
async def exchange(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Gateway, str]]:
    """A gateway whose carrier B has keys by INFO, in one of its forms."""

    def change(settings: Json) -> None:
        settings["trunks"][1]["media"] = {"dtmf": request.param}
        del settings["trunks"][1]["credentials"]

    with Network() as network:
        directory = tmp_path_factory.mktemp("keys")
        async with Gateway(network, "udp", directory, change) as gateway:
            yield gateway, RELAY if request.param == "info" else ALONE


@asynccontextmanager
async def talking(gateway: Gateway, caller: Kind, carrier: Party) -> AsyncIterator[Talk]:
    """A call from a carrier to Retell, over when this is left."""
    network = gateway.network
    at = Endpoint("udp", network.gateway.host, network.gateway.port)
    calling = Peer("carrier", at, carrier.port, carrier.host)
    called = Peer("agent", at, network.retell.port, network.retell.host)
    talk = Talk(calling, called, caller, RETELL)
    try:
        await talk.begin()
        yield talk
        await talk.end()
    finally:
        talk.close()
        await calling.close()
        await called.close()


async def recorded(gateway: Gateway) -> Json:
    """The newest call's record, once the call is over."""
    for _ in range(50):
        newest: Json = (await gateway.calls())[0]
        if newest["ended_at"]:
            return newest
        await asyncio.sleep(0.1)
    raise AssertionError("the call has no end")


def counts(record: Json) -> dict[str, tuple[Any, Any]]:
    return {
        leg: (each["keys_received"], each["keys_sent"]) for leg, each in record["media"].items()
    }


@pytest.mark.parametrize(("form", "caller"), IN)
async def test_into_clean_events(exchange: tuple[Gateway, str], form: str, caller: Kind) -> None:
    gateway, _ = exchange
    async with talking(gateway, caller, gateway.network.carrier_a) as talk:
        for key in KEYS:
            await talk.press(key, form)
            await talk.speaks(0.5)
        await talk.speaks(0.5)
        assert [each.key for each in talk.events] == list(KEYS)
    record = await recorded(gateway)
    assert counts(record) == {"a": (5, 0), "b": (0, 5)}
    if form in (RELAY, ALONE):
        messages = [each["message"] for each in await gateway.ladder(record["call_id"])]
        bodies = [each.partition("\r\n\r\n")[2] for each in messages if each.startswith("INFO")]
        secret = "Signal=*\r\nDuration=120\r\n" if form == RELAY else "*"
        assert bodies == [secret] * 5


async def test_into_info(exchange: tuple[Gateway, str]) -> None:
    """What the agent presses, for a carrier whose trunk says how it has keys."""
    gateway, body = exchange
    caller = INFO if body == RELAY else EVENTS
    async with talking(gateway, caller, gateway.network.carrier_b) as talk:
        for key in KEYS:
            await talk.press(key, back=True)
            await talk.speaks(0.3)
            assert await talk.informed(body, back=True) == key
    assert counts(await recorded(gateway)) == {"a": (0, 5), "b": (5, 0)}


async def test_the_log_counts_keys_and_tells_none(exchange: tuple[Gateway, str]) -> None:
    log = exchange[0].log()
    assert '"event":"keys.counted"' in log
    assert '"received":5' in log
    for key in KEYS:
        assert f'"digit":"{key}"' not in log
    assert "Signal=" not in log.replace("Signal=*", "")
