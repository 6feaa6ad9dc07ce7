"""The scenario files of tests/sipp/transfers: as they are written, and each against its match."""

from pathlib import Path

import pytest

from tests.interop.harness.network import Network
from tests.interop.harness.sipp import Sipp, Transport
from tests.interop.transfers.write import DIRECTORY, scenarios

PAIRS = [
    ("transfers/caller-takes-refer", "transfers/retell-refers", "200 OK"),
    ("transfers/caller-takes-refer", "transfers/retell-refers", "486 Busy Here"),
    ("transfers/caller-takes-refer-and-leaves", "transfers/retell-refers", "200 OK"),
    ("transfers/caller-forbids-refer", "transfers/retell-refers", ""),
    ("transfers/caller-knows-no-refer", "transfers/retell-refers", ""),
    ("transfers/caller-declines-refer", "transfers/retell-refers", ""),
    ("transfers/caller-takes-refer-and-is-silent", "transfers/retell-refers", ""),
    ("transfers/caller-takes-refer-and-hangs-up", "transfers/retell-refers", ""),
    ("transfers/caller-stays", "callee-answers", ""),
    ("caller-hangs-up", "transfers/target-stays", ""),
]
#: What needs a gateway: `test_stories.py` has them.
GATEWAY_ONLY = {
    "caller-challenges-refer",
    "caller-may-not-refer",
    "caller-notifies-too-late",
    "caller-takes-refer-and-is-late",
    "retell-refers-and-leaves",
    "retell-refers-early",
    "retell-refers-twice",
    "target-answers-the-cancel",
}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("caller", "callee", "outcome"), PAIRS, ids=[f"{a}--{b}--{c}" for a, b, c in PAIRS]
)
async def test_pair(
    caller: str, callee: str, outcome: str, transport: Transport, network: Network, tmp_path: Path
) -> None:
    called = Sipp(
        scenario=callee,
        party=network.retell,
        transport=transport,
        directory=tmp_path / "callee",
        keys={"refer_to": f"sip:+12125550190@{network.retell.host}"},
        d_ms=300,
    )
    calling = Sipp(
        scenario=caller,
        party=network.carrier_a,
        transport=transport,
        directory=tmp_path / "caller",
        target=network.retell,
        number="+14155550100",
        keys={"caller": "+12125550100", "outcome": outcome},
        d_ms=500,
        recv_timeout_ms=1000 if caller.startswith("transfers/") else None,
    )
    async with called, calling:
        calling_outcome = await calling.finish()
        called_outcome = await called.finish()
    assert (calling_outcome.exit_code, calling_outcome.succeeded) == (0, 1), str(calling_outcome)
    assert (called_outcome.exit_code, called_outcome.succeeded) == (0, 1), str(called_outcome)


def test_every_scenario_is_tried() -> None:
    paired = {name for a, b, _ in PAIRS for name in (a, b) if name.startswith("transfers/")}
    files = {path.stem for path in DIRECTORY.glob("*.xml")}
    assert files == {name.removeprefix("transfers/") for name in paired} | GATEWAY_ONLY


def test_the_files_are_as_they_are_written() -> None:
    """`python -m tests.interop.transfers.write` writes them anew."""
    files = {path.name: path.read_text() for path in DIRECTORY.glob("*.xml")}
    assert files == scenarios()


@pytest.mark.parametrize("path", sorted(DIRECTORY.glob("*.xml")), ids=lambda path: path.stem)
def test_a_scenario_says_how_to_run_it(path: Path) -> None:
    assert f"sipp -sf {path.name} " in path.read_text().partition("<scenario")[0]
