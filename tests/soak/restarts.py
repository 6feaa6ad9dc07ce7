"""Two gateways are restarted in turn under load: who talks is not cut off, who comes gets through.

SIPp on both sides: two callers, as carriers that know both gateways and honour 503, and an agent.
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.interop.harness.gateway import CALLER, PLAIN, Gateway, settings
from tests.interop.harness.network import Network, Party
from tests.interop.harness.sipp import Outcome, Sipp

Json = dict[str, Any]

TALK_MS = 3000
#: What the last calls may take when no more are placed, in seconds.
LAST_CALLS_S = 30.0
#: A caller that met silence turns to the other gateway within this time, and must not find that
#: one stopping too; in seconds.
GIVEN_UP_S = 3.0
_ENDED_WELL = ("caller", "hangup", 200)
_SENT_ELSEWHERE = ("gateway", "shutdown", 503)


@dataclass
class Report:
    """What came of it: `problems` is empty where all went well."""

    rounds: int = 0
    calls: int = 0
    answered: int = 0
    sent_elsewhere: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.rounds} rounds, {self.calls} calls, {self.answered} answered and ended as their"
            f" records say; {self.sent_elsewhere} were sent to the other gateway while they rang"
        )


async def restarts(count: int, rate: float, directory: Path) -> Report:
    """SIGTERM to one gateway after the other, `count` times in all, at `rate` calls a second."""
    report = Report()
    with Network() as one, Network() as two:
        first = Gateway(one, "udp", folder(directory, "one"))
        second = Gateway(two, "udp", folder(directory, "two"), lambda keys: _share(keys, one))
        async with first, second, agent(one, directory):
            callers = [
                await _caller(carrier, here, there, rate / 2, directory).start()
                for carrier, here, there in (
                    (one.carrier_a, one, two),
                    (one.carrier_b, two, one),
                )
            ]
            try:
                for number in range(count):
                    gateway = (first, second)[number % 2]
                    report.problems += gateway.problems()
                    await gateway.restart()
                    report.rounds += 1
                    await asyncio.sleep(GIVEN_UP_S)
                outcomes = [await caller.no_more(LAST_CALLS_S) for caller in callers]
            finally:
                for caller in callers:
                    await caller.close()
            for gateway in (first, second):
                report.problems += gateway.problems()
            _judge(report, outcomes, await first.calls() + await second.calls())
    return report


def _judge(report: Report, outcomes: list[Outcome], records: list[Json]) -> None:
    """Callers and records must say the same."""
    report.calls = sum(outcome.created for outcome in outcomes)
    report.problems += [str(outcome) for outcome in outcomes if outcome.failed]
    endings = list(map(_ending, records))
    report.answered = endings.count(_ENDED_WELL)
    report.sent_elsewhere = endings.count(_SENT_ELSEWHERE)
    others = [one for one in endings if one not in (_ENDED_WELL, _SENT_ELSEWHERE)]
    report.problems += [f"a record says {ending}" for ending in others]
    succeeded = sum(outcome.succeeded for outcome in outcomes)
    if report.answered != succeeded:
        report.problems.append(f"{succeeded} calls went well, and {report.answered} records say so")


def ended_well(record: Json) -> bool:
    """Whether the record says that the call was answered, and ended by the caller."""
    return _ending(record) == _ENDED_WELL


def _ending(record: Json) -> tuple[str, str, int]:
    return record["ended_by"], record["cause"], record["sip_status"]


def _share(keys: Json, network: Network) -> None:
    """The second gateway has the first one's carriers and agent."""
    theirs = settings(network, "udp", Path())
    keys["trunks"], keys["retell"] = theirs["trunks"], theirs["retell"]


def folder(directory: Path, name: str) -> Path:
    """A new folder of that name."""
    made = directory / name
    made.mkdir(parents=True)
    return made


def agent(network: Network, directory: Path) -> Sipp:
    """Retell, which answers every call and waits to be hung up on."""
    return Sipp(
        scenario="callee-answers",
        party=network.retell,
        transport="udp",
        directory=directory / "agent",
        calls=None,
        limit_s=7200,
    )


def _caller(carrier: Party, first: Network, second: Network, rate: float, directory: Path) -> Sipp:
    """A carrier's switch, which tries `first` and then `second`."""
    return Sipp(
        scenario="caller-fails-over",
        party=carrier,
        transport="udp",
        directory=directory / carrier.role,
        target=first.gateway,
        number=PLAIN,
        calls=None,
        rate=rate,
        d_ms=TALK_MS,
        keys={"caller": CALLER, "second": str(second.gateway.port)},
        limit_s=7200,
    )
