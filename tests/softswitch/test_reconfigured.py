"""Other trunks and limits while calls are up: who talks goes on, who comes meets the new ones."""

from config.settings import LimitSettings
from config.values import Source
from sip.core.uri import Uri
from sip.softswitch.trunks.trunk import Trunk, Trunks
from tests.ladder import PCMU, Ladder, Peer, dial, ladder_test

LIMITS = LimitSettings(calls=100, calls_per_second=1000)


def trunk(peer: Peer, **keys: object) -> Trunk:
    """As the ladder's own, which is open by its address."""
    return Trunk(
        name=peer.name,
        gateways=(Uri.parse(f"sip:127.0.0.1:{peer.port}"),),
        sources=(Source.parse(f"127.0.0.1:{peer.port}"),),
        **keys,  # type: ignore[arg-type]
    )


def configure(ladder: Ladder, *trunks: Trunk, limits: LimitSettings = LIMITS) -> None:
    ladder.switch.configure(Trunks(trunks), limits)


@ladder_test
async def test_a_call_outlives_its_trunks(ladder: Ladder) -> None:
    """Both are taken out while they talk; re-INVITE and BYE pass as ever."""
    carrier = ladder.peer("carrier")
    await ladder.call_up()
    configure(ladder, trunk(ladder.peer("second")))
    await carrier.send("INVITE", sdp=PCMU)  # a refresh
    await carrier.expect(100)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await ladder.hung_up_by("agent")


@ladder_test
async def test_a_trunk_that_is_taken_out_is_a_stranger(ladder: Ladder) -> None:
    """On a flow that was its own a moment ago too."""
    carrier, second = ladder.peer("carrier"), ladder.peer("second")
    await carrier.send("OPTIONS")
    await carrier.expect(200, of="OPTIONS")
    configure(ladder, trunk(second))
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.silence(5)


@ladder_test
async def test_a_trunk_that_is_added_may_call_and_be_called(ladder: Ladder) -> None:
    stranger, agent = ladder.peer("stranger"), ladder.peer("agent")
    await stranger.send("INVITE", sdp=PCMU)
    await stranger.silence(5)
    configure(ladder, trunk(stranger), trunk(agent))
    await ladder.call_up("stranger", "agent")
    await ladder.hung_up_by("stranger")


@ladder_test
async def test_new_limits_hold_for_the_next_call(ladder: Ladder) -> None:
    """Of the gateway, and of a trunk; the calls that are up count."""
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await ladder.call_up()
    configure(ladder, trunk(carrier, max_calls=1), trunk(agent), trunk(second))
    await carrier_is_refused(ladder)
    one = LIMITS.model_copy(update={"calls": 1})
    configure(ladder, trunk(carrier), trunk(agent), trunk(second), limits=one)
    await second.send("INVITE", sdp=PCMU)
    await second.expect(503)
    await second.send("ACK")
    await ladder.hung_up_by("carrier")
    assert ladder.switch.refused == {"trunks[].max_calls": 1, "limits.calls": 1}


async def carrier_is_refused(ladder: Ladder) -> None:
    """By a second party at the carrier's address: its own dialog is taken."""
    carrier = ladder.peer("carrier")
    other = Peer("line", carrier.gateway)
    configured = [one for one in ladder.switch.dialler.trunks if one.name != "carrier"]
    lines = Source.parse(f"127.0.0.1:{carrier.port}"), Source.parse(f"127.0.0.1:{other.port}")
    both = Trunk(name="carrier", sources=lines, max_calls=1)
    ladder.switch.configure(Trunks([both, *configured]), LIMITS)
    await other.send("INVITE", sdp=PCMU)
    await other.expect(503)
    await other.send("ACK")
    await other.close()


@ladder_test
async def test_a_gateway_that_is_added_is_dialled_and_one_that_stays_is_known(
    ladder: Ladder,
) -> None:
    """What was learned of a gateway that stays is kept: its circuit, its last answer."""
    agent, second, added = (ladder.peer(name) for name in ("agent", "second", "stranger"))
    health = ladder.switch.health
    await ladder.call_up()
    await ladder.hung_up_by("carrier")
    there, new = (Uri.parse(f"sip:127.0.0.1:{peer.port}") for peer in (agent, added))
    assert {one.gateway: one.last_status for one in health.states()}[there] == 200
    configure(ladder, trunk(second), Trunk(name="agent", gateways=(there, new)))
    states = [(one.trunk, one.gateway, one.last_status) for one in health.states()]
    assert states[1:] == [("agent", there, 200), ("agent", new, None)]
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    await second.send("INVITE", sdp=PCMU)
    await second.expect(100)
    await agent.expect("INVITE")
    await agent.send(503)
    await agent.expect("ACK")
    await added.expect("INVITE")
    await added.send(486)
    await added.expect("ACK")
    await second.next()
    await second.send("ACK")
