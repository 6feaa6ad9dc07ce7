"""INVITEs from twenty thousand forged addresses, ten thousand a second."""

import asyncio

from tests.hostile import corpus
from tests.hostile.parties import Address, Spoofer

PER_SECOND = 10_000
ADDRESSES = 20_000
STEP_S = 0.005


async def attack(gateway: Address) -> None:
    spoofer = Spoofer(gateway)
    to = f"{gateway[0]}:{gateway[1]}"
    invites = [corpus.request("INVITE", to, "198.51.100.1:5060") for _ in range(500)]
    now = asyncio.get_running_loop().time
    began, sent = now(), 0
    try:
        while True:
            while sent < (now() - began) * PER_SECOND:
                number = sent % ADDRESSES
                host = f"127.{100 + number // 200}.{number % 200}.9"
                spoofer.send(invites[sent % len(invites)], host)
                sent += 1
            await asyncio.sleep(STEP_S)
    finally:
        spoofer.close()
