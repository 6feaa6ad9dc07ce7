"""Calls as their trunks want them, on the wire: where they go, whom they show, what they carry."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from unittest.mock import patch

import pytest

from config.settings import TrunkSettings
from config.values import Source
from sip.b2bua.legs.options import LegOptions
from sip.core.message import Request
from sip.core.uri import Uri
from sip.softswitch.dialling.attempts import Hop, InviteDetails, TrunkAttempts
from sip.softswitch.dialling.identity import Caller
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint, Flow, Target
from tests.ladder import CALLER, DID, PCMU, Ladder, Peer, dial, ladder_test, ladder_with

Peers = dict[str, Peer]


def trunks(**entries: dict[str, object]) -> Callable[[Peers], Iterable[Trunk]]:
    """Trunks in place of the peers' own, with these keys of their configuration.

    `{agent}` in a text stands for that peer's address and port.
    """

    def filled(value: object, addresses: dict[str, str]) -> object:
        if isinstance(value, str):
            return value.format(**addresses)
        if isinstance(value, list):
            return [filled(item, addresses) for item in value]
        return value

    def make(peers: Peers) -> Iterable[Trunk]:
        addresses = {name: f"127.0.0.1:{peer.port}" for name, peer in peers.items()}
        for name, entry in entries.items():
            known = {
                "gateways": [f"sip:{addresses[name]}"],
                "identify": [Source.parse(addresses[name])],
                **{key: filled(value, addresses) for key, value in entry.items()},
            }
            yield Trunk.of(TrunkSettings.model_validate({"name": name, **known}))

    return make


async def call(ladder: Ladder, *headers: tuple[str, str], to: str = DID) -> Peer:
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU, headers=headers, to=to)
    await carrier.expect(100)
    return carrier


async def refused(peer: Peer, by: Peer, status: int = 486) -> Request:
    """The INVITE that reaches `peer`, which refuses it; so does the gateway then to `by`."""
    invite: Request = await peer.expect("INVITE")
    await peer.send(status)
    await peer.expect("ACK")
    await by.expect(status)
    await by.send("ACK")
    return invite


def pass_on(trunk: str) -> Callable[[dict[str, object]], object]:
    """As an application does: the caller it was told, and then the trunk's own answer."""
    return lambda session: [dial(trunk, callerId=session["from"])]


def answer_as_the_trunk(ladder: Ladder) -> None:
    ladder.app.hooks["/dial-action"] = lambda result: [
        {"verb": "sip:decline", "status": result["dial_sip_status"]}
    ]


# --- where it goes -----------------------------------------------------------------------------


@ladder_with(
    trunks_to=trunks(agent={"gateways": ["sip:sip.example.com"], "outbound_proxy": "sip:{agent}"})
)
async def test_an_outbound_proxy_gets_the_call_and_a_loose_route(ladder: Ladder) -> None:
    """RFC 3261 8.1.2: a pre-loaded Route, the Request-URI untouched."""
    answer_as_the_trunk(ladder)
    ladder.app.verbs = pass_on("agent")
    carrier, agent = await call(ladder), ladder.peer("agent")
    invite = await refused(agent, carrier)
    assert invite.uri == f"sip:{DID}@sip.example.com"
    assert invite.headers.get("route") == f"<sip:127.0.0.1:{agent.port};lr>"


@ladder_with(
    trunks_to=trunks(agent={"register": True, "credentials": {"username": "a", "password": "p"}})
)
async def test_a_registrars_service_route_leads_the_call(ladder: Ladder) -> None:
    """RFC 3608 6.1."""
    answer_as_the_trunk(ladder)
    second = ladder.peer("second")
    route = (f"<sip:127.0.0.1:{second.port};lr>", "<sip:core.example.com;lr>")
    ladder.switch.dialler.service_route = lambda name: route if name == "agent" else ()
    ladder.app.verbs = pass_on("agent")
    invite = await refused(second, await call(ladder))
    assert invite.headers.get_all("route") == list(route)
    assert invite.uri == f"sip:{DID}@127.0.0.1:{ladder.peer('agent').port}"


@ladder_with(
    trunks_to=trunks(
        agent={
            "called_number": {"format": "national", "prefix": "12345678*"},
            "country": "US",
            "caller_id": {"user_phone": True},
        }
    )
)
async def test_the_number_is_written_as_the_trunk_wants_it(ladder: Ladder) -> None:
    answer_as_the_trunk(ladder)
    agent = ladder.peer("agent")
    ladder.app.verbs = pass_on("agent")
    invite = await refused(agent, await call(ladder))
    assert invite.uri == f"sip:12345678*4155550100@127.0.0.1:{agent.port};user=phone"
    assert str(invite.to) == "<sip:12345678*4155550100@127.0.0.1;user=phone>"
    assert str(invite.from_.uri).endswith(";user=phone")


