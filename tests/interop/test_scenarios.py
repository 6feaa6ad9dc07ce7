"""The scenario files themselves: every caller against its matching callee, nothing of ours between.

What they say about the gateway is worth something only if they get through with each other.
"""

from pathlib import Path

import pytest

from tests.interop.harness.network import Network
from tests.interop.harness.siplog import MessageLog
from tests.interop.harness.sipp import SCENARIOS, Sipp, Transport

PAIRS = [
    ("caller-hangs-up", "callee-answers"),
    ("caller-hangs-up-with-audio", "callee-answers"),
    ("caller-is-hung-up-on", "callee-hangs-up"),
    ("caller-cancels", "callee-rings-until-cancelled"),
    ("caller-gets-busy", "callee-is-busy"),
    ("caller-is-declined", "callee-declines"),
    ("caller-gets-unavailable", "callee-is-unavailable"),
    ("caller-gets-unavailable", "callee-has-early-media-then-refuses"),
    ("caller-is-ignored", "callee-is-silent"),
    ("retell-hangs-up", "callee-challenges"),
    ("retell-is-hung-up-on", "callee-challenges-and-hangs-up"),
    ("retell-cancels", "callee-challenges-and-rings-until-cancelled"),
    ("retell-gets-busy", "callee-challenges-and-is-busy"),
    ("retell-gets-unavailable", "callee-challenges-and-is-unavailable"),
    ("retell-has-wrong-password", "callee-rejects-our-password"),
]
# It asks two gateways, which tests/soak restarts.
SOAKED = {"caller-fails-over"}
# A call that hands on another one's caller: in test_warm_transfer.
ELSEWHERE = {"retell-hands-on"}
# What no callee can do: these need a gateway in front of them, and are run there.
GATEWAY_ONLY = {
    "caller-gets-no-answer",
    "caller-dials-unknown-number",
    "caller-never-acks",
    "retell-is-refused",
}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(("caller", "callee"), PAIRS, ids=[f"{a}--{b}" for a, b in PAIRS])
async def test_pair(
    caller: str, callee: str, transport: Transport, network: Network, tmp_path: Path, words: Path
) -> None:
    called = Sipp(
        scenario=callee,
        party=network.retell,
        transport=transport,
        directory=tmp_path / "callee",
        keys={"realm": "carrier.example.com"},
        d_ms=300,
        # a little less than the caller waits: over TCP the caller then closes the connection
        recv_timeout_ms=1500 if callee == "callee-is-silent" else None,
        echo="audio" in caller,
    )
    calling = Sipp(
        scenario=caller,
        party=network.carrier_a,
        transport=transport,
        directory=tmp_path / "caller",
        target=network.retell,
        number="+14155550100",
        keys={"caller": "+12125550100"},
        login=("retell", "secret"),
        d_ms=300,
        files=[words],
        recv_timeout_ms=1600 if caller == "caller-is-ignored" else None,
    )
    async with called, calling:
        calling_outcome = await calling.finish()
        called_outcome = await called.finish()
    assert (calling_outcome.exit_code, calling_outcome.succeeded) == (0, 1), str(calling_outcome)
    assert (called_outcome.exit_code, called_outcome.succeeded) == (0, 1), str(called_outcome)
    check_branches(calling_outcome.log)
    check_branches(called_outcome.log)


def check_branches(log: MessageLog) -> None:
    """RFC 3261 9.1, 17.1.1.3: CANCEL and the ACK of a refusal carry the branch of their INVITE."""
    invites = {message.header("cseq").split()[0]: message for message in log.sent("INVITE")}
    for cancel in log.sent("CANCEL"):
        assert cancel.branch == invites[cancel.header("cseq").split()[0]].branch
    for ack in log.sent("ACK"):
        number = ack.header("cseq").split()[0]
        answers = [
            message.status
            for message in log.messages
            if message.status >= 200 and message.header("cseq") == f"{number} INVITE"
        ]
        same = ack.branch == invites[number].branch
        assert same is (answers[0] >= 300), f"ACK of a {answers[0]}: {ack.text}"


def test_every_scenario_is_tried() -> None:
    files = {path.stem for path in SCENARIOS.glob("*.xml")}
    assert files == {name for pair in PAIRS for name in pair} | GATEWAY_ONLY | SOAKED | ELSEWHERE


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.xml")), ids=lambda path: path.stem)
def test_a_scenario_says_how_to_run_it(path: Path) -> None:
    head = path.read_text().partition("<scenario")[0]
    assert f"sipp -sf {path.name} " in head
