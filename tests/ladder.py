"""Call ladders: SIP peers that send and expect one message at a time, around a real softswitch.

The peers are bare sockets and share no state machine with what they test; only grammar is shared.
"""

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp

from config.settings import LimitSettings, SipAuthSettings, SipSettings
from config.values import Source
from sip.b2bua.bridge import Bridge
from sip.b2bua.call_state import CallState
from sip.b2bua.hub import Hub
from sip.b2bua.legs.options import LegOptions
from sip.b2bua.legs.sip_leg import SipLeg
from sip.clock import LoopClock
from sip.core.message import Headers, Request, Response, make_response
from sip.core.parser import parse_message
from sip.core.uri import Uri
from sip.ids import Ids
from sip.softswitch.admission.gatekeeper import Gatekeeper
from sip.softswitch.jambonz.driver import Driver
from sip.softswitch.jambonz.socket import AppSocket
from sip.softswitch.jambonz.sounds import NO_SOUNDS
from sip.softswitch.jambonz.web_socket import AppAddress, WebSocketLink
from sip.softswitch.softswitch import Softswitch
from sip.softswitch.trunks.trunk import Trunk, Trunks
from sip.trace import Trace
from sip.transport.endpoint import Endpoint
from tests.fakes.application import FakeApplication
from tests.fakes.media import FakeMedia
from tests.garbage import freed
from tests.ports import free_port
from tests.virtual import virtual_time

DID = "+14155550100"
CALLER = "+12125550101"
PCMU = "\r\n".join(
    [
        "v=0",
        "o=- 42 42 IN IP4 127.0.0.1",
        "s=-",
        "c=IN IP4 127.0.0.1",
        "t=0 0",
        "m=audio 40000 RTP/AVP 0 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=ptime:20",
        "",
    ]
)
_numbers = itertools.count(1)

#: One message: when, whose, sent ("->") or received ("<-") by the peer, and its title.
Rung = tuple[float, str, str, str]


def drawn(rungs: Iterable[Rung]) -> str:
    """The messages between peers and gateway, one a line, as a failed expectation shows them."""
    lines = [f"  {at:9.3f} s  {peer:>8} {way} {title}" for at, peer, way, title in rungs]
    return "\n".join(lines) or "  (nothing was sent or received)"


