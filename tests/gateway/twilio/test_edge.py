"""Twilio's calls on our own SIP side: a whole gateway, the sandbox's agent, and Twilio's double,
which dials in as its <Dial><Sip> says, or connects the stream that it is told of."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
from twilio.request_validator import RequestValidator

from config.settings import Settings
from gateway.main import running
from gateway.twilio.stream_door import StreamDoor
from testkit.phone.options import CallOptions, parse_via
from testkit.phone.place import place_call
from testkit.phone.report import CallReport
from testkit.sandbox.main import Sandbox
from testkit.sandbox.main import running as sandbox_running
from testkit.sandbox.settings import SandboxSettings
from testkit.sandbox.store import Call
from tests.gateway.conftest import Json
from tests.gateway.twilio.exchange import Exchange, Line, serve_exchange
from tests.gateway.twilio.test_streams import SPOKEN
from tests.gateway.twilio.twilio_double import SILENCE, TwilioStream
from tests.gateway.twilio.vendor import CALLER, MAIN, PERSON, PUBLIC, TOKEN, Twilio, Verb
from tests.ports import free_port, free_ports

pytestmark = pytest.mark.slow

DID = "+14155550101"
LOGIN = {"username": "twilio", "password": "its-password-here"}


@dataclass(frozen=True, slots=True)
class Here:
    """Where the gateway is; it has the face of `tests.gateway.conftest.Gateway` for the double."""

    sandbox: Sandbox
    exchange: Exchange
    http: aiohttp.ClientSession
    url: str

    def newest(self) -> Call:
        """The call, as Retell has it."""
        return list(self.sandbox.calls.store.calls())[-1]

    async def api(self, method: str, path: str, **more: Any) -> Json:
        headers = {"Authorization": "Bearer token"}
        url = f"{self.url}/api/v1{path}"
        async with self.http.request(method, url, headers=headers, **more) as answered:
            found = await answered.json()
            assert answered.status < 300, found
            assert isinstance(found, dict)
            return found

    async def record(self) -> Json:
        """The one call's, once it is closed."""
        async with asyncio.timeout(5):
            while True:
                items = (await self.api("GET", "/calls"))["items"]
                if items and all(one["state"] != "live" for one in items):
                    [record] = items
                    assert isinstance(record, dict)
                    return record

    async def queued(self, queued_id: str) -> Json:
        """A queued call, once it is over."""
        async with asyncio.timeout(10):
            while True:
                found = await self.api("GET", f"/queue/{queued_id}")
                if found["state"] not in ("waiting", "calling"):
                    return found


@pytest.fixture
async def here(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Here]:
    """With `twilio.answer` as the test's parameter says."""
    http, sip, rest, agent, relay = (*(free_port() for _ in range(4)), free_ports(40))
    exchange = Exchange()
    exchange.speaks.set()
    async with AsyncExitStack() as stack:
        runner = await serve_exchange(exchange)
        stack.push_async_callback(runner.cleanup)
        sandbox = await stack.enter_async_context(
            sandbox_running(
                SandboxSettings.model_validate(
                    {
                        "http_port": rest,
                        "sip_listen": [f"udp:127.0.0.1:{agent}", f"tcp:127.0.0.1:{agent}"],
                    }
                )
            )
        )
        twilio: Json = {
            "account_sid": MAIN,
            "auth_token": TOKEN,
            "api_url": exchange.url,
            "answer": request.param,
        }
        if request.param == "edge":
            twilio["edge"] = {"uri": f"sip:127.0.0.1:{sip}", **LOGIN}
        settings = Settings.model_validate(
            {
                "http": {
                    "listen": f"127.0.0.1:{http}",
                    "admin_token": "token",
                    "public_url": PUBLIC,
                },
                "twilio": twilio,
                "sip": {"listen": [f"udp:127.0.0.1:{sip}", f"tcp:127.0.0.1:{sip}"]},
                "media": {"ports": f"{relay}-{relay + 39}", "processes": 1},
                "storage": {"url": f"sqlite:///{tmp_path}/calls.db"},
                "retell": {
                    "api_key": "sandbox-key",
                    "base_url": sandbox.base_url,
                    "sip_uri": f"sip:127.0.0.1:{agent};transport=tcp",
                },
                "trunks": [{"name": "twilio-voice", "identify": ["127.0.0.1"], "login": LOGIN}],
                "numbers": {DID: {"agent": "agent_sandbox", "method": "dial"}},
            }
        )
        await stack.enter_async_context(running(settings, streams=StreamDoor()))
        client = await stack.enter_async_context(aiohttp.ClientSession())
        found = Here(sandbox, exchange, client, f"http://127.0.0.1:{http}")
        exchange.twilio = Twilio(found)  # type: ignore[arg-type]  # it has what is called
        yield found
        await exchange.settled()


async def dial(verb: Verb, caller: str) -> CallReport:
    """What Twilio does with <Dial><Sip>, and the person at its other end, who hangs up at last."""
    assert (verb.name, verb.noun) == ("Dial", "Sip")
    uri, _, headers = verb.text.partition("?")
    host, port = parse_via(uri)
    options = CallOptions(
        number=uri.removeprefix("sip:").partition("@")[0],
        host=host,
        port=port,
        from_user=verb.said.get("callerId", caller),
        user=verb.noun_said["username"],
        password=verb.noun_said["password"],
        headers=tuple(parse_qsl(headers)),
    )
    return await asyncio.to_thread(place_call, options)


