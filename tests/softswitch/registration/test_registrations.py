"""Registering with carriers and PBXs (RFC 3261 10.2): what they say, and what we do then."""

import asyncio
from unittest.mock import patch

import pytest

from sip.core.digest_client import Credentials
from sip.core.message import Request
from sip.core.uri import Uri
from sip.softswitch.registration.account import Account
from sip.softswitch.registration.registrations import Registrations
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.advertise import Advertiser, Public
from sip.transport.endpoint import Endpoint
from tests.softswitch.registration.registering import (
    PASSWORD,
    USER,
    Stage,
    registration,
    stage_test,
)
from tests.transport.test_advertise import FlowTo, StoppedClock


def invite(uri: str, to: str = "sip:1@x") -> Request:
    request = Request("INVITE", uri)
    request.headers.add("to", f"<{to}>")
    return request


async def registered(stage: Stage, expires_s: int = 3600) -> Request:
    """Started, asked, granted; the REGISTER."""
    stage.start()
    register = await stage.registrar.asked()
    await stage.registrar.grant(expires_s)
    await asyncio.sleep(0.1)
    assert stage.state.state == "registered"
    return register


# the request


@stage_test
async def test_what_register_says(stage: Stage) -> None:
    """RFC 3261 10.2: the registrar's domain alone in the Request-URI, the AOR in From and To."""
    register = await registered(stage)
    port = stage.registrar.port
    assert register.uri == f"sip:127.0.0.1:{port}"
    assert str(register.to) == f"<sip:{USER}@127.0.0.1>"
    assert register.from_.uri == register.to.uri
    assert register.from_.tag
    assert register.headers.get("expires") == "3600"
    assert register.headers.get("supported") == "path"
    assert register.contact is not None
    contact = register.contact.uri
    assert (contact.user, contact.host, contact.port) == (USER, "127.0.0.1", stage.gateway.port)
    assert contact.param("rinstance")
    assert register.contact.param("expires") == "3600"


@stage_test
async def test_the_contact_says_what_the_configuration_wants(stage: Stage) -> None:
    wanted = registration(contact_user="line7", contact_params={"line": "abc", "ob": ""})
    stage.start(stage.trunk(registration=wanted))
    contact = (await stage.registrar.asked()).contact
    assert contact is not None
    assert contact.uri.user == "line7"
    assert (contact.uri.param("line"), contact.uri.param("ob")) == ("abc", "")
    assert contact.uri.param("rinstance")


@pytest.mark.parametrize(
    ("registrar", "contact"),
    [
        ("sips:pbx.example.com", "sips:7@203.0.113.10:5061;rinstance="),
        ("sip:pbx.example.com;transport=tls", "sip:7@203.0.113.10:5061;transport=tls;rinstance="),
    ],
)
def test_a_sips_registrar_gets_a_sips_contact(registrar: str, contact: str) -> None:
    """RFC 3261 8.1.1.8."""
    account = Account.of(
        Trunk(name="pbx", gateways=(Uri.parse(registrar),), credentials=Credentials("7", "x"))
    )
    flow = FlowTo(Endpoint("tls", "192.0.2.9", 5061), Endpoint("tls", "192.168.7.2", 5061))
    said = account.contact(flow, Advertiser(Public("203.0.113.10"), StoppedClock()))  # type: ignore[arg-type]
    assert str(said).startswith(contact)


@stage_test
async def test_a_restart_registers_the_same_contact(stage: Stage) -> None:
    """A binding that the last run left is replaced, not doubled."""
    first = await registered(stage)
    stage.start()
    second = await stage.registrar.asked()
    assert first.contact is not None
    assert second.contact is not None
    assert first.contact.uri == second.contact.uri
    assert first.call_id != second.call_id


@stage_test
async def test_registrar_and_address_of_record_may_be_told(stage: Stage) -> None:
    wanted = registration(
        registrar=f"sip:127.0.0.1:{stage.second.port}", aor="sip:pilot@pbx.example.com"
    )
    stage.start(stage.trunk(registration=wanted))
    register = await stage.second.asked()
    assert str(register.to.uri) == "sip:pilot@pbx.example.com"
    assert register.contact is not None
    assert register.contact.uri.user == "pilot"


