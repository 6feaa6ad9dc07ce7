"""Who else is on the wire: a callee that answers whatever comes, and a caller that behaves."""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from sip.core.message import Request, Response, make_response
from sip.core.parser import parse_message
from sip.core.validation import validate
from sip.errors import ParseError
from tests.hostile import corpus
from tests.hostile.mutations import damaged
from tests.ladder import PCMU

Address = tuple[str, int]
#: Told how much has been sent so far.
Progress = Callable[[int], None]
#: The number that marks a call of somebody who behaves.
HONEST = "+12125550177"


class Party:
    """One UDP address. Requests of the gateway are answered with 200, so that its calls end."""

    def __init__(self, host: str, gateway: Address) -> None:
        self.gateway = gateway
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.setblocking(False)
        self.socket.bind((host, 0))
        self.address: Address = self.socket.getsockname()
        self.name = f"{host}:{self.address[1]}"
        #: what arrived, counted by class: "2xx", "BYE" …
        self.seen: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self.socket.fileno(), self._read)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.get_running_loop().remove_reader(self.socket.fileno())
        self.socket.close()

    def send(self, data: bytes) -> None:
        """One datagram to the gateway; a full buffer loses it, as networks do."""
        with suppress(BlockingIOError):
            self.socket.sendto(data, self.gateway)

    def _read(self) -> None:
        for _ in range(64):
            try:
                data = self.socket.recv(65535)
            except (BlockingIOError, InterruptedError, ConnectionRefusedError):
                return
            try:
                message = parse_message(data)
                validate(message)
            except ParseError:  # a refusal gives back the fields that it refuses
                self.seen["echo"] = self.seen.get("echo", 0) + 1
                continue
            kind = message.method if isinstance(message, Request) else f"{message.status // 100}xx"
            self.seen[kind] = self.seen.get(kind, 0) + 1
            if isinstance(message, Response):
                self.on_response(message)
            else:
                self.on_request(message)

    def on_response(self, response: Response) -> None:
        """Nothing is expected."""

    def on_request(self, request: Request) -> None:
        if request.method != "ACK":
            self.send(make_response(request, 200).to_bytes())


class Callee(Party):
    """Takes honest calls; others are refused, at times after damaged answers to our INVITE."""

    def __init__(self, host: str, gateway: Address, rng: random.Random) -> None:
        super().__init__(host, gateway)
        self._rng = rng
        self._tag = "callee"

    def on_request(self, request: Request) -> None:
        if request.method != "INVITE":
            super().on_request(request)
        elif request.to.tag or request.from_.uri.user == HONEST:
            self._answer(request, 180)
            self._answer(request, 200, PCMU)
        else:
            for _ in range(self._rng.randrange(3)):
                self._lie(request)
            self._answer(request, self._rng.choice([404, 486]))

    def _answer(self, request: Request, status: int, sdp: str = "") -> None:
        self.send(self._response(request, status, sdp))

    def _response(self, request: Request, status: int, sdp: str = "") -> bytes:
        headers = [("Contact", f"<sip:{self.name}>"), ("Allow", "INVITE, ACK, BYE, CANCEL")]
        if status == 183:
            headers += [("Require", "100rel"), ("RSeq", "1")]
        if status in (401, 407):
            name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
            headers.append((name, 'Digest realm="carrier", nonce="n", qop="auth"'))
        return make_response(
            request,
            status,
            to_tag=self._tag,
            headers=headers,
            body=sdp.encode(),
            content_type="application/sdp" if sdp else None,
        ).to_bytes()

    def _lie(self, request: Request) -> None:
        status = self._rng.choice([100, 180, 183, 200, 302, 401, 407, 422, 481, 491])
        answer = self._response(request, status, PCMU if status in (183, 200) else "")
        self.send(damaged(self._rng, answer, [request.to_bytes()]))


