"""The RTP generator: N calls, 20 ms, both ways, from one process on one core.

Both sides speak G.711, or what `--speech` says.

Run by bench.media as a program of its own: it prints the ports it has bound, reads the ports it
shall send to, prints what has arrived when the warm-up is over, and the figures when it is done.

Every party is a socket of its own, connected to the one port it was given: the kernel refuses what
comes from anywhere else, so a packet delivered to the wrong party counts as lost. Sending times
are spread evenly over the 20 ms. One party in ten is a probe: its packets carry the time they were
sent, and the kernel stamps their arrival (see bench.clocked), so the generator's own queue is not
part of the delay.
"""

import argparse
import gc
import json
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from functools import partial

from bench.clocked import now_ns, receive_stamped, stamp_arrivals
from bench.process import allow_many_sockets

_PTIME_NS = 20_000_000
_G711 = "0:160:" + "d5" * 160
_PROBE_EVERY = 10
_BURST = 16
"""Packets sent before the receiving side gets its turn."""
_DRAIN_S = 1.0
_IDLE_S = 0.000_05
_PATIENCE = 1.5
"""A generator that is starved of its core gives up after so many times the planned duration."""
_SEQUENCE_AND_TIMESTAMP = struct.Struct(">HI")
_SENT_AT = struct.Struct(">Q")
_SENT_AT_OFFSET = 12


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
        self._epoll = select.epoll()
        self._receive: dict[int, Callable[[], object]] = {}
        for party in parties:
            self._epoll.register(party.socket, select.EPOLLIN)
            self._receive[party.socket.fileno()] = self._receiver(party)

    def _receiver(self, party: Party) -> Callable[[], object]:
        if not party.probe:
            return partial(party.socket.recv_into, self._buffer)
        return partial(self._receive_probe, party.socket)

    def _receive_probe(self, sock: socket.socket) -> None:
        length, arrived_ns = receive_stamped(sock, self._buffer)
        if length < _SENT_AT_OFFSET + _SENT_AT.size:
            return
        (sent_ns,) = _SENT_AT.unpack_from(self._buffer, _SENT_AT_OFFSET)
        if self._measuring_since_ns and sent_ns >= self._measuring_since_ns:
            self.delays_ns.append(arrived_ns - sent_ns)

    def run(self, *, seconds: float, warm_up_s: float, steady: Callable[[], None]) -> None:
        """Send for warm-up and measurement, then wait for what is still under way."""
        count = len(self.parties)
        rounds = round((warm_up_s + seconds) * 1e9 / _PTIME_NS)
        total = rounds * count
        warm = round(warm_up_s * 1e9 / _PTIME_NS) * count
        # Callers and agents take turns, so that neither direction comes in bursts.
        order = [
            (party.packet, party.socket.send, party.ticks, party.probe)
            for party in self.parties[0::2] + self.parties[1::2]
        ]
        poll = self._epoll.poll
        number_packet, sleep = _SEQUENCE_AND_TIMESTAMP.pack_into, time.sleep
        start_ns = time.monotonic_ns() + 20_000_000
        give_up_ns = round((warm_up_s + seconds) * _PATIENCE * 1e9)
        index = 0
        while index < total:
            elapsed_ns = time.monotonic_ns() - start_ns
            if elapsed_ns > give_up_ns:
                break
            due = min(total, elapsed_ns * count // _PTIME_NS + 1) if elapsed_ns >= 0 else 0
            if due > index:
                behind_ns = elapsed_ns - index * _PTIME_NS // count
                if index >= warm:
                    if not self._measuring_since_ns:
                        steady()
                        self._measuring_since_ns = now_ns()
                    self.behind_ns = max(self.behind_ns, behind_ns)
                last = min(due, index + _BURST)
                for position in range(index, last):
                    packet, send, ticks, probe = order[position % count]
                    number = position // count
                    number_packet(packet, 2, number & 0xFFFF, number * ticks & 0xFFFF_FFFF)
                    if probe:
                        _SENT_AT.pack_into(packet, _SENT_AT_OFFSET, now_ns())
                    try:
                        send(packet)
                    except OSError:
                        self.refused += 1
                index = last
            events = poll(0)
            if events:
                self._take(events)
            elif due <= index:
                sleep(_IDLE_S)
        self.sent = index
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


def main() -> None:
    """Bind, say where, be told where to, send, report. One JSON document a line."""
    arguments = argparse.ArgumentParser(prog="python -m bench.rtp_load")
    arguments.add_argument("--calls", type=int, required=True)
    arguments.add_argument("--seconds", type=float, required=True)
    arguments.add_argument("--warm-up", type=float, required=True)
    arguments.add_argument("--host", default="127.0.0.2")
    # of callers, then of agents; what is converted cannot carry the time it was sent
    arguments.add_argument("--speech", nargs=2)
    options = arguments.parse_args()
    allow_many_sockets()
    speech = options.speech or (_G711, _G711)
    parties = [
        Party(
            options.host,
            0x1000_0000 + index,
            probe=not options.speech and index // 2 % _PROBE_EVERY == 0,
            speech=speech[index % 2],
        )
        for index in range(2 * options.calls)
    ]
    print(json.dumps([party.port for party in parties]), flush=True)
    targets: list[list[object]] = json.loads(sys.stdin.readline())
    for party, (host, port) in zip(parties, targets, strict=True):
        party.socket.connect((host, port))
    load = Load(parties)
    gc.collect()
    gc.freeze()
    gc.disable()
    began, cpu_began = 0.0, 0.0

    def steady() -> None:
        nonlocal began, cpu_began
        began, cpu_began = time.monotonic(), time.process_time()
        print(json.dumps({"received": load.received}), flush=True)

    load.run(seconds=options.seconds, warm_up_s=options.warm_up, steady=steady)
    busy = (time.process_time() - cpu_began) / (time.monotonic() - began)
    result = {
        "sent": load.sent,
        "received": load.received,
        "refused": load.refused,
        "behind_ms": load.behind_ns / 1e6,
        "generator_core": busy,
        "delays_us": sorted(delay / 1000 for delay in load.delays_ns),
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