@stage_test
async def test_a_user_name_with_a_domain_is_the_address_of_record(stage: Stage) -> None:
    stage.start(stage.trunk(credentials=Credentials("line@ims.example.com", PASSWORD)))
    assert str((await stage.registrar.asked()).to.uri) == "sip:line@ims.example.com"


@stage_test
async def test_an_outbound_proxy_is_routed_through(stage: Stage) -> None:
    """The Request-URI names the registrar, Route the proxy, which gets it (RFC 3261 8.1.2)."""
    proxy = Uri.parse(f"sip:127.0.0.1:{stage.second.port}")
    wanted = registration(registrar="sip:sipconnect.example.com")
    stage.start(stage.trunk(outbound_proxy=proxy, registration=wanted))
    register = await stage.second.asked()
    assert register.uri == "sip:sipconnect.example.com"
    assert register.headers.values("route") == [f"<sip:127.0.0.1:{stage.second.port};lr>"]
    assert str(register.to.uri) == f"sip:{USER}@sipconnect.example.com"


# challenges


@pytest.mark.parametrize("status", [401, 407])
@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
def test_a_challenge_is_answered(status: int, algorithm: str) -> None:
    """RFC 3261 22.2, 22.3, RFC 8760; CSeq rises, Call-ID stays (10.2)."""
    name = {401: "authorization", 407: "proxy-authorization"}[status]

    @stage_test
    async def story(stage: Stage) -> None:
        registrar = stage.registrar
        registrar.digest = type(registrar.digest)("registrar.test", b"k", algorithms=[algorithm])
        stage.start()
        first = await registrar.asked()
        assert name not in first.headers
        await registrar.challenge(status)
        second = await registrar.asked()
        assert registrar.proven(second, name)
        assert f"algorithm={algorithm}" in (second.headers.get(name) or "")
        assert second.call_id == first.call_id
        assert second.cseq.number == first.cseq.number + 1
        await registrar.grant()
        await asyncio.sleep(0.1)
        assert stage.state.state == "registered"

    story()


@stage_test
async def test_a_proxy_and_the_registrar_may_both_ask(stage: Stage) -> None:
    """RFC 3261 22.3: the last request satisfies both."""
    stage.start()
    await stage.registrar.asked()
    await stage.registrar.challenge(407)
    await stage.registrar.asked()
    await stage.registrar.challenge(401)
    register = await stage.registrar.asked()
    assert stage.registrar.proven(register, "authorization")
    assert stage.registrar.proven(register, "proxy-authorization")
    assert "nc=00000002" in (register.headers.get("proxy-authorization") or "")


@stage_test
async def test_a_stale_nonce_is_no_wrong_password(stage: Stage) -> None:
    """RFC 7616 3.3: stale=true asks for the same password with a newer nonce."""
    stage.start()
    await stage.registrar.asked()
    await stage.registrar.challenge()
    await stage.registrar.asked()
    await stage.registrar.challenge(stale=True)
    assert stage.registrar.proven(await stage.registrar.asked())
    await stage.registrar.grant()
    await asyncio.sleep(0.1)
    assert stage.state.state == "registered"


@stage_test
async def test_a_registrar_that_calls_every_nonce_stale_is_given_up(stage: Stage) -> None:
    stage.start()
    await stage.registrar.asked()
    await stage.registrar.challenge()
    for _ in range(2):
        await stage.registrar.asked()
        await stage.registrar.challenge(stale=True)
    await stage.registrar.asked()
    await stage.registrar.challenge(stale=True)
    await stage.registrar.silence(60)
    assert stage.state.state == "rejected"


