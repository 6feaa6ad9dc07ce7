"""A double of Twilio that places calls: it takes them by the rules of its REST API, calls the
webhooks that it was told of, signed, and does what their documents say.

Rules: twilio.com/docs/voice/api/call-resource, twilio.com/docs/voice/answering-machine-detection
and twilio.com/docs/usage/webhooks; carriers' own limits are no part of it.
"""

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.in_parts import json_in_parts
from tests.gateway.twilio.vendor import MAIN, PUBLIC, SUB, SUB_TOKEN, TOKEN, Api, Twilio, Verb, read

Form = dict[str, str]

#: What `create` takes of the many parameters that it knows, with what each may be.
_PARAMETERS = {
    "To": r"\+\d{7,15}",
    "From": r"\+\d{7,15}",
    "Url": re.escape(PUBLIC) + r"/\S+",
    "StatusCallback": re.escape(PUBLIC) + r"/\S+",
    "StatusCallbackEvent": r"initiated|ringing|answered|completed",
    "Timeout": r"[1-9]\d?|[1-5]\d\d|600",
    "TimeLimit": r"[1-9]\d{0,3}|1[0-3]\d{3}|14[0-3]\d\d|14400",
    "MachineDetection": r"Enable|DetectMessageEnd",
    "AsyncAmd": r"true|false",
    "AsyncAmdStatusCallback": re.escape(PUBLIC) + r"/\S+",
}
_TOKENS = {MAIN: TOKEN, SUB: SUB_TOKEN}


