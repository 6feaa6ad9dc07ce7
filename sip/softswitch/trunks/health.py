"""Whether the gateways of trunks are alive: by OPTIONS where they are welcome, and by their calls.

A gateway that fails some times in a row is left out (its circuit opens), so that no further caller
waits for it. After a cool-down one try decides: an OPTIONS where the gateway is known to answer
them, else the next call.
"""

import asyncio
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from sip.clock import Timer
from sip.core.uri import Uri
from sip.softswitch.trunks.circuit import Circuit, CircuitInput, CircuitState
from sip.softswitch.trunks.options_ping import PingOutcome, ping
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Target
from sip.transport.servers.resolver import ResolveError
from sip.ua.user_agent import UserAgent

log = structlog.get_logger(__name__)

#: Carriers take more frequent OPTIONS for an attack (Twilio bans below 10 to 15 s).
FASTEST_S: Final = 10.0
#: Seconds after the start within which the first OPTIONS go out, not all at once.
FIRST_WITHIN_S: Final = 2.0
#: Intervals vary by this part, so that gateways are not all asked in the same moment.
JITTER: Final = 0.1
#: Seconds until a try that was given to a call, of which nothing was heard, is given to another:
#: calls may ring for minutes, and may be cancelled before an answer.
TRY_S: Final = 40.0
#: Seconds in which every call must meet a 503 before calls stop (RFC 3261 21.5.4): a single 503
#: may only be the carrier's limit on calls a second.
BUSY_S: Final = 60.0
#: Most servers of one name that are asked.
MAX_SERVERS: Final = 8


class Health(Protocol):
    """What placing calls needs to know of gateways, and what it tells of them."""

    def usable(self, trunk: str, gateway: Uri) -> bool:
        """Whether a call may go to this gateway of that trunk now.

        Ask just before placing it: the one try of a gateway on trial goes to the first who asks.
        """
        ...

    def note(self, trunk: str, gateway: Uri, status: int | None, why: str | None = None) -> None:
        """Note how an INVITE ended: its final status; None if it got no answer or was not
        delivered, and then `why`, if that is known."""
        ...