@pytest.mark.parametrize("here", ["edge"], indirect=True)
async def test_a_caller_talks_to_the_agent_by_our_own_sip_side(here: Here) -> None:
    assert here.exchange.twilio is not None
    [verb] = await here.exchange.twilio.voice(DID)
    report = await dial(verb, CALLER)
    assert report.proved, report.to_json()
    after = await here.exchange.twilio.action(
        verb.said["action"], DialCallStatus="completed", CallStatus="completed"
    )
    assert [one.name for one in after] == ["Hangup"]
    record = await here.record()
    assert (record["trunk"], record["direction"]) == ("twilio-voice", "inbound")
    assert (record["from"], record["to"]) == (CALLER, DID)
    assert record["headers"]["x-twilio-voice-call"].startswith("CA")
    assert (record["ended_by"], record["cause"]) == ("caller", "hangup")


@pytest.mark.parametrize("here", ["edge"], indirect=True)
async def test_who_proves_no_login_does_not_get_in(here: Here) -> None:
    assert here.exchange.twilio is not None
    [verb] = await here.exchange.twilio.voice(DID)
    forged = {**verb.noun_said, "password": "another"}
    report = await dial(Verb(verb.name, verb.said, verb.noun, forged, verb.text), CALLER)
    assert report.answered_ms is None
    assert list(here.sandbox.calls.store.calls()) == []


async def wanted(here: Here, **more: Any) -> tuple[str, Line]:
    """A person is called by Twilio, and answers."""
    wish: Json = {"to": PERSON, "from": DID, "mode": "twilio", "agent": "agent_sandbox"}
    wish |= {"variables": {"name": "Ann"}, "headers": {"X-Order": "7"}, **more}
    queued = await here.api("POST", "/calls", json=wish)
    line = await here.exchange.line()
    await line.begins()
    await line.rings()
    await line.answers()
    return queued["queued_id"], line


async def connected(here: Here, line: Line) -> TwilioStream:
    """The stream that the document tells of."""
    url = line.verbs[0].noun_said["url"]
    stream = TwilioStream(call_id=line.call_sid)
    signature = RequestValidator(TOKEN).compute_signature(url, {})
    headers = {"X-Twilio-Signature": signature}
    await stream.connect(here.http, here.url + urlsplit(url).path, headers)
    return stream


@pytest.mark.parametrize("here", ["edge"], indirect=True)
async def test_a_person_whom_twilio_calls_talks_by_our_own_sip_side(here: Here) -> None:
    """The call is known by its header: it gets the agent and the variables that were wanted."""
    queued_id, line = await wanted(here)
    report = await dial(line.verbs[0], DID)
    assert report.proved, report.to_json()
    await line.connected()
    queued = await here.queued(queued_id)
    [tried] = queued["history"]
    assert (queued["result"], tried["cause"]) == ("answered", "hangup")
    assert tried["agent_answered_at"] is not None
    record = await here.record()
    assert record["call_id"] == tried["call_id"]
    assert (record["direction"], record["trunk"]) == ("outbound", "twilio-voice")
    assert (record["from"], record["to"]) == (DID, PERSON)
    at_retell = here.newest()
    assert at_retell.direction == "outbound"
    assert at_retell.variables["name"] == "Ann"
    assert tried["retell_call_id"] == record["retell_call_id"] == at_retell.call_id


@pytest.mark.parametrize("here", ["stream"], indirect=True)
async def test_a_person_whom_twilio_calls_talks_by_a_stream(here: Here) -> None:
    queued_id, line = await wanted(here)
    assert [one.name for one in line.verbs] == ["Connect", "Hangup"]
    stream = await connected(here, line)
    await stream.speak(SPOKEN + 175 * SILENCE)
    call = here.newest()
    assert call.heard is not None
    heard = await call.heard.to_json()
    await stream.hang_up()
    await line.connected()
    assert heard["melodies"]["caller"]["score"] > 0.95
    queued = await here.queued(queued_id)
    assert (queued["result"], queued["history"][0]["cause"]) == ("answered", "hangup")
    record = await here.record()
    assert (record["direction"], record["trunk"]) == ("outbound", "twilio")
    assert (record["from"], record["to"]) == (DID, PERSON)
    assert here.newest().variables["name"] == "Ann"


@pytest.mark.parametrize("here", ["stream"], indirect=True)
async def test_a_machine_on_a_stream_is_hung_up_on(here: Here) -> None:
    """Twilio is told to end the call, and lets go of the stream."""
    queued_id, line = await wanted(here, amd={"on_machine": "hangup"})
    stream = await connected(here, line)
    async with asyncio.timeout(5):
        await stream.plays.wait()
    await line.heard("machine_start")
    await here.exchange.was_told.wait()
    await here.exchange.settled()
    await stream.hang_up()
    queued = await here.queued(queued_id)
    assert queued["result"] == "machine"
    assert (await here.record())["direction"] == "outbound"
