"""`python -m tests.hostile.stories NAME SIP HTTP TRUNK`: one attack, until it is ended."""

import asyncio
import sys

from tests.hostile import corpus
from tests.hostile.parties import Address
from tests.hostile.stories import STORIES, Target


def address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)


corpus.number_from(1_000_000_000)
name, sip, http, trunk = sys.argv[1:]
asyncio.run(STORIES[name](Target(address(sip), address(http), trunk)))