@dataclass
class Line:
    """One call that was placed: whoever is at its other end acts by these methods."""

    exchange: "Exchange"
    account: str
    call_sid: str
    form: Form
    events: list[str]
    status: str = "queued"
    #: the verbs of the document in force
    verbs: list[Verb] = field(default_factory=list)
    sequence: int = 0
    talked_s: int = 0

    @property
    def call_id(self) -> str:
        """The gateway's, out of its URL."""
        return self.form["Url"].split("/")[-2]

    @property
    def over(self) -> bool:
        return self.status in ("completed", "busy", "failed", "no-answer", "canceled")

    # -- what happens ------------------------------------------------------------------------------

    async def begins(self) -> None:
        await self._tell("initiated", "initiated")

    async def rings(self) -> None:
        self.status = "ringing"
        await self._tell("ringing", "ringing")

    async def answers(self) -> list[Verb]:
        """Somebody takes the call: the document is fetched at once, as detection is no reason to
        wait (AsyncAmd)."""
        self.status = "in-progress"
        await self._tell("answered", "in-progress")
        return await self.asks()

    async def asks(self) -> list[Verb]:
        """The document is fetched, perhaps once more."""
        self.verbs = read(await self._post(self.form["Url"], 200))
        if [verb.name for verb in self.verbs] == ["Hangup"]:
            await self.ends()
        return self.verbs

    async def agent(self, status: str, **fields: str) -> None:
        """The leg that was dialled changes."""
        leg = {"CallSid": "CA" + "f" * 32, "ParentCallSid": self.call_sid, "CallStatus": status}
        await self._post(self.verbs[0].noun_said["statusCallback"], 204, **{**leg, **fields})

    async def agent_talks(self) -> None:
        for status in ("initiated", "ringing", "in-progress"):
            await self.agent(status)

    async def agent_gone(self, dial_status: str = "completed", **fields: str) -> None:
        """The dialled leg is over, and the person is there yet."""
        await self.agent(dial_status, **fields)
        told = {"DialCallStatus": dial_status, "CallStatus": "in-progress"}
        action = self.verbs[0].said["action"]
        self.verbs = read(await self._post(action, 200, **told, **fields))
        assert [verb.name for verb in self.verbs] == ["Hangup"]
        await self.ends()

    async def connected(self, talked_s: int = 5) -> None:
        """The person hangs up, and our SIP side, or the stream, is told so before."""
        self.talked_s = talked_s
        await self.ends()
        verb = self.verbs[0]
        told = {"DialCallStatus": "completed"} if verb.name == "Dial" else {}
        await self._post(verb.said["action"], 200, CallStatus="completed", **told)

    async def hangs_up(self, talked_s: int = 12) -> None:
        """The person does."""
        self.talked_s = talked_s
        dialled = bool(self.verbs) and self.verbs[0].noun == "Sip"
        if dialled:
            await self.agent("completed", CallDuration=str(talked_s))
        await self.ends()
        if dialled:
            told = {"DialCallStatus": "completed", "DialCallDuration": str(talked_s)}
            await self._post(self.verbs[0].said["action"], 200, CallStatus="completed", **told)

    async def ends(self, status: str = "completed", **fields: str) -> None:
        """The call is over."""
        if self.over:
            return
        self.status = status
        if not self.exchange.silent:
            await self.tells_end(**fields)

    async def tells_end(self, **fields: str) -> None:
        duration = str(self.talked_s) if self.status == "completed" else "0"
        await self._tell("completed", self.status, CallDuration=duration, **fields)

    async def heard(self, answered_by: str) -> None:
        """Detection has come to its end."""
        told = {"AnsweredBy": answered_by, "MachineDetectionDuration": "2150"}
        await self._post(self.form["AsyncAmdStatusCallback"], 204, **told)

    async def updated(self, form: Form) -> None:
        """By REST."""
        if "Twiml" in form:
            self.verbs = read(form["Twiml"])
            assert [verb.name for verb in self.verbs] == ["Say", "Redirect"]
            await self.exchange.speaks.wait()
            if not self.over:
                self.verbs = read(await self._post(self.verbs[1].text, 200))
                await self.ends()
        elif form["Status"] == "completed" or self.status in ("queued", "ringing"):
            talked = self.status == "in-progress"
            await self.ends("completed" if talked else "canceled")

    async def _tell(self, event: str, status: str, **fields: str) -> None:
        if event not in self.events:
            return
        told = {
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(self.sequence),
            "CallStatus": status,
            **fields,
        }
        self.sequence += 1
        await self._post(self.form["StatusCallback"], 204, **told)

    async def _post(self, url: str, wanted: int, **fields: str) -> str:
        told = {
            "AccountSid": self.account,
            "ApiVersion": "2010-04-01",
            "CallSid": self.call_sid,
            "CallStatus": self.status,
            "Direction": "outbound-api",
            "From": self.form["From"],
            "To": self.form["To"],
            **fields,
        }
        twilio = self.exchange.twilio
        assert twilio is not None
        status, body = await twilio.request(url, told, token=_TOKENS[self.account])
        assert status == wanted, (url, status, body)
        return body

    def resource(self) -> dict[str, Any]:
        """As the API tells it."""
        told: dict[str, Any] = {
            "sid": self.call_sid,
            "account_sid": self.account,
            "status": self.status,
            "duration": None,
            "answered_by": None,
        }
        if self.over:
            told["duration"] = str(self.talked_s)
        return told


