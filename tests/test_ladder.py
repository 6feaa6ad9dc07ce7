"""The ladder harness itself: what it does for a story, and what it shows when one fails."""

import re

import pytest

from sip.b2bua.hub import Hub
from tests.garbage import freed
from tests.ladder import DID, PCMU, Ladder, ladder_test


@ladder_test
async def test_a_call_comes_up_and_ends(ladder: Ladder) -> None:
    invite = await ladder.call_up("carrier", "second")
    assert invite.uri == f"sip:{DID}@127.0.0.1:{ladder.peer('second').port}"
    await ladder.hung_up_by("second")
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.ending == ("callee", "completed", 200)


@ladder_test
async def test_what_the_application_was_told_to_do_stays(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [{"verb": "sip:decline", "status": 486}]
    with pytest.raises(AssertionError, match="agent expected INVITE"):
        await ladder.call_up()
    await ladder.peer("carrier").expect(486)
    await ladder.peer("carrier").send("ACK")


@ladder_test
async def test_a_failed_expectation_shows_the_ladder_so_far(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [{"verb": "sip:decline", "status": 486}]
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    with pytest.raises(AssertionError) as failed:
        await carrier.expect(200)
    first, *rungs = str(failed.value).splitlines()
    assert first.startswith("carrier expected 200, got <Response 486")
    assert first.endswith("; the ladder so far:")
    assert [rung.split(" s ")[1].split() for rung in rungs] == [
        ["carrier", "->", "INVITE"],
        ["carrier", "<-", "100", "of", "INVITE"],
        ["carrier", "<-", "486", "of", "INVITE"],
    ]
    await carrier.send("ACK")


@ladder_test
async def test_so_does_one_that_waited_in_vain(ladder: Ladder) -> None:
    with pytest.raises(AssertionError, match=r"agent expected BYE, and nothing came in 3 s; .*\n"):
        await ladder.peer("agent").expect("BYE", within_s=3)


@ladder_test
async def test_a_call_that_waits_for_the_collector_fails_its_story(ladder: Ladder) -> None:
    told = re.escape("left for the garbage collector: {'Call': 1}")
    with pytest.raises(AssertionError, match=told), freed(Hub):  # noqa: PT012
        await ladder.call_up()
        [driver] = ladder.switch._calls.values()
        driver.call.myself = driver.call  # type: ignore[attr-defined]
        del driver
        await ladder.hung_up_by("carrier")
        await ladder.settled()
