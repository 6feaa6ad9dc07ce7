"""Load whose every packet is its own: made, and encrypted, before the run; proven after it.

The generator so does nothing for encryption while it measures. Each packet has a payload that no
other of its stream has. What arrives is kept as it came; when all is over it is decrypted where its
hearer is encrypted, and compared with what the other side said.

Run by bench.media in place of bench.rtp_load: before its ports it prints each party's key, is told
by which key each party is spoken to, and prints at last what is proven.
"""

import base64
import random
import secrets
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pylibsrtp import Error as SrtpError
from pylibsrtp import Policy, Session

from bench.clocked import now_ns, receive_stamped
from bench.process import allow_many_sockets
from bench.rtp_load import (
    FIRST_SSRC,
    G711_TICKS,
    MOST_GREETINGS,
    Load,
    Party,
    arguments,
    packets_of,
    probes,
    run,
    tell,
)
from bench.seals import CLEAR, GCM, KEY_BYTES, SHA1_32, SHA1_80

_PAYLOAD_BYTES = 160
_NOISE = random.Random(3711).randbytes(65_536)
_HEADER = struct.Struct(">BBHII")
_LONGEST = 1500
_PROFILES = {
    SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    SHA1_32: Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
}


def said(ssrc: int, number: int) -> bytes:
    """A stream's packet in the clear; under 65,536 of them, so that sequence numbers are theirs."""
    at = (ssrc * 1009 + number * 167) % (len(_NOISE) - _PAYLOAD_BYTES)
    header = _HEADER.pack(0x80, 0, number, number * G711_TICKS & 0xFFFF_FFFF, ssrc)
    return header + _NOISE[at : at + _PAYLOAD_BYTES]


def _session(suite: str, key: bytes, direction: int) -> Session:
    return Session(Policy(key=key, ssrc_type=direction, srtp_profile=_PROFILES[suite]))


class Stream:
    """What one party says and hears."""

    def __init__(self, party: Party, ssrc: int, suite: str, packets: int) -> None:
        self.party = party
        self.suite = suite
        self.ssrc = ssrc
        self.key = b"" if suite == CLEAR else secrets.token_bytes(KEY_BYTES[suite])
        self.sent_ns = [0] * packets
        self.heard: list[bytes] = []
        self.heard_by = b""
        """The key of what it hears."""
        clear = [said(ssrc, number) for number in range(packets)]
        if suite == CLEAR:
            self.packets = clear
        else:
            sender = _session(suite, self.key, Policy.SSRC_ANY_OUTBOUND)
            self.packets = [sender.protect(packet) for packet in clear]


class Proof(NamedTuple):
    """Of the packets that arrived: how many are what was said, once each, and how many are not.

    `filled` are others that are proven, but silence: the engine's own, after which it may number
    the other side's packets as it likes.
    """

    proven: int = 0
    unproven: int = 0
    filled: int = 0


class SealedLoad(Load):
    """The running generator; two streams in a row are a call."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = streams
        super().__init__([stream.party for stream in streams])

    def _join(self, position: int, way: list[Any]) -> None:
        super()._join(position, way)
        self._streams[position].heard_by = base64.b64decode(way[2])

    def _receiver(self, position: int) -> Callable[[], object]:
        stream, speaker = self._streams[position], self._streams[position ^ 1]
        sock, keep = stream.party.socket, stream.heard.append
        if stream.party.probe:
            return lambda: self._keep_probe(sock, speaker, keep)
        receive = sock.recv
        return lambda: keep(receive(_LONGEST))

    def _keep_probe(
        self, sock: socket.socket, speaker: Stream, keep: Callable[[bytes], object]
    ) -> None:
        length, arrived_ns = receive_stamped(sock, self._buffer)
        packet = bytes(self._buffer[:length])
        keep(packet)
        number = int.from_bytes(packet[2:4])  # which is never encrypted
        if number < len(speaker.sent_ns):
            self._note(speaker.sent_ns[number], arrived_ns)

    def _burst(self) -> Callable[[int, int], None]:
        order = [
            (stream.packets, stream.party.socket.send, stream.sent_ns, stream.party.probe)
            for stream in (*self._streams[0::2], *self._streams[1::2])
        ]
        count = len(order)

        def burst(first: int, last: int) -> None:
            for position in range(first, last):
                packets, send, sent_ns, probe = order[position % count]
                number = position // count
                if probe:
                    sent_ns[number] = now_ns()
                try:
                    send(packets[number])
                except OSError:
                    self.refused += 1

        return burst

    def prove(self) -> Proof:
        """Decrypts and compares all that arrived."""
        proofs = [
            _proof(stream, self._streams[position ^ 1].ssrc)
            for position, stream in enumerate(self._streams)
        ]
        return Proof(*map(sum, zip(*proofs, strict=True)))


def _proof(stream: Stream, ssrc: int) -> Proof:
    """Of what was heard, where the other side's stream is `ssrc`."""
    receiver: Any = None
    if stream.suite != CLEAR:
        receiver = _session(stream.suite, stream.heard_by, Policy.SSRC_ANY_INBOUND)
    to_come = {said(ssrc, number)[_HEADER.size :] for number in range(len(stream.sent_ns))}
    proven = filled = 0
    for packet in stream.heard:
        clear = packet
        if receiver is not None:
            try:
                clear = receiver.unprotect(packet)
            except SrtpError:
                continue
        payload = clear[_HEADER.size :]
        if payload in to_come:
            to_come.remove(payload)
            proven += 1
        elif payload and payload.count(payload[0]) == len(payload):
            filled += 1
    return Proof(proven, len(stream.heard) - proven - filled, filled)


def main() -> None:
    """As `bench.rtp_load`, with keys and a proof."""
    parser = arguments("bench.sealed_load")
    parser.add_argument("--suites", nargs=2, required=True, metavar=("CALLERS", "AGENTS"))
    options = parser.parse_args()
    allow_many_sockets()
    packets = packets_of(options.warm_up + options.seconds) + MOST_GREETINGS
    streams = []
    for index in range(2 * options.calls):
        ssrc = FIRST_SSRC + index
        party = Party(options.host, ssrc, probe=probes(index))
        streams.append(Stream(party, ssrc, options.suites[index % 2], packets))
    tell([base64.b64encode(stream.key).decode() for stream in streams])
    load = SealedLoad(streams)
    run(load, seconds=options.seconds, warm_up_s=options.warm_up)
    tell(load.prove()._asdict())


if __name__ == "__main__":
    main()
