"""jambonz as the test says: one call's end of the WebSocket, frames shaped as 0.9.8 sends them."""

import asyncio
from itertools import count
from typing import Any, Self

import aiohttp

Json = dict[str, Any]

_numbers = count(1)

REASONS = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    404: "Not Found",
    408: "Request Timeout",
    480: "Temporarily Unavailable",
    486: "Busy Here",
    487: "Request Terminated",
    503: "Service Unavailable",
    603: "Decline",
}


class Jambonz:
    """One call. Method names are what happens to the call; each returns what the app answered."""

    def __init__(self, http: aiohttp.ClientSession, url: str, *, autoping: bool = True) -> None:
        self._http = http
        self._autoping = autoping
        self._url = url
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        number = next(_numbers)
        self.call_sid = f"parent-{number}"
        self.a_call_id = f"a-leg-{number}@203.0.113.7"
        self.session: Json = {}
        self._legs = 0
        self._verbs_of_leg: Json = {}
        self._parent = ("trying", 100)

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._socket is not None and not self._socket.closed:
            await self._socket.close(code=1000)

    async def connect(self, path: str = "") -> None:
        self._socket = await self._http.ws_connect(
            self._url + path,
            protocols=("ws.jambonz.org",),
            headers={"User-Agent": "jambonz"},
            autoping=self._autoping,
        )

    def move_to(self, http: aiohttp.ClientSession, url: str) -> None:
        """Connect elsewhere next time."""
        self._http, self._url = http, url

    async def break_connection(self) -> None:
        """The TCP connection dies: no close frame."""
        connection = self.socket._conn  # aiohttp offers no other way to be rude
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()

    @property
    def socket(self) -> aiohttp.ClientWebSocketResponse:
        assert self._socket is not None
        return self._socket

    # frames

    async def send(self, kind: str, data: Json, **more: object) -> str:
        msgid = f"msg-{next(_numbers)}"
        frame = {"type": kind, "msgid": msgid, "call_sid": self.call_sid, "data": data, **more}
        await self.socket.send_json({k: v for k, v in frame.items() if v is not None})
        return msgid

    async def receive(self) -> Json:
        async with asyncio.timeout(5):
            frame = await self.socket.receive_json()
        assert isinstance(frame, dict)
        return frame

    async def ack(self, msgid: str) -> Any:
        """The data of the ack to that message, which must be the next frame."""
        frame = await self.receive()
        assert frame["type"] == "ack", frame
        assert frame["msgid"] == msgid
        return frame.get("data")

    async def command(self) -> Any:
        """The verbs of the redirect that must come next."""
        frame = await self.receive()
        assert frame["type"] == "command", frame
        assert frame["command"] == "redirect"
        return frame["data"]

    # the call

    async def new_call(
        self,
        *,
        to: str,
        from_: str = "+12125550100",
        trunk: str | None = "carrier",
        user: str | None = None,
        headers: dict[str, str] | None = None,
        told: bool = True,
    ) -> Any:
        """session:new; what its ack carries. With `told`, the call's first status follows it."""
        sip_headers = {
            "via": "SIP/2.0/TCP 192.0.2.10:5060;branch=z9hG4bKabc",
            "from": f"<sip:{from_}@192.0.2.10>;tag=ft1",
            "to": f"<sip:{to}@192.0.2.20>",
            "call-id": self.a_call_id,
            "X-CID": self.a_call_id,
            "X-Forwarded-For": "203.0.113.7",
            **(headers or {}),
        }
        if user is not None:
            sip_headers["X-Authenticated-User"] = f"{user}@gateway.example.com"
        self.session = {
            "sip": {"headers": sip_headers, "method": "INVITE", "body": "v=0\r\n"},
            "direction": "inbound",
            "call_sid": self.call_sid,
            "from": from_,
            "to": to,
            "call_id": self.a_call_id,
            "sip_status": 100,
            "sip_reason": "Trying",
            "call_status": "trying",
        }
        if trunk is not None:
            self.session["originating_sip_trunk_name"] = trunk
        verbs = await self.ack(await self.send("session:new", self.session))
        if told:
            await self.caller("trying", 100)
        return verbs

    async def reconnect(self) -> Any:
        """A new socket after the old one broke: what the ack carries."""
        await self.connect()
        return await self.ack(await self.send("session:reconnect", self.session))

    async def caller(self, status: str, code: int, **more: object) -> None:
        """call:status of the caller's leg."""
        self._parent = (status, code)
        await self.send("call:status", self._leg_data(**more))

    async def leg(self, status: str, code: int, **more: object) -> None:
        """call:status of the dialled leg; `trying` begins a new one."""
        if status == "trying":
            self._legs += 1
        await self.send("call:status", self._child_data(status, code, **more))

    async def dial_ended(
        self, status: str, code: int, *, hook: str = "/dial-action", **more: Any
    ) -> Any:
        """The dial's hook; what its ack carries."""
        data = {
            **self._leg_data(),
            "dial_call_status": status,
            "dial_sip_status": code,
            "dial_call_sid": self._child_sid,
            **more,
        }
        return await self.ack(await self.send("verb:hook", data, hook=hook))

    # transfers

    async def refer(self, to: str, *, by_caller: bool = False, **details: Any) -> Any:
        """The talking leg sent REFER; what the ack of the referHook carries."""
        data = self._leg_data() if by_caller else self._child_data("in-progress", 200)
        data["refer_details"] = {
            "sip_refer_to": to,
            "sip_referred_by": "<sip:agent@sip.retellai.com>",
            "referring_call_sid": data["call_sid"],
            **details,
        }
        return await self.ack(await self.send("verb:hook", data, hook="/refer"))

    async def refer_ended(self, status: int, final: int | None = None, **more: Any) -> Any:
        """The hook of the transfer's `sip:refer`; what its ack carries."""
        data = {**self._leg_data(), "refer_status": status, **more}
        if final is not None:
            data["final_referred_call_status"] = final
        return await self.ack(await self.send("verb:hook", data, hook="/transfer-refer"))

    async def target_refused(self, code: int, *, status: str = "failed") -> Any:
        """A leg of the transfer's dial is refused; what the hook's ack carries."""
        await self.leg("trying", 100)
        await self.leg(status, code)
        return await self.transfer_ended(status, code)

    async def target_answered(self) -> None:
        """A leg of the transfer's dial rings and answers."""
        await self.leg("trying", 100)
        await self.leg("ringing", 180)
        await self.leg("in-progress", 200)

    async def agent_gone(self) -> None:
        """The leg that was dialled first is over, and its dial's hook has no say any more."""
        first = f"{self.call_sid}-child-1"
        await self.leg("completed", 200, call_sid=first)
        assert await self.dial_ended("completed", 200, dial_call_sid=first) is None

    async def transfer_ended(self, status: str, code: int, **more: object) -> Any:
        """The hook of the transfer's dial; what its ack carries."""
        return await self.dial_ended(status, code, hook="/transfer-dial", **more)

    async def other_command(self, name: str) -> Json:
        """The command of that name that must come next, whole."""
        frame = await self.receive()
        assert (frame["type"], frame.get("command")) == ("command", name), frame
        return frame

    async def nothing(self) -> None:
        """The application has nothing to say: it answers the next question first."""
        assert await self.ack(await self.send("verb:hook", {}, hook="/any")) is None

    async def hang_up(self, code: int = 1000) -> None:
        """The softswitch closes: the call is over."""
        await self.socket.close(code=code)

    @property
    def _child_sid(self) -> str:
        return f"{self.call_sid}-child-{self._legs}"

    @property
    def b_call_id(self) -> str:
        return f"b-leg-{self._legs}-{self.call_sid}@192.0.2.20"

    def _child_data(self, status: str, code: int, **more: object) -> Json:
        return {
            "call_sid": self._child_sid,
            "parent_call_sid": self.call_sid,
            "direction": "outbound",
            "call_id": self.b_call_id,
            "call_status": status,
            "sip_status": code,
            "sip_reason": REASONS.get(code, ""),
            **more,
        }

    def _leg_data(self, **more: object) -> Json:
        status, code = self._parent
        return {
            "call_sid": self.call_sid,
            "direction": "inbound",
            "call_id": self.a_call_id,
            "call_status": status,
            "sip_status": code,
            "sip_reason": REASONS.get(code, ""),
            **more,
        }

    # whole stretches of an ordinary call

    async def answered(self) -> None:
        """The dialled leg rings and answers."""
        await self.leg("trying", 100)
        await self.leg("ringing", 180)
        await self.leg("in-progress", 200)
        await self.caller("in-progress", 200)

    async def refused(self, code: int, *, status: str = "failed") -> Any:
        """The dialled leg is refused; what the hook's ack carries."""
        await self.leg("trying", 100)
        await self.leg(status, code)
        return await self.dial_ended(status, code)

    async def callee_hangs_up(self, **more: object) -> None:
        """After an answer, until the socket closes."""
        await self.leg("completed", 200, **more)
        assert await self.dial_ended("completed", 200) is None
        await self.caller("completed", 200, call_termination_by="callee", duration=3)
        await self.hang_up()

    async def caller_hangs_up(self, **more: object) -> None:
        """After an answer, until the socket closes; jambonz tells of the caller first."""
        await self.caller("completed", 200, call_termination_by="caller", duration=3, **more)
        await self.leg("completed", 200)
        assert await self.dial_ended("completed", 200) is None
        await self.hang_up()

    async def declined(self, code: int) -> None:
        """After sip:decline, until the socket closes."""
        await self.caller("failed", code)
        await self.hang_up()
