"""Thousands of short calls with media, encryption and keys: nothing is lost, nothing is left."""

from pathlib import Path

import pytest

from tests.interop.harness.gateway import Gateway
from tests.interop.harness.network import Network
from tests.soak import gateway_calls, media_calls


@pytest.mark.alone
@pytest.mark.timeout(600)
async def test_thousands_of_calls_through_one_relay() -> None:
    async with media_calls.relay() as relay:
        report = await media_calls.media_calls(3000, relay)
        assert relay.restarts == 0
    assert report.problems == [], str(report)


@pytest.mark.alone
@pytest.mark.timeout(300)
async def test_hundreds_of_calls_through_a_whole_gateway(tmp_path: Path) -> None:
    with Network() as network:
        async with Gateway(network, "udp", tmp_path, gateway_calls.change) as gateway:
            report = await gateway_calls.gateway_calls(500, gateway)
    assert report.problems == [], str(report)
