"""PBXs and phones register with us (RFC 3261 10.3)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from sip.core.message import Response
from sip.softswitch.registration.bindings import Bindings, Location
from sip.softswitch.registration.registrar import MAX_CONTACTS, MAX_TRUNK_CONTACTS
from sip.softswitch.shared import BindingRecord, MemoryStore
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint
from tests.ladder import PCMU, Ladder, dial, make_ladder
from tests.softswitch.phone import PASSWORD, USER, Phone
from tests.virtual import virtual_time

PBX = Trunk(name="pbx", login=(USER, PASSWORD), registrar=True)
OTHER = Trunk(name="other", login=("other", "another-secret"), registrar=True)


class Office:
    """The gateway, a PBX with an account, and a second device of the same account."""

    def __init__(self, ladder: Ladder, gateway: Endpoint) -> None:
        self.ladder = ladder
        self.pbx = Phone("pbx", gateway)
        self.second = Phone("second", gateway)

    @property
    def now(self) -> float:
        return self.ladder.switch.ua.clock.now()

    @property
    def bindings(self) -> Bindings:
        return self.ladder.switch.bindings

    def locations(self, trunk: str = "pbx") -> list[Location]:
        return self.bindings.of(trunk, self.now)


@asynccontextmanager
async def make_office(*trunks: Trunk, **options: Any) -> AsyncIterator[Office]:
    async with make_ladder(trunks=trunks or (PBX, OTHER), **options) as ladder:
        [gateway] = ladder.switch.ua.listening
        ladder.switch.registrar.start()
        office = Office(ladder, gateway)
        try:
            yield office
            await ladder.settled()
        finally:
            await office.pbx.close()
            await office.second.close()


def office_test(
    test: Callable[[Office], Coroutine[Any, Any, None]],
) -> Callable[[], None]:
    """Run a story on virtual time."""

    async def run() -> None:
        async with make_office() as office:
            await test(office)

    run.__doc__ = test.__doc__
    run.__name__ = test.__name__
    return virtual_time(run)


def contacts(response: Response) -> list[str]:
    return response.headers.get_all("contact")


# who may


@office_test
async def test_a_register_is_challenged_and_served(office: Office) -> None:
    """RFC 3261 10.3, 22.2: 401, then 200 with the binding."""
    await office.pbx.transmit(office.pbx.request(office.pbx.contact).to_bytes())
    challenge = await office.pbx.expect(401)
    assert [value.partition("realm")[0] for value in challenge.headers.get_all("www-authenticate")]
    assert office.locations() == []
    response = await office.pbx.register(office.pbx.contact, expires=600)
    assert response.status == 200
    assert contacts(response) == [f"{office.pbx.contact};expires=600"]
    told = parsedate_to_datetime(response.headers.get("date") or "")  # RFC 3261 10.3 step 8
    assert abs(told.timestamp() - office.ladder.switch.ua.clock.epoch()) < 2
    [location] = office.locations()
    assert location.text == office.pbx.contact.strip("<>")
    assert location.endpoint == Endpoint("udp", "127.0.0.1", office.pbx.port)
    assert location.path == ()


@office_test
async def test_unknown_users_and_wrong_passwords_look_alike(office: Office) -> None:
    """So that nobody can find out which accounts exist."""
    wrong = await office.pbx.register(office.pbx.contact, password="guessed")
    unknown = await office.second.register(office.second.contact, login="somebody")
    assert wrong.status == unknown.status == 401
    for response in (wrong, unknown):
        response.headers.remove("www-authenticate")  # nonces differ
    assert {name for name, _ in wrong.headers} == {name for name, _ in unknown.headers}
    assert office.locations() == []


@office_test
async def test_who_has_no_account_gets_no_answer(office: Office) -> None:
    await office.pbx.transmit(office.pbx.request("<sip:1000@192.0.2.1>", user="1000").to_bytes())
    await office.pbx.silence(5)


@office_test
async def test_the_address_of_record_of_another_trunk_is_refused(office: Office) -> None:
    """RFC 3261 10.3 step 4: who is known may still not be allowed."""
    response = await office.pbx.register(office.pbx.contact, user="other")
    assert response.status == 403
    assert office.locations() == office.locations("other") == []


@office_test
async def test_a_pbx_may_register_its_lines_with_one_login(office: Office) -> None:
    for line in ("reception", "sales"):
        contact = f"<sip:{USER}@127.0.0.1:{office.pbx.port};line={line}>"
        response = await office.pbx.register(contact, user=line)
        assert len(contacts(response)) == 1  # each address of record has its own list
    assert [at.uri.param("line") for at in office.locations()] == ["sales", "reception"]


@virtual_time
async def test_register_is_not_allowed_where_nobody_registers() -> None:
    """RFC 3261 10.3, 21.4.6: Allow tells."""
    async with make_ladder() as ladder:
        carrier = ladder.peer("carrier")
        await carrier.send("REGISTER")
        refused = await carrier.expect(405)
        assert "REGISTER" not in (refused.headers.get("allow") or "")
        await ladder.settled()


@office_test
async def test_options_say_that_register_is_served(office: Office) -> None:
    carrier = office.ladder.peer("carrier")
    await carrier.send("OPTIONS")
    answer = await carrier.expect(200)
    assert "REGISTER" in (answer.headers.get("allow") or "")


# how long


@pytest.mark.parametrize(
    ("param", "header", "granted"),
    [
        pytest.param("", None, 3600, id="nothing said"),
        pytest.param("", 300, 300, id="header"),
        pytest.param(";expires=120", 300, 120, id="contact before header"),
        pytest.param(";expires=86400", None, 3600, id="no longer than sip.registrar.max_expires_s"),
        pytest.param(";expires=soon", None, 3600, id="unreadable"),
    ],
)
def test_expiry(param: str, header: int | None, granted: int) -> None:
    """RFC 3261 10.3 step 7."""

    @office_test
    async def story(office: Office) -> None:
        response = await office.pbx.register(office.pbx.contact + param, expires=header)
        assert contacts(response) == [f"{office.pbx.contact};expires={granted}"]

    story()


@office_test
async def test_too_brief_an_interval(office: Office) -> None:
    """RFC 3261 21.4.17: 423 names the least."""
    response = await office.pbx.register(office.pbx.contact, expires=10)
    assert response.status == 423
    assert response.headers.get("min-expires") == "60"
    assert office.locations() == []


@office_test
async def test_bindings_end_on_time(office: Office) -> None:
    await office.pbx.register(office.pbx.contact, expires=60)
    await asyncio.sleep(30)
    response = await office.pbx.register()
    assert contacts(response) == [f"{office.pbx.contact};expires=30"]
    await asyncio.sleep(29.5)
    assert len(office.locations()) == 1
    await asyncio.sleep(1)
    assert office.locations() == []
    assert contacts(await office.pbx.register()) == []


@office_test
async def test_a_refresh_prolongs(office: Office) -> None:
    await office.pbx.register(office.pbx.contact, expires=60)
    await asyncio.sleep(40)
    await office.pbx.register(office.pbx.contact, expires=60)
    await asyncio.sleep(40)
    assert len(office.locations()) == 1


# contacts


@office_test
async def test_every_parameter_comes_back_as_it_came(office: Office) -> None:
    """3CX finds its registration again by them."""
    uri = f"sip:10000@127.0.0.1:{office.pbx.port};rinstance=7d%5Ba;ob"
    sent = f'"Main line" <{uri}>;q=0.7;expires=200;+sip.ice;flag="a;b"'
    response = await office.pbx.register(sent)
    assert contacts(response) == [f'<{uri}>;q=0.7;+sip.ice;flag="a;b";expires=200']


@office_test
async def test_several_contacts_by_preference(office: Office) -> None:
    first = f"<sip:desk@127.0.0.1:{office.pbx.port}>"
    second = f"<sip:mobile@127.0.0.1:{office.second.port}>"
    third = f"<sip:hall@127.0.0.1:{office.second.port}>"
    await office.pbx.register(f"{first};q=0.3, {second};q=0.9", third + ";q=0.5")
    assert [place.uri.user for place in office.locations()] == ["mobile", "hall", "desk"]


@office_test
async def test_one_contact_is_removed_and_the_others_stay(office: Office) -> None:
    second = f"<sip:mobile@127.0.0.1:{office.second.port}>"
    await office.pbx.register(office.pbx.contact, second)
    response = await office.pbx.register(f"{second};expires=0")
    assert contacts(response) == [f"{office.pbx.contact};expires=3600"]


@office_test
async def test_a_star_removes_all(office: Office) -> None:
    """RFC 3261 10.2.2."""
    await office.pbx.register(office.pbx.contact, f"<sip:m@127.0.0.1:{office.second.port}>")
    response = await office.pbx.register("*", expires=0)
    assert response.status == 200
    assert contacts(response) == []
    assert office.locations() == []


@pytest.mark.parametrize(
    ("sent", "expires"),
    [
        pytest.param("*", 60, id="star with time"),
        pytest.param("*", None, id="star without Expires"),
        pytest.param("*, <sip:a@192.0.2.1>", 0, id="star and more"),
        pytest.param("<tel:+14155550100>", 60, id="no SIP URI"),
        pytest.param("<sip:a@192.0.2.1?Route=x>", 60, id="headers in a Contact"),
        pytest.param(f"<sip:{'a' * 600}@192.0.2.1>", 60, id="too long"),
    ],
)
def test_what_makes_no_sense_changes_nothing(sent: str, expires: int | None) -> None:
    """RFC 3261 10.3 step 6: 400."""

    @office_test
    async def story(office: Office) -> None:
        await office.pbx.register(office.pbx.contact)
        response = await office.pbx.register(sent, expires=expires)
        assert response.status == 400
        assert len(office.locations()) == 1

    story()


@office_test
async def test_requests_out_of_order_are_refused_whole(office: Office) -> None:
    """RFC 3261 10.3 step 7: the same Call-ID with a lower CSeq is older than what is bound."""
    await office.pbx.register(office.pbx.contact)
    office.pbx.cseq = 0
    other = f"<sip:m@127.0.0.1:{office.second.port}>"
    for late in ((other, f"{office.pbx.contact};expires=0"), ("*",)):
        office.pbx.tag += "-late"  # other branches than before
        response = await office.pbx.register(*late, expires=0 if late == ("*",) else None)
        office.pbx.cseq = 0
        assert response.status == 400
        assert [at.text for at in office.locations()] == [office.pbx.contact.strip("<>")]
    # after a restart of the PBX everything is new, and its word counts again
    office.pbx.call_id = "after-the-restart"
    office.pbx.tag += "-anew"
    assert (await office.pbx.register("*", expires=0)).status == 200
    assert office.locations() == []


@office_test
async def test_the_contact_not_refreshed_for_longest_gives_way(office: Office) -> None:
    """A softphone comes back from a new port after each start, and forgets the old ones."""
    starts = [f"<sip:pbx@127.0.0.1:{5100 + n}>" for n in range(MAX_CONTACTS + 2)]
    for contact in starts[:-2]:
        assert (await office.pbx.register(contact)).status == 200
        await asyncio.sleep(1)
    await office.pbx.register(starts[0])  # the first one still lives
    for contact in starts[-2:]:
        await asyncio.sleep(1)
        response = await office.pbx.register(contact)
        assert response.status == 200
        assert len(contacts(response)) == MAX_CONTACTS
    there = {f"<{location.text}>" for location in office.locations()}
    assert there == {*starts} - {starts[1], starts[2]}
    records = await office.ladder.switch.bindings._store.load()
    assert {f"<{record.contact}>" for record in records} == there


@office_test
async def test_too_many_contacts_at_once_are_refused(office: Office) -> None:
    many = [f"<sip:{n}@127.0.0.1:{office.pbx.port}>" for n in range(MAX_CONTACTS + 1)]
    await office.pbx.register(office.pbx.contact)
    assert (await office.pbx.register(*many)).status == 403
    assert [location.text for location in office.locations()] == [office.pbx.contact.strip("<>")]


@office_test
async def test_a_trunk_that_is_full_has_its_phones_come_again(office: Office) -> None:
    """403 would be taken for a wrong password; nobody who is there gives way to another line."""
    for line in range(MAX_TRUNK_CONTACTS):
        await office.pbx.register(office.pbx.contact, user=f"line{line}", expires=600)
    response = await office.pbx.register(office.pbx.contact, user="one-more")
    assert (response.status, response.headers.get("retry-after")) == (503, "600")
    assert (await office.pbx.register(office.pbx.contact, user="line7")).status == 200
    await asyncio.sleep(600)
    assert (await office.pbx.register(office.pbx.contact, user="one-more")).status == 200


@office_test
async def test_a_device_that_comes_back_from_elsewhere_replaces_itself(office: Office) -> None:
    """RFC 5626 6: otherwise calls would ring where nobody is any more."""
    device = ';+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>";reg-id=1'
    await office.pbx.register(office.pbx.contact + device)
    await office.second.register(office.second.contact + device)
    [location] = office.locations()
    assert location.uri.port == office.second.port


# where it is


@office_test
async def test_behind_nat_it_is_called_where_it_came_from(office: Office) -> None:
    """RFC 3581: the Request-URI keeps the Contact, the packet goes to the mapping."""
    await office.pbx.register("<sip:pbx@10.1.2.3:5060;rinstance=abc>")
    [location] = office.locations()
    assert location.text == "sip:pbx@10.1.2.3:5060;rinstance=abc"
    assert location.endpoint == Endpoint("udp", "127.0.0.1", office.pbx.port)


@office_test
async def test_a_nat_is_kept_open(office: Office) -> None:
    """Every sip.registrar.keepalive_s, while the binding lives; nobody else is bothered."""
    await office.pbx.register("<sip:pbx@10.1.2.3:5060>", expires=110)
    await office.second.register(office.second.contact)
    await office.pbx.silence(140)
    assert office.pbx.pings == 4
    await office.second.silence(1)
    assert (office.pbx.pings, office.second.pings) == (4, 0)


@office_test
async def test_without_nat_it_is_called_at_the_port_that_it_names(office: Office) -> None:
    await office.pbx.register(f"<sip:pbx@127.0.0.1:{office.second.port}>")
    [location] = office.locations()
    assert location.endpoint == Endpoint("udp", "127.0.0.1", office.second.port)


@office_test
async def test_the_path_is_kept_and_told(office: Office) -> None:
    """RFC 3327 5.3: requests go by the proxies that the REGISTER came by."""
    path = f"<sip:edge@127.0.0.1:{office.second.port};lr>", "<sip:core.example.com;lr>"
    headers = (("Supported", "path, outbound"), ("Path", ", ".join(path)))
    response = await office.pbx.register("<sip:pbx@10.1.2.3>", headers=headers)
    assert response.headers.values("path") == list(path)
    [location] = office.locations()
    assert location.path == path
    assert location.endpoint == Endpoint("udp", "127.0.0.1", office.second.port)


@office_test
async def test_nobody_can_make_us_call_another_host(office: Office) -> None:
    """Neither by Contact nor by Path: a stolen password shall not make a scanner of us."""
    for contact, headers in (
        ("<sip:x@victim.example.com:22;transport=tcp>", ()),
        ("<sip:x@192.0.2.66:22>", ()),
        ("<sip:x@127.0.0.1>", (("Path", "<sip:192.0.2.66:22;lr>"),)),
    ):
        await office.pbx.register(contact, headers=headers)
        assert {location.endpoint.host for location in office.locations()} == {"127.0.0.1"}


# restarts


@virtual_time
async def test_bindings_survive_a_restart() -> None:
    store: MemoryStore[BindingRecord] = MemoryStore()
    path = ("<sip:edge.example.com;lr>", "<sip:core.example.com;lr>")
    async with make_office(binding_store=store) as office:
        headers = (("Path", ", ".join(path)),)
        await office.pbx.register(office.pbx.contact + ";q=0.5;x", expires=600, headers=headers)
        await office.second.register(office.second.contact, expires=60)
        before, port, cseq = office.locations(), office.pbx.port, office.pbx.cseq
        call_id = office.pbx.call_id
    assert len(await store.load()) == 2
    async with make_office(binding_store=store) as office:
        await office.ladder.switch.registrar.restore()
        assert office.locations() == before
        now = office.now
        assert office.bindings.trunk_of(Endpoint("udp", "127.0.0.1", port), now) == "pbx"
        office.pbx.call_id, office.pbx.cseq = call_id, cseq - 2
        assert (await office.pbx.register("*", expires=0)).status == 400  # order holds, too
        await asyncio.sleep(61)
        assert len(office.locations()) == 1
    assert len(await store.load()) == 1
    async with make_office(OTHER, binding_store=store) as office:
        await office.ladder.switch.registrar.restore()
        assert office.locations() == []
    assert await store.load() == []  # its trunk is no more


# calls


@office_test
async def test_a_registered_pbx_calls_without_another_digest(office: Office) -> None:
    """The live registration is its proof, from that very address and port."""
    agent = office.ladder.peer("agent")
    office.ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    await office.pbx.register(office.pbx.contact, expires=300)
    await office.pbx.send("INVITE", sdp=PCMU)
    await office.pbx.expect(100)
    await agent.answer_call()
    await office.pbx.expect(180)
    await office.pbx.expect(200)
    await office.pbx.send("ACK")
    await office.pbx.hang_up()
    await agent.is_hung_up()
    assert office.ladder.app.frames[0]["data"]["originating_sip_trunk_name"] == "pbx"
    await office.second.send("INVITE", sdp=PCMU)
    await office.second.silence(5)


@office_test
async def test_two_trunks_from_one_address_must_prove_themselves(office: Office) -> None:
    """Their registrations cannot tell their calls apart."""
    await office.pbx.register(office.pbx.contact)
    source = Endpoint("udp", "127.0.0.1", office.pbx.port)
    assert office.bindings.trunk_of(source, office.now) == "pbx"
    await office.pbx.register(
        f"<sip:other@127.0.0.1:{office.pbx.port}>",
        user="other",
        login="other",
        password="another-secret",
    )
    assert office.bindings.trunk_of(source, office.now) is None


@office_test
async def test_it_is_called_by_its_contact(office: Office) -> None:
    """3CX: the Request-URI is exactly what it registered, rinstance and all."""
    carrier = office.ladder.peer("carrier")
    office.ladder.app.verbs = lambda _: [dial("pbx", number="200"), {"verb": "hangup"}]
    await office.pbx.register(office.pbx.contact)
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    invite = await office.pbx.answer_call()
    assert invite.uri == office.pbx.contact.strip("<>")
    await carrier.expect(180)
    await carrier.expect(200)
    await carrier.send("ACK")
    await carrier.hang_up()
    await office.pbx.is_hung_up()


@office_test
async def test_a_pbx_may_register_all_its_numbers_at_once(office: Office) -> None:
    """RFC 6140: `bnc` in the Contact; calls then name the number in the Request-URI."""
    carrier = office.ladder.peer("carrier")
    refused = {"verb": "sip:decline", "status": 486}
    office.ladder.app.verbs = lambda _: [dial("pbx", number="+12125550110"), refused]
    required = (("Require", "gin"), ("Supported", "path"))
    response = await office.pbx.register(f"<sip:127.0.0.1:{office.pbx.port};bnc>", headers=required)
    assert response.status == 200
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    invite = await office.pbx.expect("INVITE")
    assert invite.uri == f"sip:+12125550110@127.0.0.1:{office.pbx.port}"
    await office.pbx.send(486)
    await office.pbx.expect("ACK")
    await carrier.expect(486)
    await carrier.send("ACK")


@office_test
async def test_what_we_do_not_know_must_not_be_required(office: Office) -> None:
    """RFC 3261 10.3 step 2."""
    response = await office.pbx.register(office.pbx.contact, headers=(("Require", "outbound"),))
    assert response.status == 420
    assert response.headers.get("unsupported") == "outbound"
