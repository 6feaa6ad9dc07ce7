"""Registrations whose trunks change while the gateway runs."""

import asyncio

from sip.core.digest_client import Credentials
from sip.core.uri import Uri
from sip.transport.endpoint import Endpoint
from tests.softswitch.registration.registering import Stage, registration, stage_test


@stage_test
async def test_what_stays_as_it_is_is_left_alone(stage: Stage) -> None:
    stage.start()
    await stage.registrar.asked()
    await stage.registrar.grant()
    stage.registrations.configure([stage.trunk(max_calls=5)])
    await stage.registrar.silence(60)
    assert stage.state.state == "registered"


@stage_test
async def test_another_password_takes_the_binding_over_without_a_gap(stage: Stage) -> None:
    """The same Call-ID and Contact, proven anew; nothing is taken back."""
    stage.start(stage.trunk(credentials=Credentials("1234567t0", "the old one")))
    first = await stage.registrar.asked()
    await stage.registrar.grant()
    await asyncio.sleep(1)
    stage.registrations.configure([stage.trunk()])
    assert stage.registrations.trunk_of(None, Endpoint("udp", "127.0.0.1", stage.registrar.port))
    again = await stage.registrar.asked()
    assert (again.call_id, str(again.contact)) == (first.call_id, str(first.contact))
    await stage.registrar.challenge()
    assert stage.registrar.proven(await stage.registrar.asked())
    await stage.registrar.grant()
    await stage.registrar.silence(60)
    assert stage.state.state == "registered"


@stage_test
async def test_one_that_is_gone_is_taken_back_and_a_new_one_is_made(stage: Stage) -> None:
    stage.start()
    await stage.registrar.asked()
    await stage.registrar.grant()
    there = f"sip:127.0.0.1:{stage.second.port}"
    stage.registrations.configure([stage.trunk("other", gateways=(Uri.parse(there),))])
    added = await stage.second.asked()
    assert added.headers.get("expires") == "3600"
    await stage.second.grant()
    removed = await stage.registrar.asked()
    assert removed.headers.get("expires") == "0"
    await stage.registrar.answer(200)
    assert [state.trunk for state in stage.registrations.states()] == ["other"]


@stage_test
async def test_another_address_of_record_is_another_registration(stage: Stage) -> None:
    stage.start()
    await stage.registrar.asked()
    await stage.registrar.grant()
    moved = stage.trunk(registration=registration(aor="sip:other@registrar.test"))
    stage.registrations.configure([moved])
    asked = {}
    for _ in range(2):
        request = await stage.registrar.asked()
        asked[request.to.uri.user] = request.headers.get("expires")
        await stage.registrar.grant()
    assert asked == {"1234567t0": "0", "other": "3600"}
