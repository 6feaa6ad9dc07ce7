"""Registrations with programs of others: SIPp as the registrar, baresip as a phone of ours."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.interop.harness.baresip import Baresip
from tests.interop.harness.gateway import (
    CARRIER_LOGIN,
    LOGIN,
    TO_A_THEN_B,
    Gateway,
    Json,
)
from tests.interop.harness.network import Network
from tests.interop.harness.scene import Scene, ending, good
from tests.interop.harness.sipp import Sipp, Transport
from tests.interop.pbx.voices import hears, voice

DESK = ("desk-phone", "interop-phone-password")
TALK_S = 6.0


async def registration(gateway: Gateway) -> Json:
    """What the API shows of our registration with carrier B."""
    trunk = await gateway.trunk("carrier-b")
    found = trunk["registration"]
    assert isinstance(found, dict)
    return found


async def bound(gateway: Gateway, within_s: float = 70.0) -> Json:
    """The one contact of the desk phone, once it has registered."""
    async with asyncio.timeout(within_s):
        while True:
            found = (await gateway.trunk("desk"))["bindings"]
            if found:
                [contact] = found
                assert isinstance(contact, dict)
                return contact
            await asyncio.sleep(0.05)


def registers(settings: Json) -> None:
    settings["trunks"][1]["register"] = True
    settings["trunks"][1]["registration"] = {"expires_s": 60, "contact_params": {"line": "b7"}}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_registrar_that_grants_little(
    transport: Transport, network: Network, tmp_path: Path
) -> None:
    """Digest, 423, refresh within seconds, and Expires 0 when the gateway ends."""
    registrar = Sipp(
        scenario="registrars/grants-little",
        party=network.carrier_b,
        transport=transport,
        directory=tmp_path / "registrar",
    )
    (tmp_path / "gateway").mkdir()
    async with registrar:
        async with Gateway(network, transport, tmp_path / "gateway", registers) as gateway:
            shown = await registration(gateway)
            async with asyncio.timeout(40):
                while (shown["expires_in_s"] or 0) < 90:
                    await asyncio.sleep(0.1)
                    shown = await registration(gateway)
            assert (shown["state"], shown["last_status"]) == ("registered", 200)
            assert gateway.problems() == []
        outcome = await registrar.finish()
    # that SIPp got so far says that digest, Min-Expires and Expires 0 were right; over TCP the
    # gateway takes the connection with it, which SIPp may call a failure of its last call
    log = outcome.log
    answers = [message.status for message in log.messages if message.sent]
    assert answers == [401, 423, 200, 200, 200], str(outcome)
    assert log.repeated() == {}, str(outcome)
    requests = log.received("REGISTER")
    assert [request.header("expires") for request in requests] == ["60", "60", "120", "120", "0"]
    numbers = [int(request.header("cseq").split()[0]) for request in requests]
    assert numbers == list(range(numbers[0], numbers[0] + 5))
    assert len({request.call_id for request in requests}) == 1
    contacts = {request.header("contact").partition(">")[0] for request in requests}
    assert len(contacts) == 1
    assert ";line=b7" in contacts.pop()
    first, third = requests[0], requests[2]
    assert first.header("authorization") == ""
    assert "nc=00000002" in third.header("authorization")
    assert first.uri == f"sip:{network.carrier_b};transport={transport}"


async def test_a_registrar_that_forbids(network: Network, tmp_path: Path) -> None:
    """The operator is told whose fault it is, and the registrar is left alone."""
    registrar = Sipp(
        scenario="registrars/forbids",
        party=network.carrier_b,
        transport="udp",
        directory=tmp_path / "registrar",
        d_ms=4000,
    )
    (tmp_path / "gateway").mkdir()
    async with registrar, Gateway(network, "udp", tmp_path / "gateway", registers) as gateway:
        log = good(await registrar.finish())
        shown = await registration(gateway)
        assert (shown["state"], shown["last_status"]) == ("rejected", 403)
        assert "the user name or password of trunk carrier-b is wrong" in shown["last_error"]
        told = [line for line in gateway.log().splitlines() if "registration.failed" in line]
    assert len(told) == 1
    assert CARRIER_LOGIN[1] not in gateway.log()
    assert len(log.received("REGISTER")) == 2


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_phone_registers_and_is_called(
    transport: Transport, network: Network, tmp_path: Path
) -> None:
    """baresip finds its calls by the Contact that it registered; both sides are heard. A restart
    of the gateway does not lose it."""
    desk, agent = network.phone("desk", 0), network.phone("agent", 1)

    def office(settings: Json) -> None:
        settings["retell"]["sip_uri"] = f"sip:{agent};transport={transport}"
        settings["retell"]["identify"] = [f"{agent.host}"]
        settings["trunks"][0] = {
            "name": "desk",
            "kind": "pbx",
            "registrar": True,
            "login": {"username": DESK[0], "password": DESK[1]},
        }
        settings["outbound"]["routes"] = [{"prefix": "+1212", "trunks": ["desk"]}]

    near = voice(tmp_path, "desk", "The quick brown fox jumps over the lazy dog.")
    far = voice(tmp_path, "agent", "Seven thousand apples were sold on Monday.", "en-us+f3")
    (tmp_path / "gateway").mkdir()
    phone = Baresip(
        desk,
        near.again,
        tmp_path / "desk-phone",
        user=DESK[0],
        password=DESK[1],
        registrar=f"{network.gateway};transport={transport}",
    )
    async with AsyncExitStack() as gateways, AsyncExitStack() as phones:  # phones end first
        async with Gateway(network, transport, tmp_path / "gateway", office) as gateway:
            us = await phones.enter_async_context(phone)
            contact = await bound(gateway)
            assert contact["aor"] == f"{DESK[0]}@{network.gateway.host}"
            assert contact["source"].startswith(f"{transport}:{desk.host}")
            assert contact["user_agent"].startswith("baresip")
            assert 50 <= contact["expires_in_s"] <= 60
        # over TCP its connection ended with the gateway, and is made anew
        again = Gateway(network, transport, tmp_path / "gateway", office)
        gateway = await gateways.enter_async_context(again)
        if transport == "udp":
            assert (await bound(gateway, within_s=0.1))["contact"] == contact["contact"]
        contact = await bound(gateway)
        them = await phones.enter_async_context(
            Baresip(agent, far.again, tmp_path / "agent", user=LOGIN[0], password=LOGIN[1])
        )
        scene = Scene(gateway, tmp_path)
        await scene.open()
        await them.dial(f"sip:{TO_A_THEN_B}@{network.gateway};transport={transport}")
        await them.event("CALL_ESTABLISHED")
        await asyncio.sleep(TALK_S)
        await them.hangup()
        await us.event("CALL_CLOSED")
        record = await scene.record()
        messages = await gateway.ladder(record["call_id"])
    invites = [m["summary"] for m in messages if m["summary"].startswith("INVITE")]
    assert invites[-1] == f"INVITE {contact['contact']}"
    assert ending(record) == ("caller", "hangup", 200)
    hears(us.heard(), far.once, near.once)
    hears(them.heard(), near.once, far.once)


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[1].glob("sipp/registrars/*.xml")))
def test_a_scenario_says_how_to_run_it(path: Path) -> None:
    head = path.read_text().partition("<scenario")[0]
    assert f"sipp -sf {path.name} " in head