@stage_test
async def test_a_new_nonce_is_answered_once_more(stage: Stage) -> None:
    """The answer to the first may have met another server, which does not know that nonce."""
    stage.start()
    for _ in range(2):
        await stage.registrar.asked()
        await stage.registrar.challenge()
    assert stage.registrar.proven(await stage.registrar.asked())
    await stage.registrar.grant(3600)
    await asyncio.sleep(0.1)
    assert stage.state.state == "registered"


@stage_test
async def test_a_longer_expiry_is_a_new_request_to_be_challenged(stage: Stage) -> None:
    stage.start()
    for _ in range(2):
        await stage.registrar.asked()
        await stage.registrar.challenge()
    await stage.registrar.asked()
    await stage.registrar.answer(423, headers=(("Min-Expires", "7200"),))
    for _ in range(2):
        assert (await stage.registrar.asked()).headers.get("expires") == "7200"
        await stage.registrar.challenge()
    assert stage.registrar.proven(await stage.registrar.asked())
    await stage.registrar.grant(7200)
    await asyncio.sleep(0.1)
    assert stage.state.state == "registered"


@pytest.mark.parametrize(
    "other",
    [
        ",: <sip:other7@192.0.2.9:5060;transport=ws>;expires=30",
        ", <sip:@192.0.2.9:5060>;expires=30",
        ", <sip:gw@192.0.2.9:0>;expires=30",
        ', <sip:192.0.2.9:443;transport=wss;x-info="QUJD+DEFG=">;expires=30',
        ", <sip:gw@[fe80::1%25eth0]:5060>;expires=30",
        ";, ;;;expires=30",
    ],
)
def test_a_binding_that_cannot_be_read_is_another_devices(other: str) -> None:
    @stage_test
    async def story(stage: Stage) -> None:
        stage.start()
        register = await stage.registrar.asked()
        assert register.contact is not None
        ours = f"<{register.contact.uri}>;expires=600{other}"
        await stage.registrar.answer(200, headers=(("Contact", ours),))
        await asyncio.sleep(0.1)
        assert (stage.state.state, stage.state.last_error) == ("registered", None)
        await stage.registrar.silence(290)
        await stage.registrar.asked(within_s=20)  # half of our own 600 s
        await stage.registrar.grant(600)

    story()


@stage_test
async def test_a_wrong_password_is_said_and_tried_again_slowly(stage: Stage) -> None:
    """The same challenge again: nothing but the configuration can help."""
    with patch("sip.softswitch.registration.journal.log") as log:
        stage.start()
        for _ in range(2):
            for _ in range(3):  # the second nonce may be another server's of a cluster
                await stage.registrar.asked(within_s=700)
                await stage.registrar.challenge()
            await stage.registrar.silence(500)
    assert stage.state.state == "rejected"
    assert stage.state.last_status == 401
    [told] = log.warning.call_args_list  # once, though it was tried twice
    assert told.kwargs["trunk"] == "carrier"
    assert "does not accept the user name or password of trunk carrier" in told.kwargs["reason"]
    assert PASSWORD not in str(told)


@stage_test
async def test_forbidden_is_not_asked_again_at_once(stage: Stage) -> None:
    with patch("sip.softswitch.registration.journal.log") as log:
        stage.start()
        await stage.registrar.asked()
        await stage.registrar.answer(403)
        await stage.registrar.silence(500)
    assert stage.state.state == "rejected"
    assert stage.state.expires_at is None
    [told] = log.warning.call_args_list
    assert (
        "user name or password of trunk carrier is wrong, or the account" in (told.kwargs["reason"])
    )


@stage_test
async def test_without_credentials_a_challenge_names_what_is_missing(stage: Stage) -> None:
    stage.start(stage.trunk(credentials=None))
    await stage.registrar.asked()
    await stage.registrar.challenge()
    await stage.registrar.silence(10)
    assert "give trunk carrier its credentials" in (stage.state.last_error or "")


@stage_test
async def test_a_password_for_one_realm_is_not_shown_to_another(stage: Stage) -> None:
    stage.start(stage.trunk(credentials=Credentials(USER, PASSWORD, "out.example.com")))
    await stage.registrar.asked()
    await stage.registrar.challenge()
    await stage.registrar.silence(10)
    assert "credentials.realm" in (stage.state.last_error or "")


