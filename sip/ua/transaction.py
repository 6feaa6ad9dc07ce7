"""What client and server transactions share: a machine that runs, and what it runs on."""

from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from sip.clock import Clock
from sip.clock import Timer as Running
from sip.core.message import Request, Response
from sip.core.timers import Timer, Timers
from sip.core.transaction import LINGERING, Action, Input, Kind, Machine, State
from sip.transport.endpoint import Flow
from sip.ua.lingering import Lingering


class Failure(Enum):
    """Why a client transaction ended without a response."""

    TIMEOUT = auto()
    """no response came in 64*T1 (RFC 3261 8.1.3.1: treat as 408)"""
    UNREACHABLE = auto()
    """the transport failed (treat as 503)"""


class Layer(Protocol):
    """The transaction layer, as its transactions see it."""

    clock: Clock
    timers: Timers
    lingering: Lingering
    transmit: Callable[[bytes, Flow, Request | Response], None]
    reply_flow: Callable[[Flow, Response], Flow]

    def forget(self, transaction: "Transaction") -> None:
        """Called by a transaction that has terminated."""
        ...

    def send(
        self,
        request: Request,
        branch: str,
        data: bytes,
        flow: Flow,
        on_response: Callable[[Response], None],
        on_failure: Callable[[Failure], None],
    ) -> object:
        """Start a client transaction."""
        ...

    def watch(self, transaction: "Transaction") -> None:
        """Its flow may have broken already."""
        ...


class Transaction:
    """What both sides share: a machine, its running timers, its owner."""

    __slots__ = ("_layer", "_running", "flow", "machine")

    def __init__(self, layer: Layer, kind: Kind, flow: Flow) -> None:
        self._layer = layer
        self.flow = flow
        self.machine = Machine(kind, flow.reliable, layer.timers)
        self._running: dict[Timer, Running] = {}

    def _step(self, event: Input | Timer, message: Request | Response | None = None) -> None:
        before = self.machine.state
        actions = self.machine.step(event)
        if self._running and self.machine.state is not before:
            self._stop_timers()
        for action in actions:
            if isinstance(action, Timer):
                self._start(action)
            else:
                self._do(action, message)
        if self.machine.state is State.TERMINATED and before is not State.TERMINATED:
            self._layer.forget(self)

    def _start(self, timer: Timer) -> None:
        delay_s = self.machine.start_s(timer)
        if delay_s is None:
            return
        if timer in LINGERING:
            self._layer.lingering.add(self, timer, delay_s)
        else:
            self._running[timer] = self._layer.clock.call_later(delay_s, self.fire, timer)

    def fire(self, timer: Timer) -> None:
        """The time of `timer` is over."""
        self._running.pop(timer, None)
        self._step(timer)

    def _stop_timers(self) -> None:
        for timer in tuple(self._running):
            if not self.machine.outlives(timer):
                self._running.pop(timer).cancel()

    def _do(self, action: Action, message: Request | Response | None) -> None:
        raise NotImplementedError

    def release(self) -> None:
        """Let go of the user: it holds the transaction, and two that hold each other stay."""
        raise NotImplementedError

    def transport_failed(self) -> None:
        """The flow is lost."""
        self._step(Input.TRANSPORT_ERROR)

    def abandon(self) -> None:
        """Forget everything at once; for closing down."""
        self.machine.state = State.TERMINATED
        self._stop_timers()


def ignore(_: object) -> None:
    """A callback of which nothing is expected any more."""