class AlwaysUp:
    """Default for `health`: no gateway is watched, all are tried."""

    def usable(self, trunk: str, gateway: Uri) -> bool:
        return True

    def note(self, trunk: str, gateway: Uri, status: int | None, why: str | None = None) -> None:
        """Nothing is learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayState:
    """One gateway as an operator sees it.

    `since` in seconds of 1970; `heard` whether anything ever came back from it; `by_options` or
    else by its calls alone; `last_error` a few words, None after an answer.
    """

    trunk: str
    gateway: Uri
    state: CircuitState
    since: float
    heard: bool
    by_options: bool
    last_status: int | None
    last_error: str | None
    round_trip_s: float | None


@dataclass(slots=True, eq=False)
class _Watch:
    """One gateway of one trunk, and what is known of it.

    `since` is its last change, in seconds of 1970, and `changed_at` in those of the clock;
    `unanswered` counts OPTIONS in a row that met silence; `busy_from` is the first 503 to a call
    since it last answered otherwise; `phase` ends the cool-down, or the wait for a try.
    """

    trunk: Trunk
    gateway: Uri
    circuit: Circuit
    since: float
    changed_at: float = 0.0
    last_status: int | None = None
    last_error: str | None = None
    round_trip_s: float | None = None
    answers_calls: bool = False
    answers_options: bool = False
    unanswered: int = 0
    busy_from: float = math.inf
    last_ping: float = -math.inf
    next_ping: Timer | None = None
    phase: Timer | None = None
    left: bool = False

    @property
    def by_options(self) -> bool:
        """Whether OPTIONS are sent: to all but those that take calls and ignore OPTIONS."""
        deaf = self.answers_calls and not self.answers_options
        return self.trunk.health.options and not (
            deaf and self.unanswered >= self.trunk.health.failures
        )


class TrunkHealth:
    """Watches every gateway of every trunk. `start` it when the listeners are open."""

    def __init__(self, ua: UserAgent, trunks: Iterable[Trunk]) -> None:
        self._ua = ua
        self._clock = ua.clock
        self._watches = {key: self._watch(*key, trunk) for key, trunk in _gateways(trunks).items()}
        self._pings: set[asyncio.Task[None]] = set()

    def _watch(self, _: str, gateway: Uri, trunk: Trunk) -> _Watch:
        return _Watch(trunk, gateway, Circuit(trunk.health.failures), self._clock.epoch())

    def start(self) -> None:
        """Begin to send OPTIONS where they are welcome."""
        for watch in self._watches.values():
            self._start(watch)

    def _start(self, watch: _Watch) -> None:
        if watch.by_options:
            self._ping_after(watch, self._ua.ids.backoff_s(0.0, FIRST_WITHIN_S))

    def configure(self, trunks: Iterable[Trunk]) -> None:
        """Watch the gateways of these trunks from now on. What is known of one that stays is kept,
        unless it is watched in another way."""
        before, self._watches = self._watches, {}
        for key, trunk in _gateways(trunks).items():
            watch = before.get(key)
            if watch is None or watch.trunk.health != trunk.health:
                watch = self._watches[key] = self._watch(*key, trunk)
                self._start(watch)
            else:
                del before[key]
                watch.trunk = trunk
                self._watches[key] = watch
        for watch in before.values():
            _leave(watch)

    async def close(self) -> None:
        """Stop every timer and drop the OPTIONS under way; what calls tell now starts no more."""
        for watch in self._watches.values():
            _leave(watch)
        self._watches.clear()
        for task in self._pings:
            task.cancel()
        await asyncio.gather(*self._pings, return_exceptions=True)

    # Health

    def usable(self, trunk: str, gateway: Uri) -> bool:
        """See `Health`; a gateway outside the configuration is."""
        watch = self._watches.get((trunk, gateway))
        if watch is None:
            return True
        on_trial = watch.circuit.state is CircuitState.HALF_OPEN
        if on_trial and watch.answers_options:
            return False  # an OPTIONS decides, at no caller's expense
        passes = watch.circuit.take()
        if passes and on_trial:
            self._phase_ends(watch, TRY_S, CircuitInput.RETURNED)
        return passes

    def note(self, trunk: str, gateway: Uri, status: int | None, why: str | None = None) -> None:
        """See `Health`. A 408 is mostly the callee's silence, and teaches nothing."""
        watch = self._watches.get((trunk, gateway))
        if watch is None:
            return
        watch.last_status, watch.last_error = status, None
        match status:
            case None:
                watch.last_error = why or "an INVITE got no answer"
                self._step(watch, CircuitInput.DEAD, watch.last_error)
            case 408:
                self._step(watch, CircuitInput.RETURNED)
            case 503:
                watch.last_error = "503 to an INVITE"
                lasting = self._clock.now() - watch.busy_from >= BUSY_S
                watch.busy_from = min(watch.busy_from, self._clock.now())
                given = CircuitInput.DEAD if lasting else CircuitInput.RETURNED
                self._step(watch, given, f"503 to every INVITE for {BUSY_S:g} s and more")
            case _:
                watch.answers_calls = True
                self._step(watch, CircuitInput.ALIVE, f"{status} to an INVITE")

    def states(self) -> Iterator[GatewayState]:
        """Every gateway, in the order of the configuration."""
        for watch in self._watches.values():
            yield GatewayState(
                trunk=watch.trunk.name,
                gateway=watch.gateway,
                state=watch.circuit.state,
                since=watch.since,
                heard=watch.answers_calls or watch.answers_options,
                by_options=watch.by_options,
                last_status=watch.last_status,
                last_error=watch.last_error,
                round_trip_s=watch.round_trip_s,
            )

    # circuits

    def _step(self, watch: _Watch, given: CircuitInput, why: str = "") -> None:
        """Every input but the taking of a try comes by here; `why` is for the log."""
        if given is CircuitInput.ALIVE:
            watch.busy_from = math.inf
        before = watch.circuit.state
        if not watch.circuit.step(given):
            return
        _cancel(watch.phase)
        match watch.circuit.state:
            case CircuitState.OPEN:
                self._phase_ends(watch, watch.trunk.health.cool_down_s, CircuitInput.COOLED)
                if before is CircuitState.CLOSED:
                    self._tell_down(watch, why)
                    self._changed(watch)
            case CircuitState.CLOSED:
                self._tell_up(watch, why)
                self._changed(watch)
            case CircuitState.HALF_OPEN if watch.by_options:
                self._ping_after(watch, 0.0)

    def _changed(self, watch: _Watch) -> None:
        watch.since, watch.changed_at = self._clock.epoch(), self._clock.now()

    def _phase_ends(self, watch: _Watch, delay_s: float, then: CircuitInput) -> None:
        watch.phase = self._clock.call_later(delay_s, self._step, watch, then)

    def _tell_down(self, watch: _Watch, why: str) -> None:
        name, circuit = watch.trunk.name, watch.circuit
        others = any(
            other.circuit.state is CircuitState.CLOSED
            for other in self._watches.values()
            if other.trunk.name == name
        )
        now = "the trunk's other gateways get its calls" if others else "the trunk places no calls"
        decides = "an OPTIONS decides" if watch.answers_options else "one call may try it"
        log.warning(
            "trunk.gateway-down",
            trunk=name,
            gateway=str(watch.gateway),
            reason=f"{why}, {circuit.failed} failures in a row",
            now=f"{now}; in {watch.trunk.health.cool_down_s:g} s {decides}",
        )

    def _tell_up(self, watch: _Watch, why: str) -> None:
        log.info(
            "trunk.gateway-up",
            trunk=watch.trunk.name,
            gateway=str(watch.gateway),
            reason=why,
            down_s=round(self._clock.now() - watch.changed_at),
            now="it gets calls again",
        )

    # OPTIONS

    def _ping_after(self, watch: _Watch, delay_s: float) -> None:
        _cancel(watch.next_ping)
        soonest_s = watch.last_ping + FASTEST_S - self._clock.now()
        delay_s = max(delay_s, soonest_s)
        watch.next_ping = self._clock.call_later(delay_s, self._begin_ping, watch)

    def _begin_ping(self, watch: _Watch) -> None:
        watch.last_ping = self._clock.now()
        task = asyncio.get_running_loop().create_task(self._ping(watch), name="OPTIONS")
        self._pings.add(task)
        task.add_done_callback(self._pings.discard)

    async def _ping(self, watch: _Watch) -> None:
        answer = await self._ask(watch)
        if watch.left:
            return
        watch.last_status, watch.last_error = answer.status, answer.error
        watch.answers_options |= answer.status is not None
        watch.unanswered = watch.unanswered + 1 if answer.silent else 0
        if answer.alive:
            watch.round_trip_s = answer.round_trip_s
            self._step(watch, CircuitInput.ALIVE, f"{answer.status} to OPTIONS")
        elif watch.answers_options or not answer.silent:
            self._step(watch, CircuitInput.DEAD, f"OPTIONS: {answer.error}")
        elif watch.unanswered == watch.trunk.health.failures:
            self._tell_deaf(watch)
        if watch.by_options:
            # a first failure is looked into soon; an open circuit asks when its cool-down ends
            usual_s = watch.trunk.health.interval_s
            wait_s = self._ua.ids.backoff_s(usual_s * (1 - JITTER), usual_s * (1 + JITTER))
            doubtful = watch.circuit.failed and watch.circuit.state is CircuitState.CLOSED
            self._ping_after(watch, 0.0 if doubtful else wait_s)

    def _tell_deaf(self, watch: _Watch) -> None:
        """A peer that is silent from the start may be well: many carriers ignore OPTIONS."""
        log.warning(
            "trunk.options-ignored",
            trunk=watch.trunk.name,
            gateway=str(watch.gateway),
            reason=f"{watch.unanswered} of them met silence, and none was ever answered",
            now="it is judged by its calls; if they work, set its health.options to false",
        )

    async def _ask(self, watch: _Watch) -> PingOutcome:
        """OPTIONS to the gateway, or by the proxy before it: to all the servers of its name.

        It is alive if one of them is; calls try a dead one last (RFC 3263 4.3).
        """
        trunk, ua = watch.trunk, self._ua
        try:
            targets = await ua.resolver.resolve(trunk.outbound_proxy or watch.gateway)
        except ResolveError as error:
            return PingOutcome(error=str(error))
        answers = await asyncio.gather(
            *(self._ask_one(watch, target) for target in targets[:MAX_SERVERS])
        )
        return next((answer for answer in answers if answer.alive), answers[0])

    async def _ask_one(self, watch: _Watch, target: Target) -> PingOutcome:
        try:
            flow = self._ua.flow_at(target)
        except OSError as error:
            return PingOutcome(error=str(error))
        answer = await ping(self._ua, watch.trunk, watch.gateway, flow)
        if answer.alive:
            self._ua.resolver.forgive(target.endpoint)
        elif watch.answers_options or not answer.silent:
            self._ua.resolver.penalize(target.endpoint, 2 * watch.trunk.health.interval_s)
        return answer


def _gateways(trunks: Iterable[Trunk]) -> dict[tuple[str, Uri], Trunk]:
    """Every gateway of every trunk, by the trunk's name and its own URI."""
    return {(trunk.name, gateway): trunk for trunk in trunks for gateway in trunk.gateways}


def _leave(watch: _Watch) -> None:
    """Watch it no more; an OPTIONS under way may still come to its end."""
    _cancel(watch.phase)
    _cancel(watch.next_ping)
    watch.left = True


def _cancel(timer: Timer | None) -> None:
    if timer is not None:
        timer.cancel()