@ladder_test
async def test_what_cannot_be_dialled_is_refused_in_words(ladder: Ladder) -> None:
    answer_as_the_trunk(ladder)
    ladder.app.verbs = lambda _: [dial("agent", "+123456789012345678")]
    carrier = await call(ladder)
    await carrier.expect(484)
    await carrier.send("ACK")
    [result] = ladder.app.told("/dial-action")
    assert result["data"]["dial_sip_reason"] == "Number Has 18 Digits, E.164 Allows 15"
    await ladder.peer("agent").silence(1)


@ladder_with(
    trunks_to=trunks(agent={"gateways": ["sip:{agent}", "sip:{second}"], "no_response_s": 2})
)
async def test_the_next_gateway_is_tried_where_one_is_silent(ladder: Ladder) -> None:
    answer_as_the_trunk(ladder)
    ladder.app.verbs = pass_on("agent")
    carrier, agent, second = await call(ladder), ladder.peer("agent"), ladder.peer("second")
    await agent.expect("INVITE")
    await refused(second, carrier)
    assert ladder.app.statuses(child=True)[-1] == ("busy", 486)
    await agent.drain(40)


@ladder_with(trunks_to=trunks(agent={"gateways": ["sip:{agent}", "sip:{second}"]}))
async def test_a_call_that_was_answered_is_not_dialled_again(ladder: Ladder) -> None:
    ladder.app.verbs = pass_on("agent")
    carrier, agent = await call(ladder), ladder.peer("agent")
    await agent.answer_call()
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await agent.hang_up()
    await ladder.app.until(lambda: ladder.app.told("/dial-action"))
    await ladder.peer("second").silence(1)
    await ladder.app.command("redirect", [{"verb": "hangup"}])
    await carrier.is_hung_up()


@ladder_with(
    trunks_to=trunks(
        agent={
            "gateways": ["sip:{agent}", "sip:{second}"],
            "health": {"failures": 1},
            "no_response_s": 2,
        }
    )
)
async def test_a_gateway_that_is_down_is_passed_over_by_the_next_call(ladder: Ladder) -> None:
    answer_as_the_trunk(ladder)
    ladder.app.verbs = pass_on("agent")
    agent, second = ladder.peer("agent"), ladder.peer("second")
    carrier = await call(ladder)
    await agent.expect("INVITE")
    await refused(second, carrier)
    await agent.drain(33)
    carrier = await call(ladder)
    await refused(second, carrier)
    await agent.silence(1)


@dataclass
class Place:
    """Where a PBX registered."""

    text: str
    endpoint: Endpoint
    flow: Flow | None = None
    path: tuple[str, ...] = ()

    @property
    def uri(self) -> Uri:
        return Uri.parse(self.text)


@ladder_with(
    trunks_to=trunks(
        agent={"gateways": [], "registrar": True, "login": {"username": "pbx", "password": "p"}}
    )
)
async def test_a_registered_pbx_is_called_by_its_contact_to_the_letter(ladder: Ladder) -> None:
    """3CX knows its calls by the rinstance of its Contact; the number stands in To."""
    answer_as_the_trunk(ladder)
    agent = ladder.peer("agent")
    contact = "sip:10000@10.0.0.7:5060;Rinstance=%36a2b;transport=UDP"
    place = Place(
        contact,
        Endpoint("udp", "127.0.0.1", agent.port),
        path=("<sip:p.example.com;lr>",),
    )
    ladder.switch.dialler.locations = lambda name: [place] if name == "agent" else []
    ladder.app.verbs = pass_on("agent")
    invite = await refused(agent, await call(ladder))
    assert invite.uri == contact
    assert str(invite.to) == f"<sip:{DID}@10.0.0.7>"  # RFC 3261 19.1.1
    assert invite.headers.get("route") == "<sip:p.example.com;lr>"


