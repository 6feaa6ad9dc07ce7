"""From an agent's custom function to the softswitch and back, nothing between them played."""

import asyncio

from tests.gateway.calls.test_transfers import MOBILE, TRANSFERRING, targets
from tests.gateway.conftest import DIAL_DID, Start
from tests.gateway.http.test_retell_functions import HERE, Told, ask, body_of


async def test_the_agent_hears_busy_and_then_the_caller_is_handed_over(start: Start) -> None:
    gateway = await start(**TRANSFERRING)
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_DID)
        await jambonz.command()
        await jambonz.answered()
        await gateway.until(lambda call: call["answered_at"] is not None)

        told = await ask(gateway, body_of("Marketing"))
        assert told.outcome == "unknown-name"
        assert "you may transfer to: " in told.message
        assert "Duty" in told.message

        asking = asyncio.create_task(ask(gateway, body_of("Duty")))
        frame = await jambonz.other_command("transfer")
        assert targets(frame["data"]) == [f"second:{MOBILE}"]
        await jambonz.target_refused(486, status="busy")
        assert await asking == Told(200, "busy", f"Duty is busy. {HERE}")

        asking = asyncio.create_task(ask(gateway, body_of("Duty", name="once_more")))
        await jambonz.other_command("transfer")
        await jambonz.target_answered()
        await jambonz.agent_gone()
        assert await asking == Told(200, "transferred", "The caller is now connected to Duty.")
        await jambonz.caller_hangs_up()
    _, busy, done = (await gateway.record()).transfers
    assert (busy["by"], busy["code"]) == ("function transfer_call", 486)
    assert (done["by"], done["code"]) == ("function once_more", 200)
