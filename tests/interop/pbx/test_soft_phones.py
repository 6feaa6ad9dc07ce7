"""Telephones of two other makers, registered with us over TLS: baresip and linphone.

baresip speaks SRTP and nothing else, linphone in the clear; to the trunk either is right.
linphone believes our certificate because of its root alone; baresip 1.0 believes any. Calls to a
phone go down the connection that it registered over: linphone listens nowhere for TLS.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.interop.harness.baresip import Baresip
from tests.interop.harness.certificates import Authority
from tests.interop.harness.gateway import PLAIN
from tests.interop.harness.linphone import Linphone
from tests.interop.harness.network import Party
from tests.interop.harness.scene import tried
from tests.interop.pbx.conftest import PHONE, PHONE_LOGIN, RETELLS_NUMBER, Office
from tests.interop.pbx.voices import GREETING, Voice, hears

pytestmark = pytest.mark.asyncio(loop_scope="session")

TALK_S = 5.3
USER, PASSWORD = PHONE_LOGIN["username"], PHONE_LOGIN["password"]


@pytest_asyncio.fixture(loop_scope="session", params=["baresip", "linphone"])
async def phone(
    request: pytest.FixtureRequest,
    office: Office,
    visitor: Voice,
    authority: Authority,
    tmp_path: Path,
) -> AsyncIterator[Baresip | Linphone]:
    network = office.network
    at = network.phone("soft-phone", 4)
    make: AbstractAsyncContextManager[Baresip | Linphone]
    if request.param == "baresip":
        make = Baresip(
            at,
            visitor.again,
            tmp_path / "phone",
            user=USER,
            password=PASSWORD,
            registrar=f"{network.secure_gateway};transport=tls",
            identity=authority.certificate("phone", at.host),
            ca=authority.ca,
            encrypted=True,
        )
    else:
        make = Linphone(
            at,
            visitor.again,
            tmp_path / "phone",
            user=USER,
            password=PASSWORD,
            registrar=Party("gateway", "localhost", network.secure_gateway.port),
            ca=authority.ca,
        )
    async with make as running:
        [binding] = await office.gateway.bindings("phone", 1)
        assert binding["source"].startswith("tls:")
        yield running
    await office.gateway.bindings("phone", 0)


async def test_the_phone_calls_the_agent(
    office: Office, phone: Baresip | Linphone, visitor: Voice, tmp_path: Path
) -> None:
    await phone.dial(f"sip:{PLAIN}@{office.network.secure_gateway};transport=tls")
    call_id = await office.sandbox.called(PLAIN)
    await asyncio.sleep(TALK_S)
    await phone.hangup()
    await office.sandbox.ended(call_id)
    at_the_agent = await office.sandbox.heard(call_id, tmp_path / "agent.wav")
    hears(at_the_agent, visitor.once, GREETING)
    hears(phone.heard(), GREETING, visitor.once)
    assert (await office.record(PLAIN))["trunk"] == "phone"


async def test_the_agent_calls_the_phone(
    office: Office, phone: Baresip | Linphone, visitor: Voice, tmp_path: Path
) -> None:
    call_id = await office.sandbox.create_phone_call(RETELLS_NUMBER, PHONE)
    await office.sandbox.ongoing(call_id)
    await asyncio.sleep(TALK_S)
    await office.sandbox.agent_hangs_up(call_id)
    await office.sandbox.ended(call_id)
    at_the_agent = await office.sandbox.heard(call_id, tmp_path / "agent.wav")
    hears(at_the_agent, visitor.once, GREETING)
    hears(phone.heard(), GREETING, visitor.once)
    assert tried(await office.record(PHONE)) == [("phone", 200)]
