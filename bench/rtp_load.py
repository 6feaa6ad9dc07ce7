"""The RTP generator: N calls, 20 ms, both ways, from one process on one core.

Both sides speak G.711, or what `--speech` says.

Run by bench.media as a program of its own: it prints the ports it has bound, reads call by call
where each party shall send, prints what has arrived when the warm-up is over, and the figures when
it is done. Who is joined speaks from then on, one packet in 100 ms until all are: to a party that
hears nothing for longer, an engine may speak itself.

Every party is a socket of its own, connected to the one port it was given: the kernel refuses what
comes from anywhere else, so a packet delivered to the wrong party counts as lost. Sending times
are spread evenly over the 20 ms. One party in ten is a probe: its packets carry the time they were
sent, and the kernel stamps their arrival (see bench.clocked), so the generator's own queue is not
part of the delay.
"""

import argparse
import gc
import json
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from bench.clocked import now_ns, receive_stamped, stamp_arrivals
from bench.process import allow_many_sockets

_PTIME_NS = 20_000_000
G711_TICKS = 160
_G711 = f"0:{G711_TICKS}:" + "d5" * 160
FIRST_SSRC = 0x1000_0000
_PROBE_EVERY = 10
_GREETING_S = 0.1
MOST_GREETINGS = 100
_BURST = 16
"""Packets sent before the receiving side gets its turn."""
_DRAIN_S = 1.0
_IDLE_S = 0.000_05
_PATIENCE = 1.5
"""A generator that is starved of its core gives up after so many times the planned duration."""
_SEQUENCE_AND_TIMESTAMP = struct.Struct(">HI")
_SENT_AT = struct.Struct(">Q")
_SENT_AT_OFFSET = 12


def packets_of(seconds: float) -> int:
    """How many packets a party sends in that time."""
    return round(seconds * 1e9 / _PTIME_NS)


class Party:
    """One end of one call: its socket, its outgoing packet, its counts."""

    def __init__(self, host: str, ssrc: int, *, probe: bool, speech: str = _G711) -> None:
        """`speech` is payload type, ticks of a packet and payload in hex, with colons between."""
        payload_type, ticks, payload = speech.split(":")
        self.ticks = int(ticks)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((host, 0))
        self.probe = probe
        if probe:
            stamp_arrivals(self.socket)
        header = struct.pack(">BBHII", 0x80, int(payload_type), 0, 0, ssrc)
        self.packet = bytearray(header + bytes.fromhex(payload))

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])


class _Lines:
    """Documents from standard input, a line each, without waiting."""

    def __init__(self) -> None:
        self._rest = b""

    def read(self) -> list[Any]:
        """What is there; `SystemExit` when there will be nothing more."""
        if not select.select([0], [], [], 0)[0]:
            return []
        chunk = os.read(0, 65_536)
        if not chunk:
            raise SystemExit("the bench has gone")
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [json.loads(line) for line in lines]


