"""Control characters of a caller, on their way to everything that stands behind the door."""

from collections.abc import Iterator

import pytest

from sip.core.message import Request, Response
from sip.core.visible import HARMFUL
from tests.b2bua.test_call_stories import bridged
from tests.ladder import CALLER, DID, PCMU, Ladder, ladder_test

HARM = "\0\x1b[2J\x7f\x9b31m\u202e"
ESCAPED = "%00%1B%7F"


async def send(ladder: Ladder, *, uri: str | None = None, call_id: str = "") -> None:
    carrier = ladder.peer("carrier")
    invite = carrier._request("INVITE", DID, (("X-Desk", "front"),), PCMU, again=False)
    assert isinstance(invite, Request)
    lines = invite.to_bytes().decode()
    lines = lines.replace("<sip:+1212", f'"Ja\\{HARM}ne" <sip:+1212')
    lines = lines.replace("front", f"front {HARM}")
    lines = lines.replace(f"sip:{DID}", uri or f"sip:{DID}").replace("@test", f"@test{call_id}")
    await carrier.transmit(lines.encode())


@ladder_test
async def test_none_reaches_the_application_the_ladder_or_the_other_leg(ladder: Ladder) -> None:
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await send(ladder)
    await carrier.expect(100)
    invite = await agent.expect("INVITE")
    assert invite.from_.uri.user == CALLER
    await agent.transmit(refusal(invite))
    await agent.expect("ACK")
    refused = await carrier.expect(603)
    await carrier.send("ACK")
    told = list(texts(ladder.app.frames))
    assert {"Ja", "front", "Busy"} <= {text.partition("\ufffd")[0].strip() for text in told}
    trace = ladder.switch.ua._trace
    assert trace is not None
    rungs = [rung.summary for rung in trace.ladder([invite.call_id, refused.call_id])]
    assert any(rung.startswith("486 Busy") for rung in rungs)
    for text in (
        *(text for text in told if not text.startswith("v=0")),
        *rungs,
        str(list(invite.headers)),
        str(list(refused.headers)),
    ):
        assert not HARMFUL.search(text)


def texts(value: object) -> Iterator[str]:
    """Every text in a frame, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from texts([*value, *value.values()])
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def refusal(invite: Request) -> bytes:
    response = Response(486, "Busy", invite.headers.copy())
    for name in ("content-type", "contact", "supported", "allow", "session-expires"):
        response.headers.remove(name)
    return response.to_bytes().replace(b"Busy", f"Busy {HARM}".encode())


@ladder_test
async def test_an_escaped_number_is_shown_as_it_was_escaped(ladder: Ladder) -> None:
    """And so is nobody's: not the number that it would be without."""
    ladder.app.verbs = lambda _: [{"verb": "sip:decline", "status": 404}]
    carrier = ladder.peer("carrier")
    await send(ladder, uri=f"sip:{DID}{ESCAPED}")
    await carrier.expect(100)
    await carrier.expect(404)
    await carrier.send("ACK")
    [new] = ladder.app.told("session:new")
    assert new["data"]["to"] == f"{DID}{ESCAPED}"


@pytest.mark.parametrize("where", ["uri", "call_id"])
def test_what_a_call_is_known_by_refuses_it(where: str) -> None:
    @ladder_test
    async def story(ladder: Ladder) -> None:
        given = {"uri": f"sip:{DID}\x1b", "call_id": "\x1b[2J"}[where]
        await send(ladder, **{where: given})
        refused = await ladder.peer("carrier").expect(400)
        assert not HARMFUL.search(str(list(refused.headers)))
        assert not ladder.app.told("session:new")

    story()