# how long it holds


@pytest.mark.parametrize(
    ("expires_s", "header_s", "half"),
    [
        pytest.param(3600, None, 1800, id="contact"),
        pytest.param(None, 600, 300, id="header"),
        pytest.param(120, 3600, 60, id="contact before header"),
        pytest.param(None, None, 1800, id="neither: as asked"),
        pytest.param(7200, None, 1800, id="never longer than asked"),
    ],
)
def test_refreshed_half_way(expires_s: int | None, header_s: int | None, half: int) -> None:
    """RFC 3261 10.2.4; half-way leaves the other half for a refresh that fails."""

    @stage_test
    async def story(stage: Stage) -> None:
        stage.start()
        await stage.registrar.asked()
        await stage.registrar.grant(expires_s, header_s=header_s)
        await stage.registrar.silence(half - 1)
        await stage.registrar.asked(within_s=1.5)

    story()


@stage_test
async def test_bindings_of_others_are_not_ours(stage: Stage) -> None:
    """RFC 3261 10.3 step 8: the 200 lists every binding of the address of record."""
    stage.start()
    await stage.registrar.asked()
    other = ("Contact", "<sip:desk@192.0.2.9>;expires=3000, <sip:hall@192.0.2.8>;expires=20")
    await stage.registrar.grant(200, headers=(other,))
    await stage.registrar.silence(99)
    await stage.registrar.asked(within_s=1.5)


@stage_test
async def test_too_brief_an_interval_is_lengthened(stage: Stage) -> None:
    """RFC 3261 10.2.8: 423 names the least, which is asked for from then on."""
    stage.start(stage.trunk(registration=registration(expires_s=120)))
    await stage.registrar.asked()
    await stage.registrar.answer(423, headers=(("Min-Expires", "1800"),))
    register = await stage.registrar.asked()
    assert register.headers.get("expires") == "1800"
    await stage.registrar.grant(1800)
    await stage.registrar.silence(899)
    assert (await stage.registrar.asked()).headers.get("expires") == "1800"


@stage_test
async def test_a_423_that_asks_for_nothing_longer_is_a_refusal(stage: Stage) -> None:
    stage.start()
    await stage.registrar.asked()
    await stage.registrar.answer(423, headers=(("Min-Expires", "60"),))
    await stage.registrar.silence(300)
    assert stage.state.state == "rejected"


@stage_test
async def test_a_grant_of_nothing_is_a_failure(stage: Stage) -> None:
    stage.start()
    await stage.registrar.asked()
    await stage.registrar.grant(0)
    await asyncio.sleep(0.1)
    assert stage.state.state == "waiting"
    assert "granted no time" in (stage.state.last_error or "")


# failures


@stage_test
async def test_a_silent_registrar_is_asked_ever_more_seldom(stage: Stage) -> None:
    """RFC 5626 4.5: the pause doubles, with chance in it, up to ten minutes."""
    stage.start()
    await stage.registrar.asked()
    for longest in (10, 20, 40, 80, 160, 320, 600, 600, 600):
        await asyncio.sleep(32.5)  # timer F
        assert stage.state.state == "waiting"
        await stage.registrar.drain(longest / 2 - 2)
        assert stage.state.state == "waiting"
        await stage.registrar.asked(within_s=longest / 2 + 3)
    assert "does not answer" in (stage.state.last_error or "")


@stage_test
async def test_it_comes_back_by_itself(stage: Stage) -> None:
    with patch("sip.softswitch.registration.journal.log") as log:
        stage.start()
        await stage.registrar.asked()
        await stage.registrar.answer(500)
        await stage.registrar.asked()
        await stage.registrar.grant()
        await asyncio.sleep(0.1)
    assert stage.state.state == "registered"
    assert stage.state.last_error is None
    assert [call.args[0] for call in log.warning.call_args_list] == ["registration.failed"]
    assert [call.args[0] for call in log.info.call_args_list] == ["registration.granted"]