@ladder_with(
    trunks_to=trunks(
        agent={"gateways": [], "registrar": True, "login": {"username": "pbx", "password": "p"}}
    )
)
async def test_a_contact_for_all_numbers_gets_the_number(ladder: Ladder) -> None:
    """RFC 6140 7.2."""
    answer_as_the_trunk(ladder)
    agent = ladder.peer("agent")
    place = Place(f"sip:127.0.0.1:{agent.port};bnc", Endpoint("udp", "127.0.0.1", agent.port))
    ladder.switch.dialler.locations = lambda _: [place]
    ladder.app.verbs = pass_on("agent")
    invite = await refused(agent, await call(ladder))
    assert invite.uri == f"sip:{DID}@127.0.0.1:{agent.port}"


@ladder_with(
    trunks_to=trunks(
        agent={"gateways": [], "registrar": True, "login": {"username": "pbx", "password": "p"}}
    )
)
async def test_a_pbx_that_is_not_registered_fails_the_dial_at_once(ladder: Ladder) -> None:
    answer_as_the_trunk(ladder)
    ladder.app.verbs = pass_on("agent")
    carrier = await call(ladder)
    await carrier.expect(503)
    await carrier.send("ACK")
    [result] = ladder.app.told("/dial-action")
    assert result["data"]["dial_sip_reason"] == "No Peer Is Registered For Trunk agent"


@ladder_with(
    trunks_to=trunks(
        agent={"headers": {"X-Account": "7"}, "caller_id": {"send": ["pai"], "from_user": "gw"}}
    )
)
async def test_a_uri_that_leads_to_a_trunk_is_that_trunks(ladder: Ladder) -> None:
    answer_as_the_trunk(ladder)
    agent = ladder.peer("agent")
    target = {"type": "sip", "sipUri": f"sip:200@127.0.0.1:{agent.port}"}
    ladder.app.verbs = lambda _: [{**dial("agent"), "target": [target]}]
    invite = await refused(agent, await call(ladder))
    assert invite.uri == f"sip:200@127.0.0.1:{agent.port}"
    assert invite.from_.uri.user == "gw"
    assert invite.headers.get("x-account") == "7"


@ladder_test
async def test_headers_in_a_uri_become_headers_of_the_call(ladder: Ladder) -> None:
    """RFC 3261 19.1.1, and 19.1.5: not those that a dialog lives by."""
    answer_as_the_trunk(ladder)
    agent = ladder.peer("agent")
    headers = "X-Desk=front%20%0D%0AX-Evil:%201&X-Call=7&Call-ID=forged&body=none"
    target = {"type": "sip", "sipUri": f"sip:200@127.0.0.1:{agent.port}?{headers}"}
    ladder.app.verbs = lambda _: [{**dial("agent"), "target": [target]}]
    invite = await refused(agent, await call(ladder))
    assert invite.uri == f"sip:200@127.0.0.1:{agent.port}"
    assert str(invite.to.uri) == "sip:200@127.0.0.1"  # table 1 of 19.1.1: To has no port
    assert invite.headers.get("x-call") == "7"
    assert not {"x-desk", "x-evil", "body"} & set(invite.headers.fields)
    assert invite.call_id != "forged"


@ladder_test
async def test_servers_of_one_gateway_are_connected_to_one_by_one(ladder: Ladder) -> None:
    """RFC 3263 4.3. The gateway has failed when the last of its servers has."""
    ports = [ladder.peer(name).port for name in ("agent", "second")]
    targets = tuple(Target(Endpoint("udp", "127.0.0.1", port), "sip.example.com") for port in ports)
    noted: list[tuple[int | None, str | None]] = []
    uri = Uri.parse(f"sip:{DID}@sip.example.com")
    hop = Hop(uri=str(uri), to=uri, next_hop=uri, note=lambda *how: noted.append(how))
    details = InviteDetails(
        trunk=Trunk(name="it"),
        options=LegOptions(),
        caller=Caller(number=CALLER),
        headers=(),
        credentials=None,
    )
    ua = ladder.switch.ua

    async def resolve(_: Uri) -> tuple[Target, ...]:
        return targets

    with (
        patch.object(ua.resolver, "resolve", resolve),
        patch.object(ua, "flow_at", wraps=ua.flow_at) as opened,
    ):
        attempts = TrunkAttempts(ua, details, [hop])
        assert await attempts.begin()
        first = await attempts.next()
        assert first is not None
        assert (first.target, opened.call_count) == (targets[0], 1)
        first.on_outcome(None, None)
        second = await attempts.next()
        assert second is not None
        assert second.target == targets[1]
        second.on_outcome(None, "it refuses connections")
        assert await attempts.next() is None
    assert noted == [(None, "it refuses connections")]


