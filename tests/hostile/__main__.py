"""`make hostile`: a million damaged datagrams, ten thousand broken streams, and stories of attacks
and outages under which honest calls go on; with figures.

A real gateway process takes them, with a recorder of its memory beside it. It fails where the
gateway crashes, logs an error, keeps memory or loses an honest call.
"""

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.hostile.datagrams import Attack, Sent
from tests.hostile.outages import OUTAGES, through
from tests.hostile.parties import Caller
from tests.hostile.stories import STORIES
from tests.hostile.streams import Streams
from tests.hostile.under_attack import under_attack
from tests.hostile.victim import Victim
from tests.ladder import DID

#: Calls that others place meanwhile.
HONEST_CALLS = 20
#: The attack lasts so long, in seconds, before memory is measured for the first time: caches fill,
#: and three times over all that RFC 3261 has a transaction remember, which makes the peak.
WARM_UP_S = 96.0
#: Memory may grow by so much between warm and done, in MB: Python's own arenas stay where one
#: small object is left in them.
FLAT_MB = 16.0


async def main() -> int:
    options = _options()
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it would tell of each closed connection
    directory = Path(tempfile.mkdtemp(prefix="hostile-"))
    problems = ["broken off"]
    try:
        found: list[str] = []
        if options.datagrams:
            async with Victim(directory) as victim:
                say(f"gateway process {victim.pid}, seed {options.seed}")
                found += await datagrams(victim, options.datagrams, options.seed)
                if options.streams:
                    found += await streams(victim, options.streams, options.seed)
            found += victim.problems()
            say(f"turned away by reason: {victim.turned_away()}")
        for name in (*STORIES, *OUTAGES) if options.story is None else [options.story]:
            found += await story(directory, name, options.seconds)
        problems = found
    finally:
        for problem in problems:
            say(f"FAILED: {problem}")
        if problems:
            say(f"the gateway's log: {directory / 'gateway.log'}")
        else:
            shutil.rmtree(directory)
    say("hostile: " + ("FAILED" if problems else "all good"))
    return 1 if problems else 0


async def datagrams(victim: Victim, count: int, seed: int) -> list[str]:
    """The whole attack, with honest calls all along; what went wrong."""
    say(f"memory at start {victim.memory_mb():.1f} MB")
    async with Caller(victim.honest, victim.gateway) as honest:
        await _attack(victim, honest, count // 10, seed, "warming up", for_s=WARM_UP_S)
        await victim.quiet()
        before = victim.memory_mb()
        say(f"memory before {before:.1f} MB, all timers expired")
        started = time.monotonic()
        sent, calls = await _attack(victim, honest, count, seed + 1, "datagrams")
        took_s = time.monotonic() - started
        await victim.quiet()
        after = victim.memory_mb()
    say(f"sent {sent} in {took_s:.0f} s: {sent.total / took_s:.0f}/s")
    say(f"the callee saw {victim.callee.seen}, {len(calls)} honest calls completed")
    say(f"memory after {after:.1f} MB, all timers expired; peak {victim.peak_mb():.1f} MB")
    problems = [] if after - before <= FLAT_MB else [f"memory grew from {before} to {after} MB"]
    return problems + await victim.unrecorded(calls)


async def streams(victim: Victim, count: int, seed: int) -> list[str]:
    """All broken streams, with an honest call meanwhile; what went wrong."""
    broken = Streams(victim.gateway, victim.secure_gateway, victim.fuzzed, seed)
    half_way = asyncio.Event()

    def progress(number: int) -> None:
        if number % 1000 == 0:
            say(f"streams: {number} of {count}, memory {victim.memory_mb():.1f} MB")
        if number >= count // 2:
            half_way.set()

    before = victim.memory_mb()
    started = time.monotonic()
    async with Caller(victim.honest, victim.gateway) as honest:
        async with asyncio.TaskGroup() as together:
            together.create_task(broken.run(count, progress))
            call = await honest.call(DID, half_way.wait())
        took_s = time.monotonic() - started
        await victim.quiet()
    after = victim.memory_mb()
    say(f"{count} streams of {len(broken.fine)} kinds in {took_s:.0f} s")
    say(f"memory before {before:.1f} MB, after {after:.1f} MB, all timers expired")
    problems = [f"{many} streams: {kind}" for kind, many in sorted(broken.wrong.items())]
    if after - before > FLAT_MB:
        problems.append(f"memory grew from {before} to {after} MB")
    return problems + await victim.unrecorded([call])


async def story(directory: Path, name: str, seconds: float) -> list[str]:
    """Honest calls, quiet and under attack, with the limits that a gateway has by default."""
    if not seconds:
        return []
    if name in OUTAGES:
        outcome, found = await through(directory, name, seconds)
        for line in outcome.lines():
            say(line)
        return found + outcome.slow()
    async with Victim(directory, limits=None) as victim:
        outcome = await under_attack(victim, name, seconds)
        for line in outcome.lines():
            say(line)
        found = outcome.problems() + outcome.slow()
        found += await victim.unrecorded(outcome.attacked.made)
    say(f"turned away by reason: {victim.turned_away()}")
    return found + victim.problems()


async def _attack(
    victim: Victim, honest: Caller, count: int, seed: int, name: str, *, for_s: float = 0.0
) -> tuple[Sent, list[str]]:
    attack = Attack(victim.gateway, victim.fuzzed, victim.stranger, seed)
    marks = [asyncio.Event() for _ in range(HONEST_CALLS)]
    sent = 0

    def progress(now: int) -> None:
        nonlocal sent
        if now // 50_000 != sent // 50_000:
            say(f"{name}: {now} sent, memory {victim.memory_mb():.1f} MB")
        sent = now
        for reached, mark in enumerate(marks, 1):
            if now >= count * reached / (HONEST_CALLS + 1):
                mark.set()

    async with asyncio.TaskGroup() as together:
        attacking = together.create_task(attack.run(count, progress, for_s=for_s))
        calls = [await honest.call(DID, mark.wait()) for mark in marks]
    result = attacking.result()
    say(f"{name}: the trunk saw {dict(sorted(attack.trunk.seen.items()))}")
    return result, calls


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--datagrams", type=int, default=1_000_000)
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30, help="of a story, quiet and attacked")
    parser.add_argument("--story", choices=(*STORIES, *OUTAGES), help="one story instead of all")
    parser.add_argument("--seed", type=int, default=3261)
    return parser.parse_args()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