@stage_test
async def test_the_next_server_of_the_name_is_tried(stage: Stage) -> None:
    """RFC 3263 4.3: on 503 or silence; refreshes then stay with the server that has the binding."""
    peers = [stage.registrar, stage.second]
    endpoints = [Endpoint("udp", "127.0.0.1", peer.port) for peer in peers]
    stage.resolver.names["sip.example.com"] = endpoints
    stage.start(stage.trunk(gateways=(Uri.parse("sip:sip.example.com"),)))
    await stage.registrar.asked()
    await stage.registrar.answer(503, headers=(("Retry-After", "120"),))
    register = await stage.second.asked(within_s=1)
    assert register.uri == "sip:sip.example.com"
    assert stage.resolver.penalties == {endpoints[0]: 120}
    await stage.second.grant(100)
    await stage.second.asked(within_s=60)
    since = stage.state.since
    await stage.second.grant(100)
    await stage.registrar.silence(10)
    assert stage.state.since == since  # a refresh does not make it younger
    assert stage.registrations.trunk_of(invite("sip:x@y"), endpoints[0]) == "carrier"


@stage_test
async def test_silence_moves_on_to_the_next_server(stage: Stage) -> None:
    endpoints = [
        Endpoint("udp", "127.0.0.1", peer.port) for peer in (stage.registrar, stage.second)
    ]
    stage.resolver.names["sip.example.com"] = endpoints
    stage.start(stage.trunk(gateways=(Uri.parse("sip:sip.example.com"),)))
    await stage.registrar.asked()
    await stage.second.asked(within_s=33)
    await stage.second.grant()
    await asyncio.sleep(0.1)
    assert stage.state.state == "registered"


@stage_test
async def test_retry_after_is_heeded(stage: Stage) -> None:
    """RFC 3261 21.5.4, where there is no other server."""
    stage.start()
    await stage.registrar.asked()
    await stage.registrar.answer(503, headers=(("Retry-After", "90 (maintenance)"),))
    await stage.registrar.silence(89)
    await stage.registrar.asked(within_s=3)


@stage_test
async def test_a_name_that_leads_nowhere_is_a_failure_like_others(stage: Stage) -> None:
    stage.start(stage.trunk(gateways=(Uri.parse("sip:no-such-host.invalid"),)))
    await asyncio.sleep(5)
    assert stage.state.state in ("waiting", "registering")
    assert "no-such-host.invalid" in (stage.state.last_error or "")


@stage_test
async def test_a_failed_refresh_leaves_the_binding_its_time(stage: Stage) -> None:
    """What the registrar granted holds until it expires, whatever happens to refreshes."""
    await registered(stage, 600)
    await stage.registrar.asked(within_s=301)
    await stage.registrar.answer(503)
    await asyncio.sleep(0.1)
    assert stage.state.state == "waiting"
    assert stage.state.expires_at is not None
    source = Endpoint("udp", "127.0.0.1", stage.registrar.port)
    assert stage.registrations.trunk_of(invite("sip:x@y"), source) == "carrier"
    await asyncio.sleep(301)
    assert stage.registrations.trunk_of(invite("sip:x@y"), source) is None


# redirections


@pytest.mark.parametrize("status", [301, 302])
def test_a_redirection_is_followed(status: int) -> None:
    """RFC 3261 8.1.3.4; a 301 is remembered, a 302 is not."""

    @stage_test
    async def story(stage: Stage) -> None:
        stage.start()
        await stage.registrar.asked()
        contacts = f"<sip:127.0.0.1:1>;q=0.1, <sip:u@127.0.0.1:{stage.second.port}>;q=0.9"
        await stage.registrar.answer(status, headers=(("Contact", contacts),))
        register = await stage.second.asked()
        assert register.uri == f"sip:127.0.0.1:{stage.second.port}"
        assert str(register.to.uri) == f"sip:{USER}@127.0.0.1"
        await stage.second.grant(100)
        again = stage.second if status == 301 else stage.registrar
        await again.asked(within_s=60)

    story()


