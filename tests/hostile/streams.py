"""Broken streams: over TCP and TLS, slow, cut, lying about their length, or no SIP at all."""

import asyncio
import random
import ssl
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET

from tests.hostile import corpus
from tests.hostile.mutations import damaged
from tests.hostile.parties import Address, Progress

#: Longer than any limit on a stranger's connection: what is open then is stuck.
STUCK_S = 90.0


@dataclass
class Stream:
    """One connection of ours to the gateway."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    name: str
    rng: random.Random
    gateway: Address

    async def send(self, *parts: bytes) -> None:
        """Write the parts apart from each other; a closed connection takes nothing more."""
        with suppress(ConnectionError):
            for part in parts:
                self.writer.write(part)
                await self.writer.drain()
                await asyncio.sleep(0)

    def options(self, length: str | None = "0", extra: bytes = b"") -> bytes:
        """OPTIONS, with any Content-Length or none."""
        data = corpus.request("OPTIONS", f"{self.gateway[0]}:{self.gateway[1]}", self.name)
        head = data.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP").partition(b"Content-Length")[0]
        line = b"" if length is None else f"Content-Length: {length}\r\n".encode()
        return head + extra + line + b"\r\n"

    async def answered(self) -> bool:
        """Whether a 200 comes."""
        found = b""
        with suppress(ConnectionError):
            while b"SIP/2.0 200" not in found:
                data = await self.reader.read(65536)
                if not data:
                    return False
                found = found[-20:] + data
        return b"SIP/2.0 200" in found

    async def closed(self) -> bool:
        """Whether the gateway ends it."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        return True


Story = Callable[[Stream], Awaitable[bool]]


async def whole(stream: Stream) -> bool:
    await stream.send(stream.options())
    return await stream.answered()


async def split(stream: Stream) -> bool:
    data = stream.options()
    at = stream.rng.randrange(1, len(data))
    await stream.send(data[:at], data[at:])
    return await stream.answered()


async def byte_by_byte(stream: Stream) -> bool:
    await stream.send(*(bytes([byte]) for byte in stream.options()))
    return await stream.answered()


async def many_at_once(stream: Stream) -> bool:
    await stream.send(b"".join(stream.options() for _ in range(40)))
    return await stream.answered()


async def pings(stream: Stream) -> bool:
    await stream.send(b"\r\n\r\n" * 2000, stream.options())
    return await stream.answered()


async def slow(stream: Stream) -> bool:
    """Slowloris: a byte a second, and never the last."""

    async def drip() -> None:
        for byte in stream.options(extra=b"X-Long: " + b"a" * 4000 + b"\r\n"):
            stream.writer.write(bytes([byte]))
            await asyncio.sleep(1)

    dripping = asyncio.create_task(drip())
    try:
        return await stream.closed()
    finally:
        dripping.cancel()
        with suppress(asyncio.CancelledError, ConnectionError):
            await dripping


async def silent(stream: Stream) -> bool:
    return await stream.closed()


async def half_then_silence(stream: Stream) -> bool:
    data = stream.options()
    await stream.send(data[: stream.rng.randrange(1, len(data))])
    return await stream.closed()


async def half_then_end(stream: Stream) -> bool:
    data = stream.options()
    await stream.send(data[: stream.rng.randrange(1, len(data))])
    with suppress(OSError, NotImplementedError):
        stream.writer.write_eof()
    return await stream.closed()


async def half_then_reset(stream: Stream) -> bool:
    data = stream.options()
    await stream.send(data[: stream.rng.randrange(1, len(data))])
    connection = stream.writer.get_extra_info("socket")
    connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    return True


def length(*values: str | None) -> Story:
    """A Content-Length that is none."""

    async def story(stream: Stream) -> bool:
        value = stream.rng.choice(values)
        await stream.send(stream.options(value))
        return await stream.closed()

    return story


async def two_lengths(stream: Stream) -> bool:
    await stream.send(stream.options("0", extra=b"l: 7\r\n"))
    return await stream.closed()


async def body_too_short(stream: Stream) -> bool:
    await stream.send(stream.options("5000"), b"v=0\r\n")
    return await stream.closed()


async def endless_head(stream: Stream) -> bool:
    await stream.send(stream.options()[:-4], *([b"\r\nX-More: " + b"a" * 1000] * 40))
    return await stream.closed()


async def garbage(stream: Stream) -> bool:
    await stream.send(stream.rng.randbytes(stream.rng.randint(1, 5000)), b"\r\n\r\n")
    return await stream.closed()