class Peer:
    """One SIP element on loopback. It answers nothing by itself."""

    def __init__(
        self, name: str, gateway: Endpoint, port: int = 0, host: str = "127.0.0.1"
    ) -> None:
        """Without `port` the kernel chooses a free one."""
        self.name = name
        self.gateway = gateway
        self.host = host
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.tag = f"{name}-{next(_numbers)}"
        #: every message of this ladder so far, of all its peers, as `drawn` shows them
        self.rungs: list[Rung] = []
        #: what arrived and was not expected yet, and what came again
        self.inbox: list[Request | Response] = []
        self.again: list[str] = []
        self.lost = 0
        self._seen: set[bytes] = set()
        self._invite: Request | None = None
        self._received: dict[str, Request] = {}
        self._answer: Response | None = None
        self._cseq = 0
        self._call_id = ""

    async def close(self) -> None:
        self.socket.close()

    # sending

    async def send(
        self,
        what: str | int,
        *,
        reason: str | None = None,
        sdp: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        to: str = DID,
        answering: str = "INVITE",
        again: bool = False,
    ) -> Request | Response:
        """A request by method or, for a number, a response to the last request of `answering`."""
        message: Request | Response
        if isinstance(what, int):
            message = self._response(what, reason, answering, headers, sdp)
        else:
            message = self._request(what, to, headers, sdp, again)
        self._note("->", message)
        await self.transmit(message.to_bytes())
        return message

    async def transmit(self, data: bytes) -> None:
        """Put one message on the wire."""
        self.socket.sendto(data, (self.gateway.host, self.gateway.port))
        await asyncio.sleep(0)

    @property
    def _in_dialog(self) -> bool:
        called = "INVITE" in self._received
        return called or (self._answer is not None and self._answer.status < 300)

    def _request(
        self,
        method: str,
        to: str,
        extra: tuple[tuple[str, str], ...],
        sdp: str | None,
        again: bool,
    ) -> Request:
        if method == "INVITE" and not again and not self._in_dialog:
            self.tag = f"{self.name}-{next(_numbers)}"
            self._call_id = f"{self.tag}@test"
            self._answer = None
            self._received.clear()
        if again and self._invite is not None and method == "INVITE":
            return self._invite
        if method not in ("ACK", "CANCEL"):
            self._cseq += 1
        headers = Headers()
        branch = f"z9hG4bK-{self.tag}-{self._cseq}"
        answered = self._answer is not None and self._answer.status < 300
        if method == "ACK" and answered:
            branch += "-ack"
        headers.add("via", f"SIP/2.0/UDP {self.host}:{self.port};branch={branch};rport")
        headers.add("max-forwards", "70")
        uas = self._received.get("INVITE")
        if uas is not None:
            to_value = str(uas.from_)
            from_value = str(uas.to.with_param("tag", self.tag))
            call_id = uas.call_id
            target = str(uas.contact.uri) if uas.contact else uas.uri
        else:
            from_value = f"<sip:{CALLER}@{self.host}>;tag={self.tag}"
            to_value = f"<sip:{to}@{self.gateway.hostport}>"
            target = f"sip:{to}@{self.gateway.hostport}"
            if self._answer is not None and method != "CANCEL":
                to_value = str(self._answer.to)
                if answered and self._answer.contact is not None:
                    target = str(self._answer.contact.uri)
            call_id = self._call_id or f"{self.tag}@test"
        headers.add("from", from_value)
        headers.add("to", to_value)
        headers.add("call-id", call_id)
        headers.add("cseq", f"{self._cseq} {method}")
        headers.add("contact", f"<sip:{self.host}:{self.port}>")
        for name, value in extra:
            headers.add(name, value)
        if sdp and "content-type" not in headers:
            headers.add("content-type", "application/sdp")
        request = Request(method, target, headers, (sdp or "").encode())
        if method == "INVITE":
            self._invite = request
        return request

    def _response(
        self,
        status: int,
        reason: str | None,
        answering: str,
        extra: tuple[tuple[str, str], ...],
        sdp: str | None,
    ) -> Response:
        request = self._received[answering]
        headers = [*extra]
        if answering == "INVITE" and status < 300:
            headers.append(("Contact", f"<sip:{self.host}:{self.port}>"))
        return make_response(
            request,
            status,
            reason,
            to_tag=self.tag if status > 100 else None,
            headers=headers,
            body=(sdp or "").encode(),
            content_type="application/sdp" if sdp else None,
        )

    # receiving

    async def _read(self) -> bytes:
        """The next message as it came."""
        return await asyncio.get_running_loop().sock_recv(self.socket, 65535)

    async def expect(
        self, what: str | int, *, within_s: float = 40.0, of: str | None = None
    ) -> Any:
        """The next message, which must be this method or status (of a request `of`)."""
        try:
            message = await self.next(within_s)
        except TimeoutError:
            raise self._failed(f"expected {what}, and nothing came in {within_s:g} s") from None
        found: str | int = message.method if isinstance(message, Request) else message.status
        if found != what:
            raise self._failed(f"expected {what}, got {message!r}")
        if isinstance(message, Response):
            if of is not None and message.cseq.method != of:
                raise self._failed(f"expected {what} of {of}, got that of {message.cseq.method}")
            if message.cseq.method == "INVITE":
                self._answer = message
        else:
            self._received[message.method] = message
        return message

    async def next(self, within_s: float = 40.0) -> Request | Response:
        """The next message that is no retransmission."""
        async with asyncio.timeout(within_s):
            while True:
                data = await self._read()
                if self.lost:
                    self.lost -= 1
                    continue
                message = parse_message(data)
                self._note("<-", message)
                if data in self._seen:
                    self.again.append(_title(message))
                    continue
                self._seen.add(data)
                return message

    async def silence(self, seconds: float) -> None:
        """Nothing arrives in `seconds`, not even a retransmission."""
        try:
            async with asyncio.timeout(seconds):
                data = await self._read()
        except TimeoutError:
            return
        raise self._failed(f"expected silence, got {data[:60]!r}")

    async def drain(self, seconds: float) -> list[str]:
        """Everything that arrives in `seconds`, by title."""
        found: list[str] = []
        try:
            async with asyncio.timeout(seconds):
                while True:
                    data = await self._read()
                    found.append(_title(parse_message(data)))
        except TimeoutError:
            return found

    def _note(self, way: str, message: Request | Response) -> None:
        time = asyncio.get_running_loop().time()
        title = _title(message)
        if isinstance(message, Response):
            title += f" of {message.cseq.method}"
        self.rungs.append((time, self.name, way, title))

    def _failed(self, what: str) -> AssertionError:
        return AssertionError(f"{self.name} {what}; the ladder so far:\n{drawn(self.rungs)}")

    # stories that many ladders share

    async def answer_call(self, sdp: str = PCMU) -> Request:
        """As callee: 180, 200, ACK."""
        invite: Request = await self.expect("INVITE")
        await self.send(180)
        await self.send(200, sdp=sdp)
        await self.expect("ACK")
        return invite

    async def hang_up(self) -> None:
        """BYE and its 200."""
        await self.send("BYE")
        await self.expect(200, of="BYE")

    async def is_hung_up(self) -> Request:
        """The other side's BYE."""
        bye: Request = await self.expect("BYE")
        await self.send(200, answering="BYE")
        return bye