@stage_test
async def test_use_proxy_goes_through_the_proxy(stage: Stage) -> None:
    """RFC 3261 21.3.4: 305."""
    stage.start()
    first = await stage.registrar.asked()
    proxy = f"sip:127.0.0.1:{stage.second.port}"
    await stage.registrar.answer(305, headers=(("Contact", f"<{proxy}>"),))
    register = await stage.second.asked()
    assert register.uri == first.uri
    assert register.headers.values("route") == [f"<{proxy};lr>"]


@stage_test
async def test_redirections_in_a_circle_end(stage: Stage) -> None:
    stage.start()
    to_second = (("Contact", f"<sip:127.0.0.1:{stage.second.port}>"),)
    to_first = (("Contact", f"<sip:127.0.0.1:{stage.registrar.port}>"),)
    for _ in range(2):
        await stage.registrar.asked()
        await stage.registrar.answer(302, headers=to_second)
        await stage.second.asked()
        await stage.second.answer(302, headers=to_first)
    await stage.registrar.silence(60)
    assert stage.state.state == "rejected"
    assert "circle" in (stage.state.last_error or "")


# what follows from being registered


@stage_test
async def test_the_operator_is_told_once_what_the_registrar_sees(stage: Stage) -> None:
    """RFC 3581: a Contact with our private address is no way to us from outside."""
    with patch("sip.softswitch.registration.journal.log") as log:
        stage.start()
        for _ in range(2):
            register = await stage.registrar.asked(within_s=60)
            seen = register.via.with_param("received", "203.0.113.7")
            register.headers.replace_first("via", str(seen))
            await stage.registrar.grant(100)
        await asyncio.sleep(0.1)
    nat = "registration.behind-nat"
    told = [call for call in log.info.call_args_list if call.args[0] == nat]
    assert [(call.kwargs["contact"], call.kwargs["seen_as"]) for call in told] == [
        ("127.0.0.1", "203.0.113.7")
    ]


@stage_test
async def test_the_service_route_is_kept(stage: Stage) -> None:
    """RFC 3608 6: until a later registration says otherwise."""
    stage.start()
    await stage.registrar.asked()
    routes = ("<sip:orig@scscf.example.com;lr>", "<sip:edge.example.com;lr>")
    await stage.registrar.grant(100, headers=(("Service-Route", ", ".join(routes)),))
    await asyncio.sleep(0.1)
    assert stage.registrations.route("carrier") == routes
    assert stage.registrations.route("another") == ()
    await stage.registrar.asked(within_s=60)
    await stage.registrar.grant(100)
    await asyncio.sleep(0.1)
    assert stage.registrations.route("carrier") == ()


@stage_test
async def test_udp_is_kept_awake(stage: Stage) -> None:
    """A NAT forgets a mapping that is not used; half an hour between refreshes is too long."""
    await registered(stage)
    await stage.registrar.silence(301)
    assert stage.registrar.pings == 10


@stage_test
async def test_closing_takes_the_binding_back(stage: Stage) -> None:
    """RFC 3261 10.2.2: the same Contact with Expires 0, proven if asked."""
    first = await registered(stage)
    closing = asyncio.create_task(stage.registrations.close())
    await stage.registrar.asked()
    await stage.registrar.challenge()
    last = await stage.registrar.asked()
    assert stage.registrar.proven(last)
    assert last.headers.get("expires") == "0"
    assert first.contact is not None
    assert last.contact is not None
    assert last.contact.uri == first.contact.uri
    assert last.contact.param("expires") == "0"
    await stage.registrar.grant(0)
    await closing
    assert stage.state.state == "closed"
    await stage.registrar.silence(4000)


@stage_test
async def test_closing_does_not_wait_for_a_dead_registrar(stage: Stage) -> None:
    await registered(stage)
    async with asyncio.timeout(3):
        await stage.registrations.close()
    await stage.registrar.asked()


