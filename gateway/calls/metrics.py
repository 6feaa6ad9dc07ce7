"""The /metrics page: counters and histograms of calls, in a registry of their own."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from platform import python_version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from gateway.calls.endings import Ending
from gateway.calls.quality import LegQuality
from gateway.calls.tried import Tried

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SETUP_S = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 40, 60)
_POST_DIAL_S = (0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 12, 20)
_LAG_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_TALK_S = (5, 15, 30, 60, 120, 300, 600, 1800, 3600)
_MOS = (1.5, 2.0, 2.5, 3.0, 3.25, 3.5, 3.75, 4.0, 4.1, 4.2, 4.3, 4.4)
_LOSS = (0.0, 0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5)
_JITTER_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
_ROUND_TRIP_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
_API_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.2, 2.0)


class Counted(Collector):
    """Counters that other parts keep; names without `gateway_` and `_total`."""

    def __init__(self, counters: Mapping[str, Callable[[], float]]) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        """Read them all."""
        for name, read in self._counters.items():
            words = f"{name.replace('_', ' ').capitalize()} since the start"
            yield CounterMetricFamily(f"gateway_{name}", words, value=float(read()))


class Metrics:
    """What an operator watches. Labels are bounded: slugs and trunk names, never numbers."""

    def __init__(self, *, trunks: Collection[str] = (), version: str = "") -> None:
        """`trunks` are the names that may be labels: those of the configuration."""
        self.registry = CollectorRegistry()
        self.know(trunks)
        ProcessCollector(registry=self.registry)
        build = Gauge(
            "gateway_build_info",
            "Always 1: what runs stands in the labels",
            ["version", "python"],
            registry=self.registry,
        )
        build.labels(version, python_version()).set(1)
        self.started = Counter(
            "gateway_calls_started_total",
            "Calls begun, by the trunk that they came by",
            ["direction", "trunk"],
            registry=self.registry,
        )
        self.answered = Counter(
            "gateway_calls_answered_total",
            "Calls answered, by the trunk that they came by",
            ["direction", "trunk"],
            registry=self.registry,
        )
        self.ended = Counter(
            "gateway_calls_ended_total",
            "Calls ended, by trunk, how and whose fault",
            ["direction", "trunk", "cause", "fault"],
            registry=self.registry,
        )
        self.live = Gauge("gateway_calls_live", "Calls now", registry=self.registry)
        self.attempts = Counter(
            "gateway_dial_attempts_total",
            "Legs dialled, by trunk and class of final code (2xx, 4xx, …, none)",
            ["trunk", "code"],
            registry=self.registry,
        )
        self.setup = Histogram(
            "gateway_call_setup_seconds",
            "From the first message of a call to its answer",
            ["direction"],
            buckets=_SETUP_S,
            registry=self.registry,
        )
        self.post_dial = Histogram(
            "gateway_post_dial_seconds",
            "From dialling a trunk until it rings, sends early media or answers",
            ["trunk"],
            buckets=_POST_DIAL_S,
            registry=self.registry,
        )
        self.loop_lag = Histogram(
            "gateway_event_loop_lag_seconds",
            "By how much timers come late, looked at twice a second",
            buckets=_LAG_S,
            registry=self.registry,
        )
        self.talk = Histogram(
            "gateway_call_talk_seconds",
            "From answer to end",
            ["direction"],
            buckets=_TALK_S,
            registry=self.registry,
        )
        self.transfers = Counter(
            "gateway_transfers_total",
            "Transfers that are over, by policy, stage, outcome and class of final code",
            ["policy", "stage", "outcome", "code"],
            registry=self.registry,
        )
        self.register = Histogram(
            "gateway_retell_register_seconds",
            "register-phone-call, retry included, by outcome",
            ["outcome"],
            buckets=_API_S,
            registry=self.registry,
        )
        self._retell_requests = Counter(
            "gateway_retell_requests_total",
            "Requests to Retell's API, by operation and what came of them",
            ["operation", "outcome"],
            registry=self.registry,
        )
        self._agents_left = Counter(
            "gateway_agents_left_total",
            "Calls whose agent did not hang up, by what Retell said of the agent's call",
            ["outcome"],
            registry=self.registry,
        )
        self._retell_full = Counter(
            "gateway_retell_full_total",
            "Callers who found no room at Retell, by what became of them",
            ["outcome"],
            registry=self.registry,
        )
        self._frames_refused = Counter(
            "gateway_jambonz_errors_total",
            "Frames that one side could not use, by side",
            ["side"],
            registry=self.registry,
        )
        self._mos = Histogram(
            "gateway_leg_mos",
            "Mean opinion score of a leg, 1 to 4.5, by the E-model",
            ["trunk"],
            buckets=_MOS,
            registry=self.registry,
        )
        self._loss = Histogram(
            "gateway_leg_loss_ratio",
            "Packets of a leg that did not arrive, of all",
            ["trunk"],
            buckets=_LOSS,
            registry=self.registry,
        )
        self._jitter = Histogram(
            "gateway_leg_jitter_seconds",
            "Mean jitter of a leg",
            ["trunk"],
            buckets=_JITTER_S,
            registry=self.registry,
        )
        self._round_trip = Histogram(
            "gateway_leg_round_trip_seconds",
            "From us to the leg's end and back, by RTCP",
            ["trunk"],
            buckets=_ROUND_TRIP_S,
            registry=self.registry,
        )
        self.spend_alarms = Counter(
            "gateway_spend_alarms_total",
            "What was told about money, by kind",
            ["kind"],
            registry=self.registry,
        )
        self.records_waiting = Gauge(
            "gateway_records_waiting", "Call records not yet stored", registry=self.registry
        )
        self.webhooks = Counter(
            "gateway_retell_webhooks_total",
            "Retell events received, by event and outcome",
            ["event", "outcome"],
            registry=self.registry,
        )
        self._twilio_requests = Counter(
            "gateway_twilio_requests_total",
            "Twilio's webhooks, by which it was and what came of it",
            ["request", "outcome"],
            registry=self.registry,
        )
        # `labels` costs more than counting, and a call counts eight times
        self._started = cache(self.started.labels)
        self._answered = cache(self.answered.labels)
        self._ended = cache(self.ended.labels)
        self._attempted = cache(self.attempts.labels)
        self._rang = cache(self.post_dial.labels)
        self._set_up = cache(self.setup.labels)
        self._talked = cache(self.talk.labels)

        tasks = Gauge("gateway_asyncio_tasks", "Tasks of the event loop", registry=self.registry)
        tasks.set_function(lambda: len(asyncio.all_tasks()))

    def add(self, gauges: Mapping[str, Callable[[], float]]) -> None:
        """Gauges whose values other parts know; names without the `gateway_`."""
        for name, value in gauges.items():
            words = name.replace("_", " ").capitalize()
            Gauge(f"gateway_{name}", words, registry=self.registry).set_function(value)

    def count(self, counters: Mapping[str, Callable[[], float]]) -> None:
        """Counters that other parts keep; names without the `gateway_` and the `_total`."""
        self.registry.register(Counted(counters))

    def know(self, trunks: Collection[str]) -> None:
        """The trunks of the configuration, from now on."""
        self._trunks = frozenset(trunks)

    def retell_asked(self, operation: str, outcome: str) -> None:
        """A request to Retell's API; `outcome` is `ok` or the failure."""
        self._retell_requests.labels(operation, outcome).inc()

    def twilio_asked(self, request: str, outcome: str) -> None:
        """A webhook of Twilio's; `outcome` is `ok` or why it was refused."""
        self._twilio_requests.labels(request, outcome).inc()

    def agent_left(self, outcome: str) -> None:
        """What came of an agent's call whose person is gone."""
        self._agents_left.labels(outcome).inc()

    def retell_full(self, outcome: str) -> None:
        """What became of a caller who found no room at Retell."""
        self._retell_full.labels(outcome).inc()

    def frame_refused(self, side: str) -> None:
        """`side` ("jambonz" or "gateway") sent a frame that the other could not use."""
        self._frames_refused.labels(side).inc()

    def call_started(self, direction: str, trunk: str) -> None:
        self._started(direction, self._label(trunk)).inc()
        self.live.inc()

    def call_answered(self, direction: str, trunk: str, setup_s: float | None) -> None:
        self._answered(direction, self._label(trunk)).inc()
        if setup_s is not None:
            self._set_up(direction).observe(setup_s)

    def call_ended(
        self,
        direction: str,
        trunk: str,
        ending: Ending,
        tried: list[Tried],
        talk_s: float | None,
    ) -> None:
        self.live.dec()
        self._ended(direction, self._label(trunk), ending.cause, ending.fault).inc()
        for attempt in tried:
            name = attempt.attempt.trunk
            code = f"{attempt.code // 100}xx" if attempt.code else "none"
            self._attempted(name, code).inc()
            if attempt.rang is not None:
                self._rang(name).observe(attempt.rang - attempt.started)
        if talk_s is not None:
            self._talked(direction).observe(talk_s)

    def transfer_ended(self, policy: str, stage: str, outcome: str, code: int) -> None:
        """There is a verdict on a transfer; `code` 0: none."""
        shown = f"{code // 100}xx" if code else "none"
        self.transfers.labels(policy, stage, outcome, shown).inc()

    def leg_ended(self, trunk: str, quality: LegQuality) -> None:
        """How good a leg was, as far as it was measured."""
        label = self._label(trunk)
        for histogram, value in (
            (self._mos, quality.mos),
            (self._loss, quality.loss),
            (self._jitter, quality.jitter_s),
            (self._round_trip, quality.round_trip_s),
        ):
            if value is not None:
                histogram.labels(label).observe(value)

    def _label(self, trunk: str) -> str:
        """A trunk's name as a label: what a foreign softswitch calls its own is one for all."""
        return trunk if trunk in self._trunks else "other"

    def page(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)