@dataclass
class Exchange(Api):
    """`refusals` are answers to requests for a call, one after another: a status, Twilio's code,
    and headers; `mute` are requests that are taken and get no answer. `owned` are the numbers of
    each account, `verified` what one on trial may call."""

    twilio: Twilio | None = None
    kind: str = "Full"
    owned: dict[str, set[str]] = field(default_factory=dict)
    verified: set[str] = field(default_factory=set)
    refusals: list[tuple[int, int, dict[str, str]]] = field(default_factory=list)
    mute: bool = False
    #: an answer comes in more than one packet
    in_parts: bool = False
    #: no callback tells the end of a call
    silent: bool = False
    lines: list[Line] = field(default_factory=list)
    asked: int = 0
    reads: int = 0
    #: until then a message is being said
    speaks: asyncio.Event = field(default_factory=asyncio.Event)
    #: somebody wanted a call to change
    was_told: asyncio.Event = field(default_factory=asyncio.Event)
    #: until then nothing is answered that is mute
    talks: asyncio.Event = field(default_factory=asyncio.Event)
    _came: asyncio.Event = field(default_factory=asyncio.Event)
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    async def create(self, request: web.Request) -> web.StreamResponse:
        account = request.match_info["account"]
        if (wrong := self._unauthorized(request)) is not None:
            return wrong
        self.asked += 1
        posted = await request.post()
        form = {name: str(value) for name, value in posted.items()}
        for name, value in posted.items():
            assert re.fullmatch(_PARAMETERS[name], str(value)), (name, value)
        for name in set(form) - {"StatusCallbackEvent"}:
            assert len(posted.getall(name)) == 1, name
        if self.refusals:
            status, code, headers = self.refusals.pop(0)
            body = {"code": code, "message": f"refused as {code}", "status": status}
            return web.json_response(body, status=status, headers=headers)
        if (refusal := self._refusal(account, form)) is not None:
            return refusal
        events = [str(event) for event in posted.getall("StatusCallbackEvent", ["completed"])]
        line = Line(self, account, f"CA{len(self.lines) + 1:032x}", form, events)
        self.lines.append(line)
        self._came.set()
        if self.mute:
            await self.talks.wait()
        if self.in_parts:
            return await json_in_parts(request, line.resource(), 201)
        return web.json_response(line.resource(), status=201)

    async def line(self, number: int = 1) -> Line:
        """That call, once it was placed."""
        async with asyncio.timeout(5):
            while len(self.lines) < number:
                self._came.clear()
                await self._came.wait()
        return self.lines[number - 1]

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        if (wrong := self._unauthorized(request)) is not None:
            return wrong
        self.reads += 1
        found = self._line(request.match_info["call"])
        if found is None:
            return web.json_response({"code": 20404, "message": "not found"}, status=404)
        return web.json_response(found.resource())

    async def account(self, request: web.Request) -> web.StreamResponse:
        if (wrong := self._unauthorized(request)) is not None:
            return wrong
        return web.json_response({"sid": request.match_info["account"], "type": self.kind})

    async def update(self, request: web.Request) -> web.StreamResponse:
        found = self._line(request.match_info["call"])
        if found is not None and found.over:
            self.over.add(found.call_sid)
        before = len(self.updates)
        response = await super().update(request)
        self.was_told.set()
        if found is not None and len(self.updates) > before:
            form = self.updates[-1][1]
            task = asyncio.create_task(found.updated(form))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return response

    async def settled(self) -> None:
        """Whatever was set going by an update is over."""
        while self._running:
            await asyncio.gather(*self._running)

    def _line(self, call_sid: str) -> Line | None:
        return next((one for one in self.lines if one.call_sid == call_sid), None)

    def _refusal(self, account: str, form: Form) -> web.StreamResponse | None:
        """twilio.com/docs/api/errors, by their numbers."""
        if not {"To", "From", "Url"} <= form.keys():
            return _error(400, 21201)
        if form["To"] == form["From"]:
            return _error(400, 21211)
        if form["From"] not in self.owned.get(account, {form["From"]}):
            return _error(400, 21210)
        if self.kind == "Trial" and form["To"] not in self.verified:
            return _error(400, 21219)
        if ("AsyncAmd" in form or "AsyncAmdStatusCallback" in form) and (
            "MachineDetection" not in form
        ):
            raise AssertionError("asynchronous detection of nothing")
        return None

    def _unauthorized(self, request: web.Request) -> web.StreamResponse | None:
        account = request.match_info["account"]
        return None if self.believes(request, account) else _error(401, 20003)


def _error(status: int, code: int) -> web.Response:
    body = {"code": code, "message": f"refused as {code}", "status": status}
    return web.json_response(body, status=status)


async def serve_exchange(exchange: Exchange) -> web.AppRunner:
    from tests.gateway.conftest import serve

    app = web.Application()
    account = "/2010-04-01/Accounts/{account}"
    app.router.add_get(f"{account}.json", exchange.account)
    app.router.add_post(f"{account}/Calls.json", exchange.create)
    app.router.add_get(account + "/Calls/{call}.json", exchange.fetch)
    app.router.add_post(account + "/Calls/{call}.json", exchange.update)
    runner, exchange.url = await serve(app)
    return runner