@ladder_with(trunks_to=trunks(agent={"gateways": ["sip:sip.example.com"]}))
async def test_a_caller_who_gives_up_during_the_lookup_calls_nobody(ladder: Ladder) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()
    agent = ladder.peer("agent")

    async def resolve(_: Uri) -> tuple[Target, ...]:
        asked.set()
        await answered.wait()
        return (Target(Endpoint("udp", "127.0.0.1", agent.port), "sip.example.com"),)

    ladder.app.verbs = pass_on("agent")
    with patch.object(ladder.switch.ua.resolver, "resolve", resolve):
        carrier = await call(ladder)
        await asked.wait()
        await carrier.send("CANCEL")
        await carrier.expect(200, of="CANCEL")
        await carrier.expect(487)
        await carrier.send("ACK")
        answered.set()
        await ladder.app.until(lambda: ladder.app.told("/dial-action"))
    await agent.silence(1)
    [result] = ladder.app.told("/dial-action")
    assert result["data"]["dial_sip_status"] == 487
    assert result["data"]["dial_call_status"] == "no-answer"


# --- how much ----------------------------------------------------------------------------------


@ladder_with(trunks_to=trunks(carrier={"identify": ["{carrier}", "{stranger}"], "max_calls": 1}))
async def test_a_trunk_with_all_its_channels_in_use_gets_503_and_when_to_retry(
    ladder: Ladder,
) -> None:
    answer_as_the_trunk(ladder)
    ladder.app.verbs = pass_on("agent")
    carrier, agent, other = await call(ladder), ladder.peer("agent"), ladder.peer("stranger")
    await agent.expect("INVITE")
    await other.send("INVITE", sdp=PCMU)
    response = await other.expect(503)
    assert response.headers.get("retry-after") == "5"
    await other.send("ACK")
    assert ladder.switch.refused["trunks[].max_calls"] == 1
    await agent.send(486)
    await agent.expect("ACK")
    await carrier.expect(486)
    await carrier.send("ACK")
    await ladder.app.until(lambda: ladder.app.close_codes)
    await asyncio.sleep(0.1)
    assert ladder.switch.dialler.limits.calls("carrier") == 0
    await refused(agent, await call(ladder))


@ladder_with(trunks_to=trunks(agent={"calls_per_second": 1}))
async def test_a_trunk_is_not_given_more_calls_a_second_than_it_takes(ladder: Ladder) -> None:
    """The next dial of the same second fails at once, so that another trunk may be tried."""
    ladder.app.verbs = lambda _: [dial("agent"), dial("agent"), dial("second")]
    ladder.app.hooks["/dial-action"] = lambda _: None
    carrier, agent = await call(ladder), ladder.peer("agent")
    await agent.expect("INVITE")
    await agent.send(486)
    await agent.expect("ACK")
    await ladder.peer("second").expect("INVITE")
    [_, second] = ladder.app.told("/dial-action")
    assert second["data"]["dial_sip_status"] == 503
    assert second["data"]["dial_sip_reason"] == "Trunk agent Takes 1 New Calls A Second"
    await carrier.send("CANCEL")
    await carrier.expect(200, of="CANCEL")
    await carrier.expect(487)
    await carrier.send("ACK")
    await ladder.peer("second").drain(33)


# --- who calls ---------------------------------------------------------------------------------

WITHHELD = (("P-Asserted-Identity", f"<sip:{CALLER}@127.0.0.1>"), ("Privacy", "id"))


@ladder_test
async def test_a_withheld_caller_reaches_neither_application_nor_agent(ladder: Ladder) -> None:
    """RFC 3323, RFC 3325."""
    answer_as_the_trunk(ladder)
    ladder.app.verbs = pass_on("agent")
    invite = await refused(ladder.peer("agent"), await call(ladder, *WITHHELD))
    [session] = ladder.app.told("session:new")
    assert (session["data"]["from"], session["data"]["caller_name"]) == ("anonymous", "")
    assert str(invite.from_.uri) == "sip:anonymous@anonymous.invalid"
    assert invite.headers.get("privacy") == "id"
    assert CALLER.encode() not in invite.to_bytes()


@ladder_with(
    trunks_to=trunks(
        agent={"caller_id": {"send": ["from", "pai"]}}, second={"caller_id": {"privacy": False}}
    )
)
async def test_a_withheld_number_is_told_to_trunks_that_are_trusted_with_it(
    ladder: Ladder,
) -> None:
    answer_as_the_trunk(ladder)
    ladder.app.verbs = pass_on("agent")
    invite = await refused(ladder.peer("agent"), await call(ladder, *WITHHELD))
    assert invite.from_.uri.host == "anonymous.invalid"
    [asserted] = invite.headers.get_all("p-asserted-identity")
    assert asserted == f"<sip:{CALLER}@127.0.0.1>"
    ladder.app.verbs = pass_on("second")
    invite = await refused(ladder.peer("second"), await call(ladder, *WITHHELD))
    assert invite.from_.uri.user == CALLER
    assert "privacy" not in invite.headers