class Caller(Party):
    """Places one call at a time and sees it through, with the retransmissions of RFC 3261."""

    def __init__(self, host: str, gateway: Address) -> None:
        super().__init__(host, gateway)
        self._news: asyncio.Queue[Response] = asyncio.Queue()
        self.hung_up = asyncio.Event()

    def on_response(self, response: Response) -> None:
        self._news.put_nowait(response)

    def on_request(self, request: Request) -> None:
        super().on_request(request)
        if request.method == "BYE":
            self.hung_up.set()

    async def open(self, number: str, caller: str = HONEST) -> "LiveCall":
        """Call `number` until it is answered."""
        invite = corpus.request(
            "INVITE", _hostport(self.gateway), self.name, user=number, caller=caller
        )
        return await self._dial(invite)

    async def call(self, number: str, talk: Awaitable[object]) -> str:
        """A call that we hang up after `talk`; its Call-ID. AssertionError where it fails."""
        live = await self.open(number)
        await talk
        assert not self.hung_up.is_set(), "the gateway hung up the honest call"
        await live.hang_up()
        return live.call_id

    async def _dial(self, invite: bytes) -> "LiveCall":
        # without our credentials: an honest carrier has none
        lines = [
            line
            for line in invite.split(b"\r\n")
            if not line.startswith((b"Authorization", b"Proxy-Authorization"))
        ]
        request = parse_message(b"\r\n".join(lines))
        assert isinstance(request, Request)
        answer = await self.transact(request)
        assert answer.status == 200, f"the honest call got {answer.status} {answer.reason}"
        live = LiveCall(self, request, answer)
        live.acknowledge()
        return live

    async def transact(self, request: Request) -> Response:
        """The final response to `request`, which is sent until something comes."""
        wait_s = 0.5
        data = request.to_bytes()
        quiet = True
        async with asyncio.timeout(32):
            self.send(data)
            while True:
                try:
                    async with asyncio.timeout(wait_s if quiet else 32):
                        response = await self._news.get()
                except TimeoutError:
                    self.send(data)
                    wait_s = min(2 * wait_s, 4.0)
                    continue
                same = response.call_id == request.call_id and response.cseq == request.cseq
                quiet = quiet and not same
                if same and response.status >= 200:
                    return response


class LiveCall:
    """An answered call of a Caller's."""

    def __init__(self, caller: Caller, invite: Request, answer: Response) -> None:
        self._caller = caller
        self._invite = invite
        self._answer = answer
        self._cseq = invite.cseq.number
        self.call_id = invite.call_id

    def request(self, method: str) -> bytes:
        """A request within the call; ACK and CANCEL repeat the INVITE's number."""
        if method not in ("ACK", "CANCEL"):
            self._cseq += 1
        contact = self._answer.contact
        assert contact is not None
        return corpus.request(
            method,
            _hostport(self._caller.gateway),
            self._caller.name,
            dialog=(self.call_id, str(self._invite.from_), str(self._answer.to)),
            target=str(contact.uri),
            cseq=self._cseq,
        )

    def acknowledge(self) -> None:
        self._caller.send(self.request("ACK"))

    async def hang_up(self) -> None:
        answer = await self.bye()
        assert answer.status == 200, f"the honest BYE got {answer.status} {answer.reason}"

    async def bye(self, cseq: int | None = None) -> Response:
        """The answer to a BYE, by its proper number or a given one."""
        if cseq is not None:
            self._cseq = cseq - 1
        request = parse_message(self.request("BYE"))
        assert isinstance(request, Request)
        return await self._caller.transact(request)


class Spoofer:
    """Sends from any address of 127.0.0.0/8 by one socket."""

    def __init__(self, gateway: Address) -> None:
        self.gateway = gateway
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(("0.0.0.0", 0))

    def send(self, data: bytes, host: str) -> None:
        """As if from `host`: Linux takes the source address of IP_PKTINFO."""
        info = bytes(4) + socket.inet_aton(host) + bytes(4)
        with suppress(BlockingIOError):
            self._socket.sendmsg([data], [(socket.IPPROTO_IP, _IP_PKTINFO, info)], 0, self.gateway)

    def close(self) -> None:
        self._socket.close()


#: <linux/in.h>; the socket module names it from Python 3.12 on.
_IP_PKTINFO = 8


def _hostport(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
