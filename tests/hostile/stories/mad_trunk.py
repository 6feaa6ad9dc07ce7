"""A trunk that places calls as fast as it can and never acknowledges: itself gone mad, or somebody
who forges its address. Each call that is taken is answered, and held until we give it up."""

import asyncio

from tests.hostile import corpus
from tests.hostile.parties import HONEST, Address, Spoofer
from tests.ladder import DID

#: Beyond what a gateway takes by default, in all and from one trunk.
PER_SECOND = 50


async def attack(gateway: Address, trunk: str) -> None:
    spoofer = Spoofer(gateway)
    to = f"{gateway[0]}:{gateway[1]}"
    try:
        while True:
            us = f"{trunk}:5060"
            spoofer.send(corpus.request("INVITE", to, us, user=DID, caller=HONEST), trunk)
            await asyncio.sleep(1 / PER_SECOND)
    finally:
        spoofer.close()
