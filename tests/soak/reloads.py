"""One gateway reads its configuration anew, again and again, under load: no call is lost."""

import asyncio
from pathlib import Path

from tests.interop.harness.gateway import CALLER, PLAIN, Gateway
from tests.interop.harness.network import Network
from tests.interop.harness.sipp import Sipp
from tests.soak.restarts import LAST_CALLS_S, TALK_MS, Report, agent, ended_well, folder

#: Seconds between two reloads.
PAUSE_S = 0.3


async def reloads(count: int, rate: float, directory: Path) -> Report:
    """`count` reloads, each of which adds or takes out a trunk and changes limits and a number."""
    report = Report()
    with Network() as network:
        gateway = Gateway(network, "udp", folder(directory, "gateway"))
        async with gateway, agent(network, directory):
            caller = Sipp(
                scenario="caller-hangs-up",
                party=network.carrier_a,
                transport="udp",
                directory=directory / "caller",
                target=network.gateway,
                number=PLAIN,
                calls=None,
                rate=rate,
                d_ms=TALK_MS,
                keys={"caller": CALLER},
                limit_s=7200,
            )
            async with caller:
                for number in range(count):
                    _alter(gateway, number)
                    told = await gateway.reload()
                    report.rounds += 1
                    if not told["changed"] or told["restart"]:
                        report.problems.append(f"reload {number} says {told}")
                    await asyncio.sleep(PAUSE_S)
                outcome = await caller.no_more(LAST_CALLS_S)
            report.problems += gateway.problems()
            report.calls = outcome.created
            report.answered = sum(map(ended_well, await gateway.calls()))
            if outcome.failed or report.answered != outcome.created:
                report.problems.append(str(outcome))
    return report


def _alter(gateway: Gateway, number: int) -> None:
    keys = gateway.settings
    kept = [trunk for trunk in keys["trunks"] if trunk["name"] != "passing"]
    passing = {"name": "passing", "identify": [gateway.network.stranger.host]}
    keys["trunks"] = [*kept, passing] if number % 2 else kept
    keys["limits"]["calls"] = 500 + number % 7
    keys["numbers"]["+14155550123"] = {"agent": f"agent_{number}"}
