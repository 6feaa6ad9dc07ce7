"""A person's call at Twilio talks to the sandbox's agent: the whole gateway between them.

The relay is a process, the sandbox and the gateway run here, all in real time.
"""

import asyncio
import audioop
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from config.settings import Settings
from gateway.main import running
from gateway.twilio.stream_door import StreamDoor
from gateway.twilio.stream_tokens import StreamCall
from testkit import melody
from testkit.sandbox.faults import RestFault
from testkit.sandbox.main import Sandbox
from testkit.sandbox.main import running as sandbox_running
from testkit.sandbox.settings import SandboxSettings
from testkit.sandbox.store import Call
from tests.gateway.twilio.twilio_double import CALL, SILENCE, TwilioStream
from tests.gateway.twilio.vendor import CALLER, MAIN, PUBLIC, TOKEN, Verb, read
from tests.ports import free_port, free_ports

pytestmark = pytest.mark.slow

DIAL = "+14155550101"
SPOKEN = audioop.lin2ulaw(melody.synthesise(melody.CALLER), 2)


@dataclass(frozen=True, slots=True)
class World:
    door: StreamDoor
    sandbox: Sandbox
    http: aiohttp.ClientSession
    base: str

    async def asks(self, path: str, **fields: str) -> list[Verb]:
        """What Twilio is to do, by the answer to a webhook that it signs."""
        path = path.removeprefix(PUBLIC)
        fields = {"AccountSid": MAIN, "CallSid": CALL, **fields}
        signature = RequestValidator(TOKEN).compute_signature(PUBLIC + path, MultiDict(fields))
        headers = {"X-Twilio-Signature": signature}
        async with self.http.post(self.base + path, data=fields, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            return read(await answer.text())

    async def stream_url(self) -> str:
        """Where a call from `CALLER` is told to connect its stream."""
        path = f"/webhooks/twilio/voice/{DIAL}"
        verbs = await self.asks(path, From=CALLER, To=DIAL, Direction="inbound")
        assert [verb.name for verb in verbs] == ["Connect", "Hangup"]
        return verbs[0].noun_said["url"]

    async def connect(
        self, twilio: TwilioStream, url: str | None = None, *, token: str = TOKEN
    ) -> None:
        """The stream of a call is connected, by an upgrade that Twilio signs."""
        url = url or await self.stream_url()
        signature = RequestValidator(token).compute_signature(url, {})
        here = self.base + urlsplit(url).path
        await twilio.connect(self.http, here, {"X-Twilio-Signature": signature})

    async def next_verbs(self) -> list[Verb]:
        """What Twilio does when the stream is over."""
        return await self.asks(f"/webhooks/twilio/connected/{CALL}", CallStatus="in-progress")

    async def answered(self, twilio: TwilioStream) -> None:
        """Returns when the person hears something."""
        async with asyncio.timeout(5):
            await twilio.plays.wait()

    def newest(self) -> Call:
        """Its call, as Retell has it."""
        return list(self.sandbox.calls.store.calls())[-1]


@pytest.fixture
async def here(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """With a sandbox that is set as the test's parameter says."""
    door = StreamDoor()
    http, sip, rest, agent, relay = (*(free_port() for _ in range(4)), free_ports(40))
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(
            sandbox_running(
                SandboxSettings.model_validate(
                    {
                        "http_port": rest,
                        **getattr(request, "param", {}),
                        "sip_listen": [f"udp:127.0.0.1:{agent}", f"tcp:127.0.0.1:{agent}"],
                    }
                )
            )
        )
        settings = Settings.model_validate(
            {
                "http": {
                    "listen": f"127.0.0.1:{http}",
                    "admin_token": "token",
                    "public_url": PUBLIC,
                },
                "twilio": {"account_sid": MAIN, "auth_token": TOKEN, "answer": "stream"},
                "sip": {"listen": [f"udp:127.0.0.1:{sip}", f"tcp:127.0.0.1:{sip}"]},
                "media": {"ports": f"{relay}-{relay + 39}", "processes": 1},
                "storage": {"url": f"sqlite:///{tmp_path}/calls.db"},
                "retell": {
                    "api_key": "sandbox-key",
                    "base_url": sandbox.base_url,
                    "sip_uri": f"sip:127.0.0.1:{agent};transport=tcp",
                },
                "numbers": {
                    DIAL: {"agent": "agent_sandbox", "method": "dial"},
                },
            }
        )
        await stack.enter_async_context(running(settings, streams=door))
        client = await stack.enter_async_context(aiohttp.ClientSession())
        yield World(door, sandbox, client, f"http://127.0.0.1:{http}")


async def heard_by_agent(here: World) -> dict[str, Any]:
    """What the agent of the newest call heard."""
    call = here.newest()
    assert call.heard is not None
    return await call.heard.to_json()


async def record_of(here: World) -> dict[str, Any]:
    """The newest call's, once it is closed."""
    headers = {"Authorization": "Bearer token"}
    async with asyncio.timeout(5):
        while True:
            async with here.http.get(f"{here.base}/api/v1/calls", headers=headers) as answer:
                found = (await answer.json())["items"]
            if found and found[0]["state"] != "live":
                record: dict[str, Any] = found[0]
                return record
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("here", [{"answer_delay_s": 1.5}], indirect=True)
async def test_nothing_of_the_first_word_is_lost(here: World) -> None:
    """Retell takes 1.5 s to answer, and the caller speaks from the first moment."""
    twilio = TwilioStream()
    await here.connect(twilio)
    await twilio.speak(SPOKEN + 175 * SILENCE)
    await twilio.press("5")
    await twilio.press("#")
    await twilio.speak(25 * SILENCE)
    heard = await heard_by_agent(here)
    await twilio.hang_up()
    assert heard["melodies"]["caller"]["score"] > 0.95, "each of its six notes"
    assert heard["melodies"]["caller"]["at_ms"] < 60
    assert heard["dtmf"] == "5#"
    assert melody.find(melody.AGENT, audioop.ulaw2lin(twilio.heard, 2)).score > 0.95
    assert twilio.errors == []
    assert twilio.longest_lead_s < 0.2
    record = await record_of(here)
    assert (record["direction"], record["trunk"]) == ("inbound", "twilio")
    assert (record["from"], record["to"]) == (CALLER, DIAL)
    assert (record["ended_by"], record["cause"]) == ("caller", "hangup")
    assert here.door.open == 0


async def test_the_agent_hangs_up(here: World) -> None:
    """Our close ends the stream; Twilio runs the next verb."""
    twilio = TwilioStream()
    await here.connect(twilio)
    speaking = asyncio.create_task(twilio.speak(500 * SILENCE))
    await here.answered(twilio)
    here.sandbox.calls.stop(here.newest())
    async with asyncio.timeout(5):
        await twilio.closed.wait()
    speaking.cancel()
    assert twilio.close_code == 1000
    record = await record_of(here)
    assert (record["ended_by"], record["cause"]) == ("callee", "hangup")
    assert [verb.name for verb in await here.next_verbs()] == ["Hangup"]


async def test_a_call_that_is_not_taken_is_given_back(here: World) -> None:
    """Retell refuses: the stream is closed, and whoever told Twilio of it learns why not."""
    here.sandbox.faults.arm(RestFault(operation="register-phone-call", status=422, count=None))
    twilio = TwilioStream()
    await here.connect(twilio)
    async with asyncio.timeout(5):
        await twilio.closed.wait()
    assert twilio.close_code == 1000
    assert (await record_of(here))["answered_at"] is None
    assert [verb.name for verb in await here.next_verbs()] == ["Say", "Hangup"]


async def test_a_lost_socket_ends_the_call(here: World) -> None:
    twilio = TwilioStream()
    await here.connect(twilio)
    await twilio.speak(50 * SILENCE)
    await twilio.vanish()
    record = await record_of(here)
    assert (record["cause"], record["answered_at"] is None) == ("dialog-lost", False)
    assert here.door.open == 0


async def test_the_caller_breaks_in_on_the_agent(here: World) -> None:
    """What the agent said and nobody heard yet is taken back, once for each time."""
    twilio = TwilioStream()
    await here.connect(twilio)
    speaking = asyncio.create_task(twilio.speak(SILENCE * 500))
    await here.answered(twilio)
    speaking.cancel()
    await twilio.speak(SPOKEN + 50 * SILENCE)
    assert len(twilio.clears) == 1
    assert twilio.errors == []
    heard = await heard_by_agent(here)
    assert heard["melodies"]["caller"]["heard"], "the agent hears all of it"
    await twilio.hang_up()
    assert here.door.counts["interruptions"] == 1


async def test_another_document_ends_the_stream(here: World) -> None:
    """Twilio was told to go on elsewhere: it says `stop` first, and only then do we close."""
    twilio = TwilioStream()
    await here.connect(twilio)
    await twilio.speak(50 * SILENCE)
    await twilio.stop()
    async with asyncio.timeout(5):
        await twilio.closed.wait()
    assert twilio.close_code == 1000
    record = await record_of(here)
    assert (record["ended_by"], record["cause"]) == ("caller", "hangup")


async def test_a_token_opens_one_stream_and_only_its_calls(here: World) -> None:
    url = await here.stream_url()
    forged = TwilioStream()
    with pytest.raises(aiohttp.WSServerHandshakeError) as unsigned:
        await here.connect(forged, url, token="another")
    assert unsigned.value.status == 403
    twilio = TwilioStream()
    await here.connect(twilio, url)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await here.connect(TwilioStream(), url)
    assert refused.value.status == 404
    await twilio.hang_up()
    other = TwilioStream(call_id="CA" + "9" * 32)
    token = here.door.tokens.issue(StreamCall(call_id=CALL, from_number=CALLER, to_number=DIAL))
    await here.connect(other, f"wss{PUBLIC.removeprefix('https')}/twilio/media/{token}")
    async with asyncio.timeout(5):
        await other.closed.wait()
    assert other.close_code == 1013
