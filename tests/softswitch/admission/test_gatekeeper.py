"""Closed to strangers: what is answered, what is challenged, what is met with silence."""

from unittest.mock import patch

from structlog.testing import capture_logs

from config.settings import LimitSettings
from sip.core.digest import answer_challenges
from sip.core.message import Response
from tests.ladder import DID, PCMU, Ladder, Peer, dial, ladder_test, make_ladder
from tests.virtual import virtual_time


def proof(
    challenge: Response, password: str, username: str = "retell", to: str = DID
) -> tuple[tuple[str, str], ...]:
    value = answer_challenges(
        challenge.headers.get_all("proxy-authenticate"),
        method="INVITE",
        uri=f"sip:{to}@127.0.0.1",
        username=username,
        password=password,
        cnonce="c0ffee",
    )
    assert value is not None
    return (("Proxy-Authorization", value),)


async def challenged(retell: Peer) -> Response:
    await retell.send("INVITE", sdp=PCMU)
    challenge: Response = await retell.expect(407)
    await retell.send("ACK")
    return challenge


@ladder_test
async def test_a_stranger_gets_no_answer_to_anything(ladder: Ladder) -> None:
    stranger = ladder.peer("stranger")
    for method in ("INVITE", "OPTIONS", "REGISTER", "BYE", "CANCEL", "ACK"):
        await stranger.send(method)
    await stranger.transmit(b"INVITE sip:x SIP/2.0\r\nVia: broken\r\n\r\n")
    await stranger.silence(40)
    assert ladder.app.frames == []
    assert ladder.switch.ua.dropped["unknown source"] == 6


@ladder_test
async def test_the_operator_is_told_once_of_a_source_without_trunk(ladder: Ladder) -> None:
    stranger = ladder.peer("stranger")
    with patch("sip.softswitch.admission.ignored_log.log") as log:
        for _ in range(3):
            await stranger.send("INVITE", sdp=PCMU)
        await stranger.silence(6)
    [told] = log.warning.call_args_list
    assert told.args == ("request.ignored",)
    assert told.kwargs["source"] == f"udp:127.0.0.1:{stranger.port}"
    assert "identify" in told.kwargs["reason"]
    assert ladder.switch.turned_away["dropped_messages"].total() == 3


@ladder_test
async def test_retell_proves_itself_and_is_named_to_the_application(ladder: Ladder) -> None:
    """RFC 3261 22.3: 407, then the same INVITE with credentials and a higher CSeq."""
    retell, agent = ladder.peer("retell"), ladder.peer("agent")
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    challenge = await challenged(retell)
    offered = challenge.headers.get_all("proxy-authenticate")
    assert ["SHA-256" in value for value in offered] == [True, False]
    await retell.send("INVITE", sdp=PCMU, headers=proof(challenge, "s3cret"))
    await retell.expect(100)
    await agent.answer_call()
    await retell.expect(180)
    await retell.expect(200, of="INVITE")
    await retell.send("ACK")
    await retell.hang_up()
    await agent.is_hung_up()
    [session] = ladder.app.told("session:new")
    headers = session["data"]["sip"]["headers"]
    assert headers["X-Authenticated-User"] == "retell@gateway.test"
    assert "proxy-authorization" not in headers
    assert session["data"]["originating_sip_trunk_name"] == "retell"


@ladder_test
async def test_a_wrong_password_from_a_configured_address_is_challenged_again_and_told_once(
    ladder: Ladder,
) -> None:
    """Its address can be forged: a ban would cut off the real one."""
    retell = ladder.peer("retell")
    with patch("sip.softswitch.admission.ignored_log.log") as log:
        for _ in range(5):
            challenge = await challenged(retell)
            await retell.send("INVITE", sdp=PCMU, headers=proof(challenge, "guess"))
            await retell.expect(407)
            await retell.send("ACK")
        await retell.drain(40)
    [told] = log.warning.call_args_list
    assert told.kwargs["reason"] == "wrong credentials: 'retell' has another password here"
    assert ladder.app.frames == []


@ladder_test
async def test_options_from_a_trunk_is_answered(ladder: Ladder) -> None:
    """RFC 3261 11: carriers ask whether we live."""
    carrier = ladder.peer("carrier")
    await carrier.send("OPTIONS")
    answer = await carrier.expect(200)
    assert "INVITE" in answer.headers.get("allow")
    assert answer.headers.get("accept") == "application/sdp"


@ladder_test
async def test_what_we_cannot_do_is_refused_by_its_number(ladder: Ladder) -> None:
    """RFC 3261 8.2: 405, 501, 420, 481."""
    carrier = ladder.peer("carrier")
    await carrier.send("SUBSCRIBE")
    assert "BYE" in (await carrier.expect(405)).headers.get("allow")
    await carrier.send("DANCE")
    await carrier.expect(501)
    await carrier.send("OPTIONS", headers=(("Require", "wings"),))
    assert (await carrier.expect(420)).headers.get("unsupported") == "wings"
    await carrier.send("BYE")
    await carrier.expect(481)


def test_more_calls_than_allowed_are_told_to_come_later() -> None:
    @virtual_time
    async def run() -> None:
        async with make_ladder(limits=LimitSettings(calls=1, calls_per_second=10)) as ladder:
            ladder.app.verbs = lambda _: [{"verb": "config"}]
            carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
            await carrier.send("INVITE", sdp=PCMU)
            await carrier.expect(100)
            with capture_logs() as lines:
                for _ in range(3):
                    await agent.send("INVITE", sdp=PCMU)
                    refusal = await agent.expect(503)
                    assert refusal.headers.get("retry-after") == "5"
                    await agent.send("ACK")
            assert ladder.switch.refused == {"limits.calls": 3}
            assert [line["reason"] for line in lines] == ["limits.calls: 1 are up"], (
                "a flood is one line"
            )

    run()
