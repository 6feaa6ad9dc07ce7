"""The relay's loop: one thread, one epoll, every socket non-blocking.

Packets first: each turn takes one datagram of every socket that has any, and then at most one
control request (some hundred microseconds), so that setting up calls does not delay audio.
"""

from __future__ import annotations

import gc
import os
import random
import resource
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from sip.media.ng.control_address import ControlAddress
from sip.media.relay.control import Control
from sip.media.relay.control_socket import ControlSocket
from sip.media.relay.notices import Notices
from sip.media.relay.ports import PortPool
from sip.media.relay.problems import ProblemLog
from sip.media.relay.sessions import Sessions
from sip.media.relay.tape import Recorder
from sip.media.relay.timers import NEVER, Timers
from sip.media.relay.turn import AT_ONCE, Turn

#: Without a timer, whatever is to be done arrives on a descriptor, signals too.
FOREVER = -1

#: Sockets served in one turn before the next look at control.
MAX_EVENTS = 512

#: Under load, packets are let gather for this long before the next turn, as network cards do: to
#: wake up for each one would cost half as much again, and a delay of 0.25 ms cannot be heard.
PAUSE_S = 0.00025

#: What counts as load: this many packets in `LOOK_S`, those of 50 calls. Below, none is delayed.
BUSY_EVENTS = 500
LOOK_S = 0.1

#: A turn with this many packets needs no gathering.
FULL_TURN = 64

#: Objects made and not freed before the collector looks; by default it would pause audio for
#: every 700.
GC_THRESHOLDS = (50_000, 20, 100)

#: RTP, its connected socket, and RTCP.
FILES_PER_PAIR = 3

#: Descriptors that the relay needs beside the media sockets.
SPARE_FILES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """What the command line says. Ports are inclusive; `drain_s` is seconds.

    `token` is the first word of each request over UDP, empty where none is asked for.
    """

    control: ControlAddress
    listen: str
    advertise: str
    first_port: int
    last_port: int
    drain_s: float
    token: bytes = b""
    has_parent: bool = False
    #: where the recorder listens; None: nothing is recorded
    recorder: str | None = None


class RelayServer:
    """Owns the epoll, the control socket and every endpoint's registration."""

    def __init__(self, options: ServerOptions, problems: ProblemLog, rng: random.Random) -> None:
        self._problems = problems
        self._stopping = False
        self._epoll = select.epoll()
        #: By descriptor; a list, as it is asked for every packet.
        self._readers: list[Callable[[float], None] | None] = []
        self._control_waits = False
        self.turn = Turn()
        self._timers = Timers()
        self._control_socket = ControlSocket(options.control, options.token, self._timers, problems)
        pool = PortPool(
            options.listen,
            options.first_port,
            options.last_port,
            drain_s=options.drain_s,
            rng=rng,
        )
        self._raise_file_limit(pool.size * FILES_PER_PAIR + SPARE_FILES)
        notices = Notices(f"{rng.getrandbits(64):x}", self._reply, self._timers, problems)
        self._sessions = Sessions(
            pool,
            self,
            timers=self._timers,
            notices=notices,
            rng=rng,
            recorder=Recorder(options.recorder, self, problems) if options.recorder else None,
        )
        self._control = Control(
            self._sessions,
            notices,
            advertise=options.advertise,
            version=6 if ":" in options.listen else 4,
            problems=problems,
            began=time.monotonic(),
        )
        self.watch(self._control_socket.socket, self._control_ready)
        self._has_parent = options.has_parent
        if options.has_parent:
            self._watch(0, self._stdin_ready)
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_writer, False)
        os.set_blocking(self._wake_reader, False)
        self._watch(self._wake_reader, self._woken)

    @property
    def control_address(self) -> ControlAddress:
        """Where control is bound, the port chosen if it was 0."""
        return self._control_socket.address

    def stop(self) -> None:
        """Ends `run`."""
        self._stopping = True

    def handle_signals(self) -> None:
        """SIGTERM and SIGINT end `run`, unless a parent does that.

        Ctrl-C and service managers signal the parent and its children at once, but the parent
        has calls to end, and counters to ask for, before audio may stop.
        """
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            if self._has_parent:
                signal.signal(number, signal.SIG_IGN)
            else:
                signal.signal(number, lambda *_: self.stop())

    def run(self) -> None:
        """Serves until stopped."""
        # What exists now stays for good, and what calls make is freed by reference counts, as
        # parting breaks every cycle: the collector only has to look for what we forgot.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        monotonic = time.monotonic
        poll = self._epoll.poll
        readers = self._readers
        timers = self._timers
        end_turn = self.turn.end
        busy, served, look = False, 0, 0.0
        while not self._stopping:
            due = timers.next_due
            wait_s = FOREVER if due == NEVER else max(0.0, due - monotonic())
            events = poll(wait_s, MAX_EVENTS)
            # One time for all: they had arrived by now, and waiting for us is not their jitter.
            now = monotonic()
            served += len(events)
            if now >= look:
                busy, served, look = served > BUSY_EVENTS, 0, now + LOOK_S
            try:
                for first in range(0, len(events), AT_ONCE):
                    for fd, _ in events[first : first + AT_ONCE]:
                        reader = readers[fd]
                        if reader is not None:  # a packet in this turn may have closed it
                            reader(now)
                    end_turn(now)
                if now >= due:
                    timers.run(now)
            except Exception as error:
                # Our fault; what was not served in this turn is ready in the next one.
                self._problems.problem("relay.internal-error", reason=repr(error))
            if self._control_waits:
                self._control_waits = False
                self._serve_control()
            elif busy and len(events) < FULL_TURN:
                time.sleep(PAUSE_S)

    def watch(self, sock: socket.socket, reader: Callable[[float], None]) -> None:
        """See `Poller.watch`."""
        self._watch(sock.fileno(), reader)

    def unwatch(self, sock: socket.socket) -> None:
        """See `Poller.unwatch`. To close the socket takes it out of the epoll."""
        self._readers[sock.fileno()] = None

    def _watch(self, fd: int, reader: Callable[[float], None]) -> None:
        self._epoll.register(fd, select.EPOLLIN)
        if fd >= len(self._readers):
            self._readers += [None] * (fd + 1 - len(self._readers))
        self._readers[fd] = reader

    def close(self) -> None:
        """Ends every call and closes every descriptor."""
        self._sessions.close(time.monotonic())
        self._control_socket.close(with_folder=self._has_parent)
        self._epoll.close()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _control_ready(self, now: float) -> None:
        self._control_waits = True

    def _serve_control(self) -> None:
        request = self._control_socket.receive()
        if request is None:
            return
        reply = self._control.handle(*request, time.monotonic())
        if reply is not None:
            self._reply(reply, request[1])

    def _reply(self, datagram: bytes, client: object) -> None:
        """To a client, answered or notified."""
        self._control_socket.send(datagram, client, time.monotonic())

    def _stdin_ready(self, now: float) -> None:
        """The parent holds the other end of the pipe; its end is the parent's."""
        if not os.read(0, 4096):
            self._problems.line("info", "relay.parent-gone")
            self.stop()

    def _woken(self, now: float) -> None:
        os.read(self._wake_reader, 4096)

    def _raise_file_limit(self, wanted: int) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft >= wanted:
            return
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
        if limit < wanted:
            self._problems.line(
                "warning",
                "relay.file-limit",
                limit=limit,
                wanted=wanted,
                calls=(limit - SPARE_FILES) // (2 * FILES_PER_PAIR),
            )