class Load:
    """The running generator."""

    def __init__(self, parties: list[Party]) -> None:
        self.parties = parties
        self.sent = 0
        self.refused = 0
        self.received = 0
        self.delays_ns: list[int] = []
        self.behind_ns = 0
        self._buffer = bytearray(2048)
        self._measuring_since_ns = 0
        self._greetings = self._unsent = 0
        self._epoll = select.epoll()
        self._receive: dict[int, Callable[[], object]] = {}
        for position, party in enumerate(parties):
            self._epoll.register(party.socket, select.EPOLLIN)
            self._receive[party.socket.fileno()] = self._receiver(position)

    def _receiver(self, position: int) -> Callable[[], object]:
        """Reads a packet of the party at this place of the list."""
        party = self.parties[position]
        if not party.probe:
            return partial(party.socket.recv_into, self._buffer)
        return partial(self._receive_probe, party.socket)

    def _receive_probe(self, sock: socket.socket) -> None:
        length, arrived_ns = receive_stamped(sock, self._buffer)
        if length < _SENT_AT_OFFSET + _SENT_AT.size:
            return
        (sent_ns,) = _SENT_AT.unpack_from(self._buffer, _SENT_AT_OFFSET)
        self._note(sent_ns, arrived_ns)

    def _note(self, sent_ns: int, arrived_ns: int) -> None:
        """The delay of a packet, if it is of the measurement."""
        if self._measuring_since_ns and sent_ns >= self._measuring_since_ns:
            self.delays_ns.append(arrived_ns - sent_ns)

    def gather(self) -> None:
        """Joins the calls that are told on standard input; those that are joined speak meanwhile.

        Raises `SystemExit` if that takes too long.
        """
        burst, count = self._burst(), len(self.parties)
        lines, joined, due = _Lines(), 0, 0.0
        while joined < count:
            for call in lines.read():
                for way in call:
                    self._join(joined, way)
                    joined += 1
            if joined and time.monotonic() >= due:
                due = time.monotonic() + _GREETING_S
                burst(self._greetings * count, (self._greetings + 1) * count)
                self._greetings += 1
                if self._greetings == MOST_GREETINGS:
                    raise SystemExit("the engine takes too long to set the calls up")
            self._take(self._epoll.poll(0.002))
        self._unsent, self.refused = self.refused, 0

    def _join(self, position: int, way: list[Any]) -> None:
        """`way` is host and port, and what else `bench.media` says of it."""
        host, port, *_ = way
        self.parties[position].socket.connect((host, port))

    def _burst(self) -> Callable[[int, int], None]:
        """Sends the packets from a place in the order of sending up to another."""
        # Callers and agents take turns, so that neither direction comes in bursts.
        order = [
            (party.packet, party.socket.send, party.ticks, party.probe)
            for party in self.parties[0::2] + self.parties[1::2]
        ]
        count = len(order)
        number_packet = _SEQUENCE_AND_TIMESTAMP.pack_into

        def burst(first: int, last: int) -> None:
            for position in range(first, last):
                packet, send, ticks, probe = order[position % count]
                number = position // count
                number_packet(packet, 2, number & 0xFFFF, number * ticks & 0xFFFF_FFFF)
                if probe:
                    _SENT_AT.pack_into(packet, _SENT_AT_OFFSET, now_ns())
                try:
                    send(packet)
                except OSError:
                    self.refused += 1

        return burst

    def run(self, *, seconds: float, warm_up_s: float, steady: Callable[[], None]) -> None:
        """Send for warm-up and measurement, then wait for what is still under way."""
        count = len(self.parties)
        first = self._greetings * count
        total = first + packets_of(warm_up_s + seconds) * count
        warm = first + packets_of(warm_up_s) * count
        poll, burst, sleep = self._epoll.poll, self._burst(), time.sleep
        start_ns = time.monotonic_ns() + 20_000_000
        give_up_ns = round((warm_up_s + seconds) * _PATIENCE * 1e9)
        index = first
        while index < total:
            elapsed_ns = time.monotonic_ns() - start_ns
            if elapsed_ns > give_up_ns:
                break
            due = first
            if elapsed_ns >= 0:
                due = min(total, first + elapsed_ns * count // _PTIME_NS + 1)
            if due > index:
                behind_ns = elapsed_ns - (index - first) * _PTIME_NS // count
                if index >= warm:
                    if not self._measuring_since_ns:
                        steady()
                        self._measuring_since_ns = now_ns()
                    self.behind_ns = max(self.behind_ns, behind_ns)
                last = min(due, index + _BURST)
                burst(index, last)
                index = last
            events = poll(0)
            if events:
                self._take(events)
            elif due <= index:
                sleep(_IDLE_S)
        self.sent = index - self._unsent
        deadline = time.monotonic() + _DRAIN_S
        while self.received < self.sent and time.monotonic() < deadline:
            self._take(poll(0.05))

    def _take(self, events: list[tuple[int, int]]) -> None:
        """Read one packet from each socket that has one."""
        receive = self._receive
        self.received += len(events)
        for descriptor, _event in events:
            try:
                receive[descriptor]()
            except OSError:
                self.refused += 1
                self.received -= 1


def arguments(program: str) -> argparse.ArgumentParser:
    """What every generator is told."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}")
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--warm-up", type=float, required=True)
    parser.add_argument("--host", default="127.0.0.2")
    return parser


def probes(index: int) -> bool:
    """Whether the party at this place of the list measures delays."""
    return index // 2 % _PROBE_EVERY == 0


def tell(document: object) -> None:
    """Prints it for bench.media, a line of JSON."""
    print(json.dumps(document), flush=True)


def run(load: Load, *, seconds: float, warm_up_s: float) -> None:
    """Says where its parties are, joins and lets them speak, and says what came of it."""
    gc.collect()
    gc.freeze()
    gc.disable()
    tell([party.port for party in load.parties])
    load.gather()
    began, cpu_began = 0.0, 0.0

    def steady() -> None:
        nonlocal began, cpu_began
        began, cpu_began = time.monotonic(), time.process_time()
        tell({"received": load.received})

    load.run(seconds=seconds, warm_up_s=warm_up_s, steady=steady)
    busy = (time.process_time() - cpu_began) / (time.monotonic() - began)
    tell(
        {
            "sent": load.sent,
            "received": load.received,
            "refused": load.refused,
            "behind_ms": load.behind_ns / 1e6,
            "generator_core": busy,
            "delays_us": sorted(delay / 1000 for delay in load.delays_ns),
        }
    )


def main() -> None:
    """Bind, say where, be told where to, send, report."""
    parser = arguments("bench.rtp_load")
    # of callers, then of agents; what is converted cannot carry the time it was sent
    parser.add_argument("--speech", nargs=2)
    options = parser.parse_args()
    allow_many_sockets()
    speech = options.speech or (_G711, _G711)
    parties = [
        Party(
            options.host,
            FIRST_SSRC + index,
            probe=not options.speech and probes(index),
            speech=speech[index % 2],
        )
        for index in range(2 * options.calls)
    ]
    run(Load(parties), seconds=options.seconds, warm_up_s=options.warm_up)


if __name__ == "__main__":
    main()
