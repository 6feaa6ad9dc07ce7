"""Everything at once against the HTTP side: idle and slow connections, bodies that are never
finished, and questions without end."""

import asyncio
import time
from contextlib import suppress

from tests.hostile.parties import Address

IDLE = 1_500
SLOW = 500
BODIES = 150
ASKING = 20
ASK = b"GET /metrics HTTP/1.1\r\nHost: gateway\r\n\r\n"


async def attack(gateway: Address) -> None:
    async with asyncio.TaskGroup() as together:
        for number in range(IDLE):
            together.create_task(_again(_idle, gateway, f"127.64.{number % 4}.9"))
        for number in range(SLOW):
            together.create_task(_again(_slow, gateway, f"127.65.{number % 200}.9"))
        for number in range(BODIES):
            together.create_task(_again(_body, gateway, f"127.66.{number % 50}.9"))
        for number in range(ASKING):
            together.create_task(_again(_asking, gateway, f"127.67.{number % 2}.9"))


async def _again(story, gateway: Address, host: str) -> None:  # type: ignore[no-untyped-def]
    """The story from `host`, once more whenever it ends."""
    while True:
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(*gateway, local_addr=(host, 0))
            try:
                await story(reader, writer)
            finally:
                writer.transport.abort()
        await asyncio.sleep(1.0)


async def _idle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def _slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        for byte in ASK[:-4]:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.5)


async def _body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    signature = f"v={int(time.time() * 1000)},d={'0' * 64}"
    writer.write(
        b"POST /webhooks/retell/events HTTP/1.1\r\nHost: gateway\r\nContent-Length: 8000000\r\n"
        + f"X-Retell-Signature: {signature}\r\n\r\n".encode()
    )
    for _ in range(70):
        writer.write(bytes(100_000))
        await writer.drain()
        await asyncio.sleep(0.05)
    await reader.read()


async def _asking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(ASK)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