class Ladder:
    """The softswitch under test and its surroundings."""

    def __init__(
        self,
        switch: Softswitch,
        app: FakeApplication,
        media: FakeMedia,
        gatekeeper: Gatekeeper,
        trace: Trace,
    ) -> None:
        self.switch = switch
        self.app = app
        self.media = media
        self.gatekeeper = gatekeeper
        self.trace = trace
        self.peers: dict[str, Peer] = {}
        self._up: tuple[Peer, ...] = ()
        #: every state of every call, in order
        self.states: list[CallState] = []

    def peer(self, name: str) -> Peer:
        return self.peers[name]

    @property
    def ending(self) -> tuple[str, str, int]:
        """Who ended the last call, and how: call_termination_by, call_status, sip_status."""
        last = [
            frame["data"]
            for frame in self.app.told("call:status")
            if "parent_call_sid" not in frame["data"]
        ][-1]
        return last["call_termination_by"], last["call_status"], last["sip_status"]

    async def call_up(
        self, caller: "str | Peer" = "carrier", callee: "str | Peer" = "agent", to: str = DID
    ) -> Request:
        """A call, answered, and acknowledged on both legs; returns the INVITE that came out.

        Unless the story has said otherwise, the application dials the callee and hangs up after.
        """
        self._up = calling, called = self._party(caller), self._party(callee)
        if self.app.verbs is FakeApplication.verbs:
            self.app.verbs = lambda _: [dial(called.name), {"verb": "hangup"}]
        await calling.send("INVITE", sdp=PCMU, to=to)
        await calling.expect(100)
        invite = await called.answer_call()
        await calling.expect(180)
        await calling.expect(200, of="INVITE")
        await calling.send("ACK")
        return invite

    async def hung_up_by(self, party: "str | Peer") -> None:
        """That party of the call of `call_up` hangs up, and so does the gateway to the other."""
        first = self._party(party)
        [second] = [peer for peer in self._up if peer is not first]
        await first.hang_up()
        await second.is_hung_up()

    def _party(self, party: "str | Peer") -> Peer:
        return self.peers[party] if isinstance(party, str) else party

    async def settled(self, within_s: float = 70.0) -> None:
        """Nothing is left open: no call, dialog, transaction or media."""
        for _ in range(int(within_s)):
            if not any(self.switch.gauges.values()):
                break
            await asyncio.sleep(1)
        assert not any(self.switch.gauges.values()), self.switch.gauges
        assert not self.media.open_calls


@contextmanager
def states_written() -> Iterator[list[CallState]]:
    """Every state of every call, in order: each written down, read back and compared.

    At the end all must have been equal: a call whose state cannot be stored fails its story.
    """
    states: list[CallState] = []
    read: list[CallState] = []

    def write(state: CallState) -> None:
        states.append(state)
        read.append(CallState.from_json(json.loads(json.dumps(state.to_json()))))

    before, Hub.on_transition = Hub.on_transition, write
    try:
        yield states
    finally:
        Hub.on_transition = before
    assert read == states