async def mutilated(stream: Stream) -> bool:
    """Damaged messages one after the other: some are answered, one of them ends it, or we do."""
    rng = stream.rng
    for _ in range(8):
        data = stream.options(extra=b"Subject: one\r\n")
        await stream.send(damaged(rng, data, [data]))
    await stream.send(b"\r\n\r\n\0\0\0\r\n\r\n")
    return await stream.closed()


async def hello_of_tls(stream: Stream) -> bool:
    """A ClientHello where no TLS is spoken."""
    await stream.send(_client_hello(), b"\r\n\r\n")
    return await stream.closed()


async def deaf(stream: Stream) -> bool:
    """Asks a lot and reads nothing; that we leave is enough."""
    for _ in range(20):
        await stream.send(b"".join(stream.options() for _ in range(20)))
    return True


TCP: dict[str, Story] = {
    "whole": whole,
    "split": split,
    "byte by byte": byte_by_byte,
    "many at once": many_at_once,
    "pings": pings,
    "slow": slow,
    "silent": silent,
    "half, then silence": half_then_silence,
    "half, then end": half_then_end,
    "half, then reset": half_then_reset,
    "giant length": length("65537", "99999999999999999999", "9" * 400),
    "negative length": length("-1", "-0", "+5"),
    "no length": length(None, "", "abc", "0x10", "1e3", "5 5", "\u0663"),
    "two lengths": two_lengths,
    "body too short": body_too_short,
    "endless head": endless_head,
    "garbage": garbage,
    "mutilated": mutilated,
    "TLS to TCP": hello_of_tls,
    "deaf": deaf,
}


async def plain_text(stream: Stream) -> bool:
    await stream.send(stream.options())
    return await stream.closed()


async def hello_then_silence(stream: Stream) -> bool:
    await stream.send(_client_hello())
    return await stream.closed()


async def broken_hello(stream: Stream) -> bool:
    data = bytearray(_client_hello())
    for _ in range(stream.rng.randint(1, 8)):
        data[stream.rng.randrange(len(data))] = stream.rng.randrange(256)
    await stream.send(bytes(data))
    return await stream.closed()


async def giant_record(stream: Stream) -> bool:
    await stream.send(b"\x16\x03\x01\xff\xff" + stream.rng.randbytes(3000))
    return await stream.closed()


#: To a TLS listener, below TLS.
BELOW_TLS: dict[str, Story] = {
    "TLS: plain text": plain_text,
    "TLS: garbage": garbage,
    "TLS: silent": silent,
    "TLS: hello, then silence": hello_then_silence,
    "TLS: broken hello": broken_hello,
    "TLS: giant record": giant_record,
}
#: To a TLS listener, within TLS.
WITHIN_TLS: dict[str, Story] = {
    f"in TLS: {name}": TCP[name]
    for name in ("whole", "split", "byte by byte", "half, then silence", "two lengths", "garbage")
}


def _client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = _context().wrap_bio(incoming, outgoing, server_hostname="gateway.example.com")
    with suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass
class Streams:
    """So many connections, of every kind in turn, `together` at a time."""

    tcp: Address
    tls: Address | None
    known: str
    seed: int
    together: int = 150
    #: what went as it should, by kind
    fine: Counter[str] = field(default_factory=Counter)
    #: what did not
    wrong: Counter[str] = field(default_factory=Counter)

    async def run(self, count: int, progress: Progress = lambda _: None) -> None:
        kinds = list(TCP)
        if self.tls is not None:
            kinds += [*BELOW_TLS, *WITHIN_TLS]
        slots = asyncio.Semaphore(self.together)
        async with asyncio.TaskGroup() as running:
            for number in range(count):
                await slots.acquire()
                kind = kinds[number % len(kinds)]
                task = running.create_task(self._run(kind, random.Random(f"{self.seed}/{number}")))
                task.add_done_callback(lambda _: slots.release())
                progress(number)

    async def _run(self, kind: str, rng: random.Random) -> None:
        below, within = kind in BELOW_TLS, kind in WITHIN_TLS
        to = self.tls if below or within else self.tcp
        assert to is not None
        story = BELOW_TLS[kind] if below else WITHIN_TLS[kind] if within else TCP[kind]
        try:
            async with asyncio.timeout(STUCK_S):
                reader, writer = await asyncio.open_connection(
                    *to, local_addr=(self.known, 0), ssl=_context() if within else None
                )
                try:
                    port = writer.get_extra_info("sockname")[1]
                    stream = Stream(reader, writer, f"{self.known}:{port}", rng, to)
                    outcome = self.fine if await story(stream) else self.wrong
                    outcome[kind] += 1
                finally:
                    writer.transport.abort()
        except TimeoutError:
            self.wrong[f"{kind}: stuck"] += 1
        except OSError as error:
            self.wrong[f"{kind}: {error}"] += 1
