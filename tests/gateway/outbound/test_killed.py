"""A process that is killed in the middle calls nobody twice, and loses nobody."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from gateway.storage.database import open_engine
from gateway.storage.queued_call import QueuedCall, QueueState, Result, Try
from gateway.storage.queued_calls import QueueQuery, QueueStore
from tests.gateway.outbound.desk import most_in_a_second, number
from tests.gateway.outbound.killed import CALLS, PER_SECOND

#: How often it is killed; where, by a seed.
KILLS = 6
#: What one process may take, in seconds, whatever else the machine does.
PATIENCE_S = 240.0


def lines(log: Path) -> list[list[str]]:
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def start(url: str, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.gateway.outbound.killed", url, str(log)]
    root = Path(__file__).parents[3]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)


def kill_at(process: subprocess.Popen[bytes], log: Path, begun: int, more_s: float) -> None:
    """Kill it a moment after it has begun so many tries in all."""
    give_up = time.monotonic() + PATIENCE_S
    while len(lines(log)) < begun:
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < give_up, f"{len(lines(log))} tries begun of {begun}"
        time.sleep(0.002)
    time.sleep(more_s)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


async def stored(url: str) -> tuple[list[QueuedCall], dict[str, list[Try]]]:
    async with open_engine(url) as engine:
        store = QueueStore(engine)
        calls = await store.page(QueueQuery(limit=2 * CALLS))
        return calls, await store.tries([call.queued_id for call in calls])


@pytest.mark.timeout(900)
async def test_each_number_is_called_once_at_most(tmp_path: Path) -> None:
    dice = random.Random(12)
    url, log = f"sqlite:///{tmp_path}/gateway.db", tmp_path / "wire.log"
    for begun in sorted(dice.sample(range(10, CALLS - 100), KILLS)):
        kill_at(start(url, log), log, begun, dice.uniform(0, 0.05))
    last = start(url, log)
    assert last.wait(PATIENCE_S) == 0

    wire = lines(log)
    assert max(Counter(to for _, to, _, _ in wire).values()) == 1
    times = sorted(float(at) for at, *_ in wire)
    assert most_in_a_second(times) <= PER_SECOND

    calls, tries = await stored(url)
    assert sorted(call.wanted.to_number for call in calls) == sorted(map(number, range(CALLS)))
    by_id = {call.queued_id: call for call in calls}
    assert all(len(several) == 1 for several in tries.values())
    for _, to, call_id, queued_id in wire:
        call = by_id[queued_id]
        assert (call.wanted.to_number, call.call_id) == (to, call_id)
        assert tries[queued_id][0].call_id == call_id

    states = Counter((call.state, call.result) for call in calls)
    unknown = states.pop((QueueState.UNKNOWN, Result.UNKNOWN))
    assert states == {(QueueState.DONE, Result.BUSY): CALLS - unknown}
    assert 0 < unknown <= 50 * KILLS
    # of these, the last one of a process may not have been sent: it is not called again either
    called = {queued_id for *_, queued_id in wire}
    assert sum(queued_id not in called for queued_id in by_id) <= KILLS