def dial(trunk: str, /, number: str = DID, **more: object) -> dict[str, object]:
    """A dial verb as our application sends it."""
    return {
        "verb": "dial",
        "target": [{"type": "phone", "number": number, "trunk": trunk}],
        "answerOnBridge": True,
        "actionHook": "/dial-action",
        **more,
    }


PEERS = ("carrier", "agent", "second", "stranger", "retell")


@asynccontextmanager
async def make_ladder(**options: Any) -> AsyncIterator[Ladder]:
    """A softswitch whose trunks are the peers: all open by source, but retell by digest.

    Options: `limits`, `bans`, more `trunks`, `trunks_to`: a function that makes more, given the
    peers, `legs`: how the trunk of a peer wants its legs, `media`, which makes the media plane,
    `listeners` beside the one for UDP, and `tls`, our side's as a client, and `sounds`.
    """
    app = FakeApplication()
    await app.start()
    media = options.pop("media", FakeMedia)()
    clock, ids = LoopClock(), Ids()
    trace = Trace()
    gateway = Endpoint("udp", "127.0.0.1", free_port())
    # the carrier comes by TCP too, from the same port
    ports = {"carrier": free_port()}
    peers = {name: Peer(name, gateway, ports.get(name, 0)) for name in PEERS}
    rungs: list[Rung] = []
    for peer in peers.values():
        peer.rungs = rungs
    legs = options.pop("legs", {})
    options["trunks"] = (
        *options.get("trunks", ()),
        *options.pop("trunks_to", lambda _: ())(peers),
    )
    known = [
        _trunk(peer, legs.get(name, LegOptions()))
        for name, peer in peers.items()
        if name != "stranger"
    ]
    trunks = Trunks([*known, *options.pop("trunks", ())])
    auth = SipAuthSettings(algorithms=("SHA-256", "MD5"))
    bans = options.pop("bans", None)
    gatekeeper = Gatekeeper(clock, trunks, "gateway.test", b"secret", auth, bans)
    async with aiohttp.ClientSession() as http:
        switch = Softswitch(
            clock=clock,
            ids=ids,
            media=media,
            trunks=trunks,
            gatekeeper=gatekeeper,
            link=WebSocketLink(http, AppAddress(url=app.url)),
            limits=options.pop("limits", LimitSettings(calls=100, calls_per_second=1000)),
            sip=SipSettings(realm="gateway.test", keepalive_s=86_400),
            public=options.pop("public", None),
            trace=trace,
            rtp_timeout_s=900.0,
            binding_store=options.pop("binding_store", None),
            sounds=options.pop("sounds", NO_SOUNDS),
            tls=options.pop("tls", None),
        )
        await switch.listen([gateway, *options.pop("listeners", ())])
        ladder = Ladder(switch, app, media, gatekeeper, trace)
        ladder.peers = peers
        try:
            with states_written() as ladder.states:
                yield ladder
        finally:
            await switch.close()
            await app.stop()
            for peer in peers.values():
                await peer.close()


def _trunk(peer: Peer, leg: LegOptions) -> Trunk:
    return Trunk(
        name=peer.name,
        gateways=(Uri.parse(f"sip:127.0.0.1:{peer.port}"),),
        sources=(Source.parse(f"127.0.0.1:{peer.port}"),),
        login=("retell", "s3cret") if peer.name == "retell" else None,
        no_response_s=8.0,
        leg=leg,
    )


Story = Callable[[Ladder], Coroutine[Any, Any, None]]


def ladder_test(test: Story) -> Callable[[], None]:
    """Run a story on virtual time, and check that it leaves nothing open, and no garbage."""
    return ladder_with()(test)


def ladder_with(**options: Any) -> Callable[[Story], Callable[[], None]]:
    """The same with options of `make_ladder`, and `kinds`: of what nothing may be left for the
    garbage collector, by default what a call is made of."""
    kinds = options.pop("kinds", (Hub, Driver, SipLeg, Bridge, AppSocket))

    def decorate(test: Story) -> Callable[[], None]:
        async def run() -> None:
            async with make_ladder(**options) as ladder:
                with freed(*kinds):
                    await test(ladder)
                    await ladder.settled()

        run.__doc__ = test.__doc__
        run.__name__ = test.__name__
        return virtual_time(run)

    return decorate


def _title(message: Request | Response) -> str:
    return message.method if isinstance(message, Request) else str(message.status)
