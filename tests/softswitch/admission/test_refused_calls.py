"""Calls refused at the door: which are shown, with their source, number, reason and count."""

import asyncio
import socket
from unittest.mock import patch

from config.settings import LimitSettings
from sip.clock import LoopClock
from sip.core.message import Request
from sip.errors import Fault
from sip.softswitch.admission import refused_calls
from sip.softswitch.admission.refused_calls import Refused
from sip.transport.endpoint import Endpoint
from tests.ladder import CALLER, DID, PCMU, Ladder, ladder_test, ladder_with
from tests.softswitch.admission.test_gatekeeper import challenged, proof
from tests.softswitch.invites import invite
from tests.virtual import virtual_time


def shown(ladder: Ladder) -> list[tuple[str | None, str, str, str, int | None, int]]:
    return [
        (one.trunk, one.number, one.reason, one.fault.value, one.status, one.count)
        for one in ladder.gatekeeper.refused.list()
    ]


@ladder_with(limits=LimitSettings(calls=1, calls_per_second=10))
async def test_a_limit(ladder: Ladder) -> None:
    await ladder.call_up()
    second = ladder.peer("second")
    for _ in range(3):
        await second.send("INVITE", sdp=PCMU)
        await second.expect(503)
        await second.send("ACK")
    assert shown(ladder) == [("second", DID, "limits.calls", "operator", 503, 3)]
    [entry] = ladder.gatekeeper.refused.list()
    assert entry.source == f"127.0.0.1:{second.port}"
    assert ladder.switch.refused == {"limits.calls": 3}
    await ladder.hung_up_by("carrier")


@ladder_test
async def test_a_stranger_who_says_it_again_is_one_call(ladder: Ladder) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.9", 0))
        gateway = ladder.peer("carrier").gateway
        data = invite(uri="sip:+14155550177@192.0.2.2").to_bytes()
        for _ in range(3):
            stranger.sendto(data, (gateway.host, gateway.port))
            await asyncio.sleep(1)
    assert shown(ladder) == [(None, "+14155550177", "unknown-source", "operator", None, 1)]
    [entry] = ladder.gatekeeper.refused.list()
    assert entry.source.startswith("127.0.0.9:")
    assert "identify" in entry.detail


@ladder_test
async def test_a_peer_that_has_no_credentials(ladder: Ladder) -> None:
    """It gives up after the challenge: that is a refusal, and the operator has to mend it."""
    await challenged(ladder.peer("retell"))
    assert shown(ladder) == []
    await asyncio.sleep(33)
    assert shown(ladder) == [("retell", DID, "no-credentials", "operator", 407, 1)]
    assert "user name and password" in ladder.gatekeeper.refused.list()[0].detail


@ladder_test
async def test_the_log_says_that_nothing_came_back_and_what_mends_it(ladder: Ladder) -> None:
    """Nobody asks for the list: it is told all the same, once for each source in a while."""
    ladder.gatekeeper.refused.advise = lambda *about: " ".join(map(str, about))
    with patch("sip.softswitch.admission.ignored_log.log") as log:
        for _ in range(3):
            await challenged(ladder.peer("retell"))
            await asyncio.sleep(10)
        await asyncio.sleep(40)
    [told] = log.warning.call_args_list
    assert told.args == ("request.no-credentials",)
    assert "sent none" in told.kwargs["reason"]
    assert told.kwargs["fix"] == f"retell no-credentials {CALLER}"
    [entry] = ladder.gatekeeper.refused.list()
    assert (entry.count, entry.caller, entry.fix) == (3, CALLER, told.kwargs["fix"])


def of_another_dialog(uri: str) -> Request:
    request = invite(uri=uri)
    request.headers.remove("call-id")
    request.headers.add("call-id", "2@192.0.2.1")
    return request


@virtual_time
async def test_who_has_no_credentials_is_not_lost_among_those_who_have() -> None:
    """A peer may keep a nonce, and send its proof with the first INVITE; or begin a dialog anew."""
    refused, source = Refused(LoopClock()), Endpoint("udp", "192.0.2.1", 5060)
    one, other = "sip:+14155550177@192.0.2.2", "sip:+14155550178@192.0.2.2"
    refused.challenged(invite(uri=one), source, trunk="retell")
    refused.came_back(of_another_dialog(other), source)
    await asyncio.sleep(33)
    assert refused.counts == {"no-credentials": 1}
    refused.challenged(invite(uri=one), source, trunk="retell")
    refused.came_back(of_another_dialog(one), source)
    await asyncio.sleep(33)
    assert refused.counts == {"no-credentials": 1}


@ladder_test
async def test_a_user_name_that_nobody_has(ladder: Ladder) -> None:
    retell = ladder.peer("retell")
    challenge = await challenged(retell)
    await retell.send("INVITE", sdp=PCMU, headers=proof(challenge, "s3cret", username="Retell"))
    await retell.expect(407)
    await retell.send("ACK")
    [entry] = ladder.gatekeeper.refused.list()
    assert entry.detail == "wrong credentials: no login has the user name 'Retell'"


@ladder_test
async def test_a_peer_that_comes_back_with_credentials_was_refused_nothing(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [{"verb": "sip:decline", "status": 486}]
    retell = ladder.peer("retell")
    challenge = await challenged(retell)
    await retell.send("INVITE", sdp=PCMU, headers=proof(challenge, "s3cret"))
    await retell.expect(100)
    await retell.expect(486)
    await retell.send("ACK")
    await asyncio.sleep(33)
    assert shown(ladder) == []


@ladder_test
async def test_a_wrong_password(ladder: Ladder) -> None:
    retell = ladder.peer("retell")
    challenge = await challenged(retell)
    await retell.send("INVITE", sdp=PCMU, headers=proof(challenge, "wrong"))
    await retell.expect(407)
    await retell.send("ACK")
    await asyncio.sleep(33)
    assert shown(ladder) == [("retell", DID, "wrong-credentials", "peer", 407, 1)]


@ladder_test
async def test_what_is_refused_before_it_is_judged(ladder: Ladder) -> None:
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU, headers=(("Require", "teleportation"),))
    await carrier.expect(420)
    await carrier.send("ACK")
    await carrier.send("OPTIONS", headers=(("Require", "teleportation"),))
    await carrier.expect(420)
    assert shown(ladder) == [("carrier", DID, "refused-420", "peer", 420, 1)]


@virtual_time
async def test_strangers_push_out_no_peer_and_are_bounded() -> None:
    refused = Refused(LoopClock())
    for number in range(3 * refused_calls.MAX_ENTRIES):
        refused.note(
            invite(),
            Endpoint("udp", f"2001:db8::{number:x}", 5060),
            trunk="carrier" if number == 0 else None,
            reason="unknown-source",
            detail="",
            fault=Fault.OPERATOR,
            status=None,
        )
    listed = refused.list()
    assert len(listed) == refused_calls.MAX_ENTRIES + 1
    assert listed[-1].trunk == "carrier"
    assert refused.counts == {"unknown-source": 3 * refused_calls.MAX_ENTRIES}
