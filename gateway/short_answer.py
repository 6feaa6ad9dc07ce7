"""Reads the body of an answer that should be short, and no more of it than that."""

from aiohttp import StreamReader


async def read_at_most(stream: StreamReader, size_bytes: int) -> bytes:
    """The whole of it, or its first `size_bytes`. One read would give what has come by then: a
    network may bring an answer in parts."""
    found = bytearray()
    while len(found) < size_bytes and (more := await stream.read(size_bytes - len(found))):
        found += more
    return bytes(found)
