"""Every transfer policy with every outcome: Retell, carrier and target are SIPp.

Each story says what Retell's side hears, what the verdict is, and that the caller is in good
hands: with the target, with the agent, or gone of its own will. Afterwards nothing is left.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.interop.harness.gateway import PLAIN, Gateway
from tests.interop.harness.network import Network
from tests.interop.harness.scene import Scene
from tests.interop.harness.siplog import MessageLog
from tests.interop.harness.sipp import Sipp
from tests.interop.transfers.exchange import (
    MAY_RING_OUT,
    NOBODY,
    QUIET_MS,
    SALES,
    Policy,
    carrier,
    configure,
    way_out,
    well,
)
from tests.interop.transfers.ladders import held

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def exchange(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    directory = tmp_path_factory.mktemp("transfers")
    with Network() as network:
        async with Gateway(
            network, "udp", directory, lambda settings: configure(network, settings)
        ) as gateway:
            warm_up = Scene(gateway, directory / "first-call")
            await played(warm_up, "bridge", "caller-stays", quiet_ms=1000)
            await warm_up.close()
            yield gateway


@pytest_asyncio.fixture(loop_scope="session")
async def scene(exchange: Gateway, tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(exchange, tmp_path)
    known = exchange.problems()
    await scene.open()
    try:
        yield scene
    finally:
        await scene.close()
    await scene.nothing_left()
    assert exchange.problems() == known


@dataclass(frozen=True, slots=True)
class Played:
    """The logs of one story."""

    agent: MessageLog
    caller: MessageLog
    target: MessageLog

    @property
    def news(self) -> list[int]:
        """What Retell was told, NOTIFY by NOTIFY."""
        return [int(one.body.split()[1]) for one in self.agent.received("NOTIFY")]

    def is_drawn(self, name: str) -> None:
        """The ladder of that name in docs/call-flows.md is this one."""
        held(name, {"caller": self.caller, "Retell": self.agent, "target": self.target})


async def played(
    scene: Scene,
    policy: Policy,
    caller: str,
    agent: str = "callee-answers",
    target: str | None = None,
    *,
    outcome: str = "200 OK",
    refer_to: str = f"tel:{SALES}",
    quiet_ms: int = QUIET_MS,
) -> Played:
    """One call, from the INVITE to the end of its last leg."""
    network = scene.network
    retell = await scene.callee(agent, network.retell, keys={"refer_to": refer_to}, d_ms=300)
    called: Sipp | None = None
    if target is not None:
        called = await scene.callee(target, way_out(network))
    calling = await scene.caller(
        f"transfers/{caller}",
        carrier(network, policy),
        keys={"caller": "+12125550100", "outcome": outcome},
        login=("gateway", "interop-carrier-password"),
        recv_timeout_ms=quiet_ms,
    )
    logs = [well(await calling.finish()), well(await retell.finish())]
    return Played(
        logs[1], logs[0], well(await called.finish()) if called is not None else MessageLog([])
    )


def kept(story: Played) -> None:
    """The caller stayed until it hung up itself, and the agent as long."""
    assert not story.caller.received("BYE")
    hung_up = story.caller.sent("BYE")[0].at_s
    assert story.agent.received("BYE")[0].at_s > hung_up - 0.1


async def verdict(scene: Scene) -> tuple[str, str, int]:
    """The one verdict of the story's one record."""
    [told] = (await scene.record())["transfers"]
    assert told["target"], told
    return told["outcome"], told["stage"], told["code"]


# the carrier is asked


DONE = [
    ("refer", "caller-takes-refer", "refer, accepted"),
    ("auto", "caller-takes-refer", "refer, accepted"),
    ("peer", "caller-takes-refer-and-leaves", "refer, accepted, and the carrier hangs up"),
    ("refer", "caller-challenges-refer", "refer, challenged"),
    ("auto", "caller-challenges-refer", "refer, challenged"),
]


@pytest.mark.parametrize(("policy", "caller", "name"), DONE)
async def test_the_carrier_does_it(scene: Scene, policy: Policy, caller: str, name: str) -> None:
    story = await played(scene, policy, caller, "transfers/retell-refers")
    story.is_drawn(name)
    assert story.news == [100, 180, 200]
    refer = story.caller.received("REFER")[-1]
    assert refer.header("refer-to") == f"<sip:{SALES}@{carrier(scene.network, policy).host}>"
    assert await verdict(scene) == ("transferred", "refer", 200)


IN_VAIN = {
    "486 Busy Here": "refer, busy",
    "480 Temporarily Unavailable": "refer, no answer",
    "603 Decline": "refer, declined",
}


@pytest.mark.parametrize("outcome", IN_VAIN)
async def test_the_carrier_does_it_in_vain(scene: Scene, outcome: str) -> None:
    code = int(outcome.split()[0])
    agent = "transfers/retell-refers"
    story = await played(scene, "refer", "caller-takes-refer", agent, outcome=outcome)
    story.is_drawn(IN_VAIN[outcome])
    assert story.news == [100, 180, code]
    kept(story)
    assert await verdict(scene) == ("failed", "refer", code)


