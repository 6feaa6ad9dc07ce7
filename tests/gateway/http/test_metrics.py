"""/metrics by Prometheus's rules, and what it counts of calls."""

import asyncio
import re
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.calls import loop_lag
from gateway.http.app import configure
from gateway.http.app_keys import METRICS
from gateway.start.drain import Drain
from gateway.start.shown import Shown
from gateway.version import version
from tests.gateway.conftest import FALLBACK_DID, TRUNK_DID, Gateway, Start
from tests.gateway.http.test_trunks_api import Switch

DOCUMENT = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def samples(gateway: Gateway) -> Samples:
    """As it is now: the page itself may be some milliseconds old."""
    families = text_string_to_metric_families(gateway.app[METRICS].page().decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def of(page: Samples, name: str, **labels: str) -> float | None:
    return page.get((name, frozenset(labels.items())))


async def test_names_and_types_follow_the_rules(start: Start) -> None:
    """prometheus.io/docs/practices/naming: counters end in `_total`, nothing else does; the
    default registry's prefixes for the process."""
    gateway = await start(
        make={
            "find_operations": Switch,
            "gauges": {"open_legs": lambda: 1},
            "counters": {"lines": lambda: 1},
        }
    )
    types = [line.split()[2:] for line in (await gateway.page()).splitlines() if "# TYPE" in line]
    assert types
    for name, kind in types:
        assert name.startswith(("gateway_", "process_")), name
        assert name.endswith("_total") is (kind == "counter"), (name, kind)
        assert "total" not in name.removesuffix("_total"), name
    assert len({name for name, _ in types}) == len(types)


async def test_the_document_lists_them_all(start: Start) -> None:
    gateway = await start(
        make={
            "find_operations": Switch,
            "gauges": {
                **Shown(expected=True, drain=Drain(1.0)).gauges(),
                "http_connections": lambda: 1,
            },
            "counters": dict.fromkeys(
                ("log_lines_dropped", "http_connections_refused", "http_requests_refused"),
                lambda: 1,
            ),
        }
    )
    families = text_string_to_metric_families(await gateway.page())
    served = {family.name for family in families if family.name.startswith("gateway_")}
    served = {name for name in served if not name.endswith("_created")}
    rows = re.findall(r"^\| (`gateway_.*?) \| (?:gauge|counter|histogram)", DOCUMENT, re.M)
    told = {name.removesuffix("_total") for row in rows for name in re.findall(r"gateway_\w+", row)}
    # the fake softswitch turns nothing else away
    told -= {"gateway_unread_packets", "gateway_refused_connections"}
    # no queue runs (tests/gateway/outbound/test_metrics.py)
    told -= {name for name in told if name.startswith("gateway_queue_")}
    # nothing is recorded, and there is no media engine
    told -= {"gateway_recordings", "gateway_recorded_seconds"}
    told -= {name for name in told if re.match("gateway_media_(engine|calls)_", name)}
    assert told == served


async def test_the_process_and_the_build(gateway: Gateway) -> None:
    page = await samples(gateway)
    assert of(page, "process_resident_memory_bytes")
    assert of(page, "process_open_fds")
    [build] = [labels for name, labels in page if name == "gateway_build_info"]
    assert dict(build)["version"] == version()


async def test_calls_by_trunk(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        await gateway.until(lambda call: call["answered_at"] is not None)
        page = await samples(gateway)
        came = {"direction": "inbound", "trunk": "carrier"}
        assert of(page, "gateway_calls_started_total", **came) == 1
        assert of(page, "gateway_calls_answered_total", **came) == 1
        assert of(page, "gateway_call_setup_seconds_count", direction="inbound") == 1
        await jambonz.callee_hangs_up()
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=FALLBACK_DID, trunk="a trunk of a foreign softswitch")
        await jambonz.refused(503)
        await jambonz.refused(486, status="busy")
        await jambonz.declined(486)
    await gateway.until(lambda call: call["state"] == "ended")
    page = await samples(gateway)
    other = {"direction": "inbound", "trunk": "other"}
    assert of(page, "gateway_calls_ended_total", **came, cause="hangup", fault="nobody") == 1
    assert of(page, "gateway_calls_ended_total", **other, cause="busy", fault="callee") == 1
    assert of(page, "gateway_calls_answered_total", **other) is None
    assert of(page, "gateway_dial_attempts_total", trunk="retell", code="5xx") == 1
    assert of(page, "gateway_dial_attempts_total", trunk="pbx", code="4xx") == 1
    assert of(page, "gateway_post_dial_seconds_count", trunk="retell") == 1
    assert of(page, "gateway_post_dial_seconds_count", trunk="pbx") is None


async def test_a_loop_that_lags_is_seen(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_lag, "EVERY_S", 0.01)
    gateway = await start()
    asyncio.get_running_loop().call_soon(time.sleep, 0.3)
    await asyncio.sleep(0.02)
    page = await samples(gateway)
    seen = of(page, "gateway_event_loop_lag_seconds_count")
    in_time = of(page, "gateway_event_loop_lag_seconds_bucket", le="0.25")
    assert seen is not None
    assert in_time is not None
    assert seen > in_time


async def test_a_trunk_of_a_reloaded_configuration_is_a_label(start: Start) -> None:
    gateway = await start()
    settings = gateway.app_settings()
    trunk = settings.trunks[0].model_copy(update={"name": "new"})
    await configure(gateway.app, settings.model_copy(update={"trunks": (*settings.trunks, trunk)}))
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID, trunk="new")
        page = await samples(gateway)
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
    assert of(page, "gateway_calls_started_total", direction="inbound", trunk="new") == 1