@stage_test
async def test_refresh_now(stage: Stage) -> None:
    """The operator has put something right and does not want to wait ten minutes."""
    stage.start()
    await stage.registrar.asked()
    await stage.registrar.answer(403)
    await stage.registrar.silence(5)
    asking = asyncio.create_task(stage.registrations.refresh("carrier"))
    await stage.registrar.asked(within_s=1)
    await stage.registrar.grant()
    state = await asking
    assert state is not None
    assert (state.state, state.last_status, state.last_error) == ("registered", 200, None)
    assert await stage.registrations.refresh("another") is None


@stage_test
async def test_refresh_now_tells_that_nobody_answers(stage: Stage) -> None:
    await registered(stage)
    async with asyncio.timeout(11):
        state = await stage.registrations.refresh("carrier")
    assert state is not None
    assert state.state == "refreshing"
    assert state.expires_at is not None


# whose call it is


@stage_test
async def test_several_trunks_at_one_registrar_are_told_apart(stage: Stage) -> None:
    names = ("alpha", "beta", "gamma")
    trunks = [stage.trunk(name, credentials=Credentials(name + "-line", "pw")) for name in names]
    stage.start(*trunks)
    contacts = {}
    for _ in names:
        register = await stage.registrar.asked()
        assert register.contact is not None
        contacts[register.contact.uri.user] = register.contact.uri
        await stage.registrar.grant()
    await asyncio.sleep(0.1)
    source = Endpoint("udp", "127.0.0.1", stage.registrar.port)
    trunk_of = stage.registrations.trunk_of
    assert [state.trunk for state in stage.registrations.states()] == list(names)
    for name in names:
        contact = contacts[f"{name}-line"]
        by_param = contact.replace(user="+14155550100")
        assert trunk_of(invite(str(by_param)), source) == name
        by_user = contact.replace(params=())
        assert trunk_of(invite(str(by_user)), source) == name
        by_to = invite("sip:+14155550100@192.0.2.1", f"sip:{name}-line@registrar.example.com")
        assert trunk_of(by_to, source) == name
    assert trunk_of(invite("sip:+14155550100@192.0.2.1"), source) == "alpha"
    # where an address trunk is at the same place, only a call to our Contact is the registration's
    assert trunk_of(invite("sip:+14155550100@192.0.2.1"), source, configured=True) is None
    by_contact = invite(str(contacts["beta-line"]))
    assert trunk_of(by_contact, source, configured=True) == "beta"


@stage_test
async def test_only_the_registrar_speaks_for_the_trunk(stage: Stage) -> None:
    """And only while it holds a binding of ours."""
    stage.start()
    register = await stage.registrar.asked()
    assert register.contact is not None
    call = invite(str(register.contact.uri))
    source = Endpoint("udp", "127.0.0.1", stage.registrar.port)
    assert stage.registrations.trunk_of(call, source) is None
    await stage.registrar.grant()
    await asyncio.sleep(0.1)
    assert stage.registrations.trunk_of(call, source) == "carrier"
    elsewhere = Endpoint("udp", "192.0.2.66", 5060)
    assert stage.registrations.trunk_of(call, elsewhere) is None
    # another program on the registrar's host: only by what our Contact alone tells
    neighbour = Endpoint("udp", "127.0.0.1", stage.second.port)
    assert stage.registrations.trunk_of(call, neighbour) == "carrier"
    assert stage.registrations.trunk_of(invite("sip:+14155550100@x"), neighbour) is None
    assert stage.registrations.trunk_of(None, neighbour) == "carrier"


def test_a_trunk_that_does_not_register_is_left_alone() -> None:
    @stage_test
    async def story(stage: Stage) -> None:
        stage.start(stage.trunk(registers=False))
        assert stage.registrations.states() == []
        await stage.registrar.silence(60)
        await stage.registrations.close()

    story()


def test_a_trunk_without_registrar_is_refused() -> None:
    @stage_test
    async def story(stage: Stage) -> None:
        with pytest.raises(ValueError, match="carrier has no registrar"):
            Registrations(stage.ua, [stage.trunk(gateways=())], 30)

    story()
