"""What the relay tells a client of its own accord, in order, until the client has it.

A notice is an NG message that begins with us: ``cookie SP dictionary``, whose `notify` is this
run of the relay and whose `events` are all that the client has not acknowledged, oldest first,
each with a `number` that rises. The client answers the cookie with `result` "ok" and `number`, the
last one that it has. Until then the notice is repeated; as each holds what came before it, a lost
datagram costs time, and never an event or its place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final, NamedTuple, Protocol

from sip.media.ng.bencode import Decoded, Encodable
from sip.media.ng.form import Form, encode
from sip.media.relay.timers import Timer, Timers

#: How a notice's cookie begins. No client of ours begins one so.
COOKIE: Final = b"notice-"

#: Seconds until a notice is repeated, doubled each time, and those after which its client is gone.
FIRST_WAIT_S: Final = 0.05
MAX_WAIT_S: Final = 0.5
GONE_S: Final = 10.0

#: Events in one datagram, and events kept for a client: beyond that the oldest is lost.
MAX_EVENTS: Final = 100
MAX_QUEUE: Final = 2000

Event = dict[str, Encodable]


class Client(NamedTuple):
    """A client that gets notices, and the form in which it asked for them."""

    address: object
    form: Form


class Problems(Protocol):
    """Where problems are reported (`problems.ProblemLog`)."""

    def problem(self, event: str, **fields: object) -> None: ...


class _Queue:
    """What one client has not acknowledged."""

    __slots__ = ("events", "since", "timer", "wait_s")

    def __init__(self) -> None:
        self.events: deque[Event] = deque()
        #: When the oldest event was first sent, or the last acknowledgement came.
        self.since = 0.0
        self.wait_s = FIRST_WAIT_S
        self.timer: Timer | None = None


class Notices:
    """Every client's events. `run` names this run of the relay, `send` puts a datagram out."""

    def __init__(
        self,
        run: str,
        send: Callable[[bytes, object], None],
        timers: Timers,
        problems: Problems,
    ) -> None:
        self._run = run
        self._send = send
        self._timers = timers
        self._problems = problems
        self._queues: dict[Client, _Queue] = {}
        #: One count for all, so that a client without events need not be remembered.
        self._number = 0

    def tell(self, client: Client, event: Event, now: float) -> None:
        """Sends an event at once, and again until it is acknowledged."""
        queue = self._queues.setdefault(client, _Queue())
        if len(queue.events) == MAX_QUEUE:
            queue.events.popleft()
            self._problems.problem(
                "relay.notice-lost", to=client.address, reason="too many waiting"
            )
        if not queue.events:
            queue.since = now
        self._number += 1
        queue.events.append({"number": self._number, **event})
        if len(queue.events) <= MAX_EVENTS:  # else it waits for an acknowledgement
            queue.wait_s = FIRST_WAIT_S
            self._notify(client, queue, now)

    def acknowledged(self, source: object, reply: Mapping[str, Decoded], now: float) -> None:
        """A client's answer to a notice."""
        number = reply.get("number")
        if not isinstance(number, int):
            return
        for client, queue in list(self._queues.items()):
            if client.address != source:
                continue
            before = len(queue.events)
            while queue.events and _number(queue.events[0]) <= number:
                queue.events.popleft()
            if len(queue.events) == before:
                continue
            queue.since = now
            queue.wait_s = FIRST_WAIT_S
            if not queue.events:
                _cancel(queue)
                del self._queues[client]
            elif before > MAX_EVENTS:
                self._notify(client, queue, now)

    def _notify(self, client: Client, queue: _Queue, now: float) -> None:
        _cancel(queue)
        cookie = COOKIE + str(self._number).encode()
        message: Event = {
            "notify": self._run,
            "events": list(islice(queue.events, MAX_EVENTS)),
        }
        self._send(cookie + b" " + encode(message, client.form), client.address)

        def again(now: float) -> None:
            if now - queue.since > GONE_S:
                self._problems.problem(
                    "relay.notice-lost", to=client.address, reason="the client does not answer"
                )
                del self._queues[client]
                return
            queue.wait_s = min(queue.wait_s * 2, MAX_WAIT_S)
            self._notify(client, queue, now)

        queue.timer = self._timers.at(now + queue.wait_s, again)


def _number(event: Event) -> int:
    number = event["number"]
    assert isinstance(number, int)
    return number


def _cancel(queue: _Queue) -> None:
    if queue.timer is not None:
        queue.timer.cancel()
        queue.timer = None