@ladder_with(trunks_to=trunks(carrier={"country": "US", "called_number": {"accept": "diversion"}}))
async def test_the_application_hears_of_numbers_in_e164(ladder: Ladder) -> None:
    carrier = await call(
        ladder,
        ("Diversion", "<sip:4155550199@example.com>;reason=unconditional"),
        ("P-Asserted-Identity", '"Alice" <tel:12125550102;verstat=TN-Validation-Passed>'),
        to="trunk-user",
    )
    await carrier.expect(404)
    await carrier.send("ACK")
    [frame] = ladder.app.told("session:new")
    session = frame["data"]
    assert (session["from"], session["to"]) == ("+12125550102", "+14155550199")
    assert (session["caller_name"], session["verstat"]) == ("Alice", "TN-Validation-Passed")


@pytest.mark.parametrize(
    ("trunk", "said"),
    [
        (None, "Dial Names No Trunk"),
        ("", "Dial Names No Trunk"),
        ("carier", "There Is No Trunk Named carier"),
    ],
)
def test_a_trunk_that_is_not_there_is_told(trunk: str | None, said: str) -> None:
    @ladder_test
    async def story(ladder: Ladder) -> None:
        verb = dial("")
        verb["target"] = [
            {"type": "phone", "number": DID} | ({} if trunk is None else {"trunk": trunk})
        ]
        ladder.app.hooks["/dial-action"] = lambda _: None
        ladder.app.verbs = lambda _: [verb, {"verb": "sip:decline", "status": 480}]
        carrier = await call(ladder)
        await carrier.expect(480)
        await carrier.send("ACK")
        [done] = ladder.app.told("/dial-action")
        assert (done["data"]["dial_sip_status"], done["data"]["dial_sip_reason"]) == (404, said)

    story()


# --- what goes along ---------------------------------------------------------------------------


@ladder_with(
    trunks_to=trunks(
        agent={"pass_headers": {"outbound": ["X-*", "Diversion"]}, "headers": {"X-Account": "7"}}
    )
)
async def test_headers_pass_by_the_trunks_policy_and_the_log_says_which_do_not(
    ladder: Ladder,
) -> None:
    answer_as_the_trunk(ladder)
    headers = {"X-Order": "1", "X-Account": "8", "Subject": "hello", "X-Long": "1" * 2000}
    ladder.app.verbs = lambda _: [dial("agent", headers=headers), dial("agent", headers=headers)]
    ladder.app.hooks.clear()
    with patch("sip.softswitch.jambonz.application.log") as log:
        carrier, agent = await call(ladder), ladder.peer("agent")
        invite = await agent.expect("INVITE")
        await agent.send(486)
        await agent.expect("ACK")
        await agent.expect("INVITE")
        await agent.send(486)
        await agent.expect("ACK")
        await carrier.send("CANCEL")
        await carrier.drain(1)
        await carrier.send("ACK")
    assert invite.headers.get_all("x-account") == ["7"]
    assert invite.headers.get("x-order") == "1"
    assert not {"subject", "x-long"} & set(invite.headers.fields)
    told = [line.kwargs["header"] for line in log.info.call_args_list if "header" in line.kwargs]
    assert told == ["X-Long"]


@ladder_with(
    trunks_to=trunks(
        carrier={"pass_headers": {"inbound": ["X-Order"]}, "caller_id": {"accept": ["from"]}}
    )
)
async def test_an_application_is_told_what_the_inbound_policy_passes(ladder: Ladder) -> None:
    carrier = await call(
        ladder,
        ("X-Order", "1"),
        ("X-Other", "2"),
        ("Diversion", "<sip:1@example.com>"),
        ("P-Asserted-Identity", "<sip:+14155550177@example.com>"),
    )
    await carrier.expect(404)
    await carrier.send("ACK")
    [frame] = ladder.app.told("session:new")
    told = frame["data"]["sip"]["headers"]
    assert told["X-Order"] == "1"
    assert not {"X-Other", "diversion", "p-asserted-identity"} & set(told)
    assert frame["data"]["from"] == CALLER
