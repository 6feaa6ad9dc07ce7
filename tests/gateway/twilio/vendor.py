"""A double of Twilio: signs its requests with Twilio's own library, reads documents by the rules
that Twilio has for them, and changes calls by its REST API."""

import base64
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from aiohttp import web
from multidict import MultiDict
from twilio.request_validator import RequestValidator
from yarl import URL

from tests.gateway.conftest import Gateway, serve

MAIN, SUB = "AC" + "0" * 32, "AC" + "1" * 32
TOKEN, SUB_TOKEN = "token-main", "token-sub"
PUBLIC = "https://gateway.example.com"
CALLER, PERSON = "+12125550100", "+12125550123"

#: twilio.com/docs/voice/twiml: which attributes each verb and noun of ours may have.
_KNOWN = {
    "Response": set(),
    "Say": {"voice", "language", "loop"},
    "Hangup": set(),
    "Redirect": {"method"},
    "Dial": {"action", "method", "timeout", "timeLimit", "answerOnBridge", "callerId"},
    "Sip": {"username", "password", "statusCallback", "statusCallbackEvent"},
    "Number": {"statusCallback", "statusCallbackEvent"},
    "Connect": {"action", "method"},
    "Stream": {"url", "name"},
}


@dataclass(frozen=True)
class Verb:
    """A verb of a document, with what stands in its noun."""

    name: str
    said: dict[str, str]
    noun: str = ""
    noun_said: dict[str, str] = field(default_factory=dict)
    text: str = ""


def read(document: str) -> list[Verb]:
    """The verbs of a document. Asserts what Twilio would refuse."""
    assert len(document) <= 64 << 10
    root = ET.fromstring(document)
    assert root.tag == "Response"
    for element in root.iter():
        assert set(element.attrib) <= _KNOWN[element.tag], element.attrib
    verbs = []
    for element in root:
        noun = element[0] if len(element) else None
        text = ((element if noun is None else noun).text or "").strip()
        if noun is not None and noun.tag == "Sip":
            uri, _, headers = text.partition("?")
            assert len(uri) < 255
            assert len(headers) < 1024
            assert all(name.startswith("X-") for name, _ in parse_qsl(headers))
        if noun is not None and noun.tag == "Stream":
            assert noun.attrib["url"].startswith("wss://")
            assert "?" not in noun.attrib["url"]
        said = {} if noun is None else dict(noun.attrib)
        name = "" if noun is None else noun.tag
        verbs.append(Verb(element.tag, dict(element.attrib), name, said, text))
    return verbs


def sid(number: int = 1) -> str:
    return f"CA{number:032x}"


class Twilio:
    """Calls a gateway's webhooks."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def request(
        self,
        path: str,
        fields: dict[str, str],
        *,
        token: str = TOKEN,
        method: str = "POST",
        forge: bool = False,
    ) -> tuple[int, str]:
        """The answer to a signed request; `path` may be a whole URL of `PUBLIC`."""
        path = path.removeprefix(PUBLIC)
        body = urlencode(fields)
        if method == "GET":
            path += f"?{body}"
        signed: Any = {} if method == "GET" else MultiDict(fields)
        signature = RequestValidator(token).compute_signature(PUBLIC + path, signed)
        if forge:
            signature = base64.b64encode(b"0" * 20).decode()
        headers = {"X-Twilio-Signature": signature}
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
        url = URL(self.gateway.url + path, encoded=True)
        async with self.gateway.http.request(
            method, url, data=None if method == "GET" else body, headers=headers
        ) as response:
            return response.status, await response.text()

    async def voice(
        self, dialled: str, call_sid: str = sid(), *, token: str = TOKEN, **fields: str
    ) -> list[Verb]:
        """The verbs for a call that came."""
        status, document = await self.request(
            f"/webhooks/twilio/voice/{dialled}", call_of(call_sid, dialled, **fields), token=token
        )
        assert status == 200, document
        return read(document)

    async def action(self, url: str, call_sid: str = sid(), **fields: str) -> list[Verb]:
        """The verbs for a dial that is over."""
        status, document = await self.request(
            url, call_of(call_sid, **{"CallStatus": "in-progress", **fields})
        )
        assert status == 200, document
        return read(document)

    async def leg(self, url: str, status: str, call_sid: str = sid(), **fields: str) -> None:
        """A callback about a dialled leg."""
        child = {"CallSid": "CA" + "f" * 32, "ParentCallSid": call_sid, "CallStatus": status}
        answered, body = await self.request(url, call_of(**{**child, **fields}))
        assert answered == 204, body

    async def status(self, status: str, call_sid: str = sid(), **fields: str) -> None:
        """The status callback of a call."""
        answered, body = await self.request(
            "/webhooks/twilio/status", call_of(call_sid, CallStatus=status, **fields)
        )
        assert answered == 204, body


def call_of(call_sid: str = sid(), dialled: str = "+14155550101", **fields: str) -> dict[str, str]:
    """The parameters that every webhook of a call has."""
    number = dialled if dialled.startswith("+") else "+14155550101"
    return {
        "AccountSid": MAIN,
        "ApiVersion": "2010-04-01",
        "CallSid": call_sid,
        "CallStatus": "ringing",
        "Called": number,
        "Caller": CALLER,
        "Direction": "inbound",
        "From": CALLER,
        "FromCity": "",
        "To": number,
        **fields,
    }


@dataclass
class Api:
    """Twilio's REST API for calls: twilio.com/docs/voice/api/call-resource#update-a-call-resource.

    `over` are calls that are not in progress any more, `broken` how many requests fail first.
    """

    url: str = ""
    updates: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    over: set[str] = field(default_factory=set)
    broken: int = 0

    async def update(self, request: web.Request) -> web.StreamResponse:
        login = _login(request)
        account = request.match_info["account"]
        if login not in _LOGINS:
            return web.json_response({"code": 20003, "message": "Authenticate"}, status=401)
        if not login.startswith(account):
            return web.json_response({"code": 20404, "message": "not found"}, status=404)
        if self.broken:
            self.broken -= 1
            return web.json_response({"code": 20500, "message": "Internal"}, status=500)
        form = {name: str(value) for name, value in (await request.post()).items()}
        # Status takes only these two, and nothing else may stand beside Twiml
        assert form.keys() <= {"Status", "Twiml"}
        assert len(form) == 1
        assert form.get("Status", "completed") in ("completed", "canceled")
        assert len(form.get("Twiml", "")) <= 4000
        call_sid = request.match_info["call"]
        if call_sid in self.over:
            body = {"code": 21220, "message": "Call is not in-progress. Cannot redirect."}
            return web.json_response(body, status=400)
        self.updates.append((call_sid, form))
        return web.json_response({"sid": call_sid})

    def believes(self, request: web.Request, account: str) -> bool:
        """Whether it proves that account."""
        login = _login(request)
        return login in _LOGINS and login.startswith(account)


_LOGINS = (f"{MAIN}:{TOKEN}", f"{SUB}:{SUB_TOKEN}")


def _login(request: web.Request) -> str:
    return base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()


async def serve_api(api: Api) -> web.AppRunner:
    app = web.Application()
    path = "/2010-04-01/Accounts/{account}/Calls/{call}.json"
    app.router.add_post(path, api.update)
    runner, api.url = await serve(app)
    return runner


def host_of(uri: str) -> str:
    """The host of a SIP URI or a URL."""
    return uri.partition("@")[2].partition(";")[0] if "@" in uri else urlsplit(uri).netloc