REFUSALS = {"caller-forbids-refer": 403, "caller-knows-no-refer": 405, "caller-declines-refer": 603}


@pytest.mark.parametrize("caller", REFUSALS)
async def test_the_carrier_refuses(scene: Scene, caller: str) -> None:
    story = await played(scene, "refer", caller, "transfers/retell-refers")
    story.is_drawn(f"refer, refused with {REFUSALS[caller]}")
    assert (story.news[0], story.news[-1]) == (100, REFUSALS[caller])
    kept(story)
    assert await verdict(scene) == ("failed", "refer", REFUSALS[caller])


async def test_the_carrier_says_nothing(scene: Scene) -> None:
    caller = "caller-takes-refer-and-is-silent"
    story = await played(scene, "refer", caller, "transfers/retell-refers")
    story.is_drawn("refer, no NOTIFY ever")
    assert story.news[0] == 100
    assert story.news[-1] >= 400
    kept(story)
    assert await verdict(scene) == ("failed", "refer", story.news[-1])


async def test_the_carriers_target_answers_after_the_time(scene: Scene) -> None:
    """The agent has the caller back, and then the carrier takes the caller away all the same."""
    caller = "caller-takes-refer-and-is-late"
    story = await played(scene, "refer", caller, "transfers/retell-refers")
    story.is_drawn("refer, the target answers after the time")
    assert story.news == [100, 480]
    assert story.caller.received("BYE")
    assert story.agent.received("BYE")
    assert await verdict(scene) == ("failed", "refer", 480)
    assert (await scene.record())["cause"] == "transferred"


async def test_the_carriers_target_answers_while_ours_rings(scene: Scene) -> None:
    caller, target = "caller-takes-refer-and-is-late", "callee-rings-until-cancelled"
    story = await played(scene, "auto", caller, "transfers/retell-refers", target)
    story.is_drawn("auto, the carrier's target answers after the time")
    assert (story.news[0], story.news[-1]) == (100, 200)
    assert story.caller.received("BYE")
    assert await verdict(scene) == ("transferred", "refer", 200)


GONE = {
    "caller-takes-refer-and-hangs-up": "refer, and the caller is gone without a word",
    "caller-notifies-too-late": "refer, NOTIFY after BYE",
}


@pytest.mark.parametrize("policy", ["refer", "auto"])
@pytest.mark.parametrize("caller", GONE)
async def test_the_caller_is_gone_before_any_news(
    scene: Scene, policy: Policy, caller: str
) -> None:
    """Taken away by the carrier, or hung up: nobody can know, and nobody is called."""
    story = await played(scene, policy, caller, "transfers/retell-refers")
    story.is_drawn(GONE[caller])
    assert story.news == [100, 200]
    assert await verdict(scene) == ("unknown", "refer", 202)


# the gateway calls the target


async def test_the_target_is_called_and_answers(scene: Scene) -> None:
    story = await played(
        scene, "bridge", "caller-stays", "transfers/retell-refers", "transfers/target-stays"
    )
    story.is_drawn("bridge, accepted")
    assert (story.news[0], story.news[-1]) == (100, 200)
    assert len(story.agent.sent("BYE")) == 1
    assert story.caller.received("INVITE")
    [invite] = story.target.received("INVITE")
    assert invite.uri.startswith(f"sip:{SALES}@")
    assert f"<sip:{PLAIN}@" in invite.header("from")
    assert f"<sip:{PLAIN}@" in invite.header("diversion") or not invite.header("diversion")
    assert await verdict(scene) == ("transferred", "bridge", 200)


FAILURES = {
    "callee-is-busy": frozenset({486}),
    "callee-declines": frozenset({603}),
    "callee-rings-until-cancelled": MAY_RING_OUT,
    "transfers/target-answers-the-cancel": MAY_RING_OUT,
}


ENDS = {
    "callee-is-busy": "busy",
    "callee-declines": "declined",
    "callee-rings-until-cancelled": "no answer",
    "transfers/target-answers-the-cancel": "the target answers after the time",
}


@pytest.mark.parametrize("target", FAILURES)
async def test_the_target_is_called_in_vain(scene: Scene, target: str) -> None:
    story = await played(scene, "bridge", "caller-stays", "transfers/retell-refers", target)
    story.is_drawn(f"bridge, {ENDS[target]}")
    assert story.news[0] == 100
    assert story.news[-1] in FAILURES[target]
    kept(story)
    assert await verdict(scene) == ("failed", "bridge", story.news[-1])


HANGS_UP = {
    "bridge": ("caller-stays", "bridge, the caller hangs up in between"),
    "auto": ("caller-knows-no-refer", "auto, refused with 405, then the caller hangs up"),
}


@pytest.mark.parametrize("policy", HANGS_UP)
async def test_the_caller_hangs_up_while_the_target_rings(scene: Scene, policy: Policy) -> None:
    caller, name = HANGS_UP[policy]
    target = "callee-rings-until-cancelled"
    story = await played(scene, policy, caller, "transfers/retell-refers", target, quiet_ms=900)
    story.is_drawn(name)
    assert 200 not in story.news
    assert story.agent.received("BYE")
    assert await verdict(scene) == ("failed", "bridge", 487)


