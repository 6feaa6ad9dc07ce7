"""REGISTERs of somebody who has the password and means no good: each is answered, none harms."""

import random
from dataclasses import replace

from config.values import Source
from sip.core.message import Response
from sip.softswitch.registration.registrar import MAX_CONTACTS
from tests.softswitch.phone import Phone
from tests.softswitch.registration.test_registrar import PBX, Office, make_office
from tests.virtual import virtual_time

ODD = [
    "*",
    "<>",
    "sip:",
    "<sip:@h>",
    "<sip:a@[::1]:70000>",
    "<sip:a@[::1];transport=ws>",
    "<sips:a@10.0.0.1;transport=udp>",
    "<sip:a@127.0.0.1;maddr=192.0.2.1;transport=tls>;q=-1",
    "<sip:a@127.0.0.1>;q=NaN;expires=-1",
    "<sip:a@127.0.0.1>;expires=99999999999999999999",
    '<sip:a@127.0.0.1>;+sip.instance="<urn:uuid:0>";reg-id=x',
    '"a \\" <sip:b@h>" <sip:a%00@127.0.0.1;x=%3e>',
    "<tel:+14155550100>",
    "<mailto:a@example.com>",
    "<sip:a@127.0.0.1>, <sip:a@127.0.0.1>;expires=0",
    "<sip:A@127.0.0.1:5060>;expires=0",
    "<sip:a@" + "h" * 300 + ">",
    ", ,",
    "<sip:ü@127.0.0.1>",
]
PATHS = ["<sip:127.0.0.1;lr>", "<sip:127.0.0.1:99999>", "tel:1", ",", "<sip:[::1];lr>", "x"]
EXPIRES = ["0", "59", "-1", "1e3", "", "4294967296", "3600"]


def attack(phone: Phone, chance: random.Random) -> tuple[list[str], tuple[tuple[str, str], ...]]:
    contacts = chance.choices([*ODD, phone.contact], k=chance.randrange(4))
    more = [f"<sip:{chance.randrange(1000)}@127.0.0.1>" for _ in range(chance.randrange(3))]
    headers = [("Expires", chance.choice(EXPIRES))] if chance.random() < 0.6 else []
    if chance.random() < 0.3:
        headers.append(("Path", chance.choice(PATHS)))
    if chance.random() < 0.2:
        headers.append(("Require", chance.choice(["path", "gin", "x", ","])))
    return contacts + more, tuple(headers)


@virtual_time
async def test_odd_registers() -> None:
    known = replace(PBX, sources=(Source.parse("127.0.0.1"),))  # strangers get no 400
    async with make_office(known) as office:
        await harass(office)


async def harass(office: Office) -> None:
    chance, phone = random.Random(20260), office.pbx
    statuses: set[int] = set()
    for turn in range(600):
        contacts, headers = attack(phone, chance)
        phone.cseq = max(phone.cseq + chance.choice([0, 0, 0, -4]), 0)
        phone.tag = f"hostile-{turn}"
        if chance.random() < 0.1:
            phone.call_id = f"hostile-{turn}"
        response = await phone.register(*contacts, headers=headers)
        assert isinstance(response, Response)
        statuses.add(response.status)
    assert statuses == {200, 400, 420, 423}
    live = list(office.bindings.live(office.now))
    assert 0 < len(live) <= MAX_CONTACTS
    for binding in live:
        assert binding.endpoint.host == "127.0.0.1"
        assert binding.uri.host
    for location in office.locations():
        assert location.uri.scheme in ("sip", "sips")
    phone.call_id = "honest"
    assert (await phone.register("*", headers=(("Expires", "0"),))).status == 200
    assert (await phone.register(phone.contact)).status == 200
    assert [location.text for location in office.locations()] == [phone.contact.strip("<>")]
