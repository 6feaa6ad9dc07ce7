"""Several relay processes, so that more than one core carries audio: members of one pool.

Each has a part of the ports of its own, is watched and started again alone, and loses nobody's
calls but its own when it dies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from sip.clock import Clock
from sip.media.plane import MediaError
from sip.media.pool.member import Member
from sip.media.supervisor import RelayOptions, RelayProcess

#: Pairs of ports that a call takes: less is no part for a process.
PAIRS_A_CALL: Final = 2


def most_processes(ports: tuple[int, int]) -> int:
    """How many processes can share a range of ports, both ends included."""
    return len(_evens(ports)) // PAIRS_A_CALL


def parts_of(ports: tuple[int, int], parts: int) -> list[tuple[int, int]]:
    """The range in parts of whole pairs, alike in size but for one pair. ValueError if too many."""
    if not 0 < parts <= most_processes(ports):
        raise ValueError(f"ports {ports[0]}-{ports[1]} cannot be shared by {parts} processes")
    evens = _evens(ports)
    cuts = [part * len(evens) // parts for part in range(parts + 1)]
    return [(evens[cuts[n]], evens[cuts[n + 1] - 1] + 1) for n in range(parts)]


async def start_relays(
    options: RelayOptions, processes: int, *, clock: Clock, on_end: Callable[[str], None]
) -> list[Member]:
    """So many relays, which share the ports of `options`: all or, with `MediaError`, none.

    `on_end` is told a member's name as soon as its process has ended; it is started again by
    itself. Whoever closes a member ends its process.
    """
    try:
        parts = parts_of(options.ports, processes)
    except ValueError as error:
        raise MediaError("refused", str(error)) from None
    names = ["builtin"] if processes == 1 else [f"builtin-{n + 1}" for n in range(processes)]
    relays = [
        RelayProcess(
            replace(options, ports=part), name=name, clock=clock, on_end=partial(on_end, name)
        )
        for name, part in zip(names, parts, strict=True)
    ]
    started = await asyncio.gather(
        *(relay.__aenter__() for relay in relays), return_exceptions=True
    )
    failed = [outcome for outcome in started if isinstance(outcome, BaseException)]
    if failed:
        await asyncio.gather(*(relay.close() for relay in relays))
        raise failed[0]
    return [Member(name=one.name, plane=one.plane, close=one.close) for one in relays]


def _evens(ports: tuple[int, int]) -> range:
    """The RTP ports of a range: each is even, with its RTCP port in the range as well."""
    first, last = ports
    return range(first + first % 2, last, 2)