async def test_the_agent_hangs_up_while_the_target_rings(scene: Scene) -> None:
    """The transfer goes on without it."""
    story = await played(
        scene,
        "bridge",
        "caller-stays",
        "transfers/retell-refers-and-leaves",
        "transfers/target-stays",
    )
    story.is_drawn("bridge, the agent hangs up in between")
    assert story.caller.received("INVITE")
    assert not story.caller.received("BYE")
    assert await verdict(scene) == ("transferred", "bridge", 200)


# first the one, then the other


THEN_BRIDGED = {
    **{caller: ("", f"auto, refused with {code}") for caller, code in REFUSALS.items()},
    "caller-takes-refer-and-is-silent": ("", "auto, no NOTIFY ever"),
}
AT_THE_CARRIER = {
    "486 Busy Here": "auto, busy at the carrier",
    "480 Temporarily Unavailable": "auto, no answer at the carrier",
    "603 Decline": "auto, declined at the carrier",
}


@pytest.mark.parametrize(
    ("caller", "outcome", "name"),
    [
        *((caller, *more) for caller, more in THEN_BRIDGED.items()),
        *(("caller-takes-refer", *more) for more in AT_THE_CARRIER.items()),
    ],
)
async def test_after_the_carrier_the_gateway(
    scene: Scene, caller: str, outcome: str, name: str
) -> None:
    story = await played(
        scene,
        "auto",
        caller,
        "transfers/retell-refers",
        "transfers/target-stays",
        outcome=outcome,
    )
    story.is_drawn(name)
    assert (story.news[0], story.news[-1]) == (100, 200)
    assert story.caller.received("INVITE")
    assert await verdict(scene) == ("transferred", "bridge", 200)


@pytest.mark.parametrize("target", FAILURES)
async def test_neither_the_carrier_nor_the_gateway(scene: Scene, target: str) -> None:
    story = await played(scene, "auto", "caller-knows-no-refer", "transfers/retell-refers", target)
    story.is_drawn(f"auto, refused with 405, then {ENDS[target]}")
    assert story.news[-1] in FAILURES[target]
    kept(story)
    assert await verdict(scene) == ("failed", "bridge", story.news[-1])


FORMS = [
    "sip:{number}@{host}",
    "<sip:{number}@{host}>",
    "<sip:{number}@{host}:5080;transport=udp>",
    "sip:{number}",
    "<tel:{number}>",
    "sip:sales",
    "<sip:SALES@{host}>",
]


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_of_refer_to(scene: Scene, form: str) -> None:
    """`tel:` without brackets is that of the other stories."""
    story = await played(
        scene,
        "bridge",
        "caller-stays",
        "transfers/retell-refers",
        "callee-is-busy",
        refer_to=form.format(number=SALES, host=scene.network.retell.host),
    )
    assert story.news[-1] == 486


# what is refused: the call goes on


class Said:
    """What the log says of refusals from now on."""

    def __init__(self, scene: Scene) -> None:
        self._gateway = scene.gateway
        self._before = len(self._gateway.log())

    def refused(self, status: int) -> bool:
        """Whether a REFER was refused, with that status."""
        lines = self._gateway.log()[self._before :].splitlines()
        told = [json.loads(line) for line in lines if '"refer.refused"' in line]
        return [one["status"] for one in told] == [status]


@pytest.mark.parametrize(("number", "status"), [(NOBODY, 404), (PLAIN, 482)])
async def test_a_target_that_may_not_be(scene: Scene, number: str, status: int) -> None:
    said = Said(scene)
    refer_to = f"<sip:{number}@{scene.network.retell.host}>"
    story = await played(
        scene, "bridge", "caller-stays", "transfers/retell-refers", refer_to=refer_to
    )
    story.is_drawn(f"refused with {status}")
    assert story.agent.statuses("REFER") == [status]
    assert story.news == []
    kept(story)
    assert said.refused(status)
    assert await verdict(scene) == ("failed", "asked", status)


async def test_a_second_refer_while_one_runs(scene: Scene) -> None:
    said = Said(scene)
    story = await played(
        scene, "bridge", "caller-stays", "transfers/retell-refers-twice", "transfers/target-stays"
    )
    story.is_drawn("a second REFER while one runs")
    assert sorted(story.agent.statuses("REFER")) == [202, 491]
    assert story.news[-1] == 200
    assert said.refused(491)
    assert await verdict(scene) == ("transferred", "bridge", 200)


async def test_a_refer_before_the_answer(scene: Scene) -> None:
    said = Said(scene)
    story = await played(scene, "bridge", "caller-stays", "transfers/retell-refers-early")
    assert story.agent.statuses("REFER") == [403]
    assert said.refused(403)
    kept(story)


async def test_a_refer_from_a_carrier_that_may_not(scene: Scene) -> None:
    said = Said(scene)
    story = await played(scene, "bridge", "caller-may-not-refer")
    assert story.caller.statuses("REFER") == [403]
    assert said.refused(403)
    kept(story)
