"""A stretch of network that loses, repeats and delays datagrams, and phones that cope with it.

The phones are simple on purpose: each repeats what was not answered yet and answers what comes
again. They share only the grammar with what is tested.
"""

import asyncio
import itertools
import random
import re
import socket
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any

from sip.core.message import Headers, Request, Response, make_response
from sip.core.parser import parse_message
from sip.transport.endpoint import Endpoint
from tests.ladder import PCMU

T1_S, T2_S, GIVE_UP_S = 0.5, 4.0, 32.0
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """What becomes of a datagram: shares from 0 to 1, delays in seconds.

    Each copy has a delay of its own, so that later ones overtake earlier ones.
    """

    lost: float = 0.2
    repeated: float = 0.2
    delay_s: tuple[float, float] = (0.0, 0.3)


class BadNetwork:
    """One UDP address in a phone's place: what the gateway sends there reaches the phone, and what
    the phone sends there the gateway, in so far as the weather lets it.
    """

    def __init__(self, seed: int, weather: Weather, host: str = "127.0.0.1", port: int = 0) -> None:
        """Without `port` any free one."""
        self.socket = _bound(host, port)
        self.port = self.socket.getsockname()[1]
        self.address = (host, self.port)
        self.fate: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._weather = weather
        self._phone = self._gateway = ("", 0)

    def open(self, phone: tuple[str, int], gateway: Endpoint) -> None:
        self._phone = phone
        self._gateway = (gateway.host, gateway.port)
        asyncio.get_running_loop().add_reader(self.socket.fileno(), self._carry)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket.fileno())
        self.socket.close()

    def _carry(self) -> None:
        data, source = self.socket.recvfrom(65535)
        target = self._phone if source == self._gateway else self._gateway
        copies = 2 if self._random.random() < self._weather.repeated else 1
        self.fate["repeated"] += copies - 1
        for _ in range(copies):
            if self._random.random() < self._weather.lost:
                self.fate["lost"] += 1
                continue
            self.fate["passed"] += 1
            delay_s = self._random.uniform(*self._weather.delay_s)
            asyncio.get_running_loop().call_later(delay_s, self._deliver, data, target)

    def _deliver(self, data: bytes, target: tuple[str, int]) -> None:
        if self.socket.fileno() >= 0:
            self.socket.sendto(data, target)


@dataclass
class Half:
    """A phone's half of one call."""

    tag: str
    invite: Request | None = None
    answer: Response | None = None
    #: the other side's tags that were answered: more than one would be a second leg
    answered: set[str] = field(default_factory=set)
    acknowledged: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    status: asyncio.Future[int] = field(default_factory=asyncio.Future)
    provisional: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    refused: bool = False
    cseq: int = 1
    #: the reliable responses that were seen, by RSeq, and which of our requests were answered
    reliable: set[str] = field(default_factory=set)
    settled: dict[int, asyncio.Event] = field(default_factory=dict)
    pracked: asyncio.Event = field(default_factory=asyncio.Event)
    last: dict[str, bytes] = field(default_factory=dict)


class Phone:
    """Places calls and takes them. All it sends goes to the network at `way`.

    It rings for some time within `rings_s`, and hangs up what it took for `ends`, after so many
    seconds; other calls the caller ends. `reliable`: it demands reliable provisional responses of
    whom it calls, and sends them itself (RFC 3262). `login` answers the challenges of its calls,
    which come from `number`.
    """

    def __init__(
        self,
        way: tuple[str, int],
        *,
        rings_s: tuple[float, float] = (0.4, 0.4),
        talk_s: float = 6.0,
        ends: str = "",
        reliable: bool = False,
        login: tuple[str, str] | None = None,
        number: str = "+12125550101",
    ) -> None:
        self.socket = _bound("127.0.0.1", 0)
        self.address = ("127.0.0.1", self.socket.getsockname()[1])
        self.placed: dict[str, Half] = {}
        self.taken: dict[str, Half] = {}
        self._way = way
        self._host = f"{way[0]}:{way[1]}"
        self._rings_s = rings_s
        self._random = random.Random(way[1])
        self._talk_s = talk_s
        self._ends = ends
        self._reliable = reliable
        self._login = login
        self._number = number
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        asyncio.get_running_loop().add_reader(self.socket.fileno(), self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket.fileno())
        self.socket.close()
        for task in self._tasks:
            task.cancel()

    # calling

    async def call(self, number: str, gives_up_s: float | None = None) -> int:
        """Place a call and stay in it to its end, or give it up; the status that it got."""
        half = Half(tag=f"caller{next(_numbers)}")
        call_id = f"{half.tag}@phone"
        self.placed[call_id] = half
        half.invite = self._request("INVITE", call_id, half, number, 1, PCMU)
        if self._reliable:
            half.invite.headers.add("require", "100rel")
        await self._repeat(half.invite.to_bytes(), half.provisional, GIVE_UP_S)
        if self._login is not None:
            await self._prove(half, call_id, number)
        if gives_up_s is not None:
            await asyncio.wait([half.status], timeout=gives_up_s)
            if not half.status.done():
                cancel = self._request("CANCEL", call_id, half, number, half.invite.cseq.number)
                cancel.headers.set("via", half.invite.headers.get("via") or "")
                await self._repeat(cancel.to_bytes(), half.cancelled, T2_S)
        async with asyncio.timeout(300):
            status = await half.status
            if status >= 300:
                return status
            if number == self._ends:
                await half.ended.wait()
            else:
                await asyncio.sleep(self._talk_s)
                await self._hang_up(call_id, half)
        return status

    async def _prove(self, half: Half, call_id: str, number: str) -> None:
        """Wait for the challenge and call once more, with a digest (RFC 3261 22.2)."""
        async with asyncio.timeout(GIVE_UP_S):
            assert await half.status == 407
        assert half.answer is not None
        assert self._login is not None
        challenges = half.answer.headers.get_all("proxy-authenticate")
        challenge = next(value for value in challenges if "MD5" in value)
        half.status, half.answer = asyncio.Future(), None
        half.provisional.clear()
        half.cseq += 1
        invite = self._request("INVITE", call_id, half, number, half.cseq, PCMU)
        invite.headers.add("proxy-authorization", _digest(challenge, self._login, invite.uri))
        half.invite = invite
        await self._repeat(invite.to_bytes(), half.provisional, GIVE_UP_S)

    async def _hang_up(self, call_id: str, half: Half) -> None:
        half.cseq += 1
        bye = self._request("BYE", call_id, half, "", half.cseq)
        await self._repeat(bye.to_bytes(), half.ended, T2_S)
        assert half.ended.is_set(), "nobody answered the BYE"

    # below

    async def _repeat(self, data: bytes, enough: asyncio.Event, longest_s: float) -> None:
        """Send at T1, doubling up to `longest_s`, until it is enough or 64*T1 are over."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + GIVE_UP_S
        wait_s = T1_S
        while not enough.is_set() and loop.time() < give_up:
            self._send(data)
            try:
                async with asyncio.timeout(min(wait_s, give_up - loop.time())):
                    await enough.wait()
            except TimeoutError:
                wait_s = min(2 * wait_s, longest_s)

    def _request(
        self, method: str, call_id: str, half: Half, number: str, cseq: int, sdp: str = ""
    ) -> Request:
        invite, answer = half.invite, half.answer
        headers = Headers()
        branch = f"z9hG4bK-{half.tag}-{method}-{cseq}"
        headers.add("via", f"SIP/2.0/UDP {self._host};branch={branch};rport")
        headers.add("max-forwards", "70")
        uri = f"sip:{number}@127.0.0.1"
        if call_id in self.taken:
            assert invite is not None
            assert invite.contact is not None
            headers.add("from", str(invite.to.with_param("tag", half.tag)))
            headers.add("to", str(invite.from_))
            uri = str(invite.contact.uri)
        else:
            headers.add("from", f"<sip:{self._number}@127.0.0.1>;tag={half.tag}")
            headers.add("to", f"<{uri}>" if answer is None else str(answer.to))
            if answer is not None and answer.contact is not None:
                uri = str(answer.contact.uri)
        headers.add("call-id", call_id)
        headers.add("cseq", f"{cseq} {method}")
        headers.add("contact", self._contact)
        if sdp:
            headers.add("content-type", "application/sdp")
        return Request(method, uri, headers, sdp.encode())

    @property
    def _contact(self) -> str:
        return f"<sip:{self._host}>"

    def _send(self, data: bytes) -> None:
        self.socket.sendto(data, self._way)

    def _read(self) -> None:
        message = parse_message(self.socket.recv(65535))
        if isinstance(message, Response):
            self._on_response(message)
        else:
            self._on_request(message)

    def _on_response(self, response: Response) -> None:
        half = self.placed.get(response.call_id) or self.taken[response.call_id]
        if response.cseq.method == "PRACK":
            half.settled[response.cseq.number].set()
            return
        if response.cseq.method != "INVITE":
            (half.ended if response.cseq.method == "BYE" else half.cancelled).set()
            return
        assert half.invite is not None
        if response.cseq.number != half.invite.cseq.number:  # the challenge once more
            self._send(half.last["ACK"])
            return
        half.provisional.set()
        if response.status < 200:
            self._acknowledge_early(half, response)
            return
        half.answer = response
        if response.status < 300:
            half.answered.add(response.to.tag or "")
        ack = self._request("ACK", response.call_id, half, "", half.invite.cseq.number)
        if response.status >= 300:
            ack.headers.set("via", half.invite.headers.get("via") or "")
        half.last["ACK"] = ack.to_bytes()
        self._send(half.last["ACK"])
        if not half.status.done():
            half.status.set_result(response.status)

    def _acknowledge_early(self, half: Half, response: Response) -> None:
        """PRACK each reliable response once, until that is answered (RFC 3262 4)."""
        rseq = response.headers.get("rseq")
        if rseq is None or rseq in half.reliable or half.answer is not None:
            return
        half.reliable.add(rseq)
        half.cseq += 1
        half.answer = response
        prack = self._request("PRACK", response.call_id, half, "", half.cseq)
        half.answer = None
        prack.headers.add("rack", f"{rseq} {response.cseq.number} INVITE")
        answered = half.settled[half.cseq] = asyncio.Event()
        self._start(self._repeat(prack.to_bytes(), answered, T2_S))

    def _on_request(self, request: Request) -> None:
        if request.method == "INVITE":
            self._on_invite(request)
            return
        half = self.taken.get(request.call_id) or self.placed[request.call_id]
        if request.method == "CANCEL":
            self._send(make_response(request, 200, to_tag=half.tag).to_bytes())
            self._refuse(half)
            return
        if request.method == "PRACK":
            self._send(make_response(request, 200, to_tag=half.tag).to_bytes())
            half.pracked.set()
            return
        half.acknowledged.set()
        if request.method != "ACK" or half.refused:
            half.ended.set()
        if request.method != "ACK":
            self._send(make_response(request, 200, to_tag=half.tag).to_bytes())

    def _refuse(self, half: Half) -> None:
        """It was cancelled, unless it is answered already."""
        if half.refused or half.answered:
            return
        half.refused = True
        self._respond(half, 487)
        self._start(self._repeat(half.last["INVITE"], half.acknowledged, T2_S))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_invite(self, invite: Request) -> None:
        half = self.taken.get(invite.call_id)
        if half is not None:
            if "INVITE" in half.last:
                self._send(half.last["INVITE"])
            return
        half = self.taken[invite.call_id] = Half(tag=f"callee{next(_numbers)}", invite=invite)
        self._start(self._answer(half))

    async def _answer(self, half: Half) -> None:
        self._respond(half, 180)
        if self._reliable:
            await self._repeat(half.last["INVITE"], half.pracked, GIVE_UP_S)
        await asyncio.sleep(self._random.uniform(*self._rings_s))
        if half.refused:
            return
        self._respond(half, 200, PCMU)
        half.answered.add(half.tag)
        await self._repeat(half.last["INVITE"], half.acknowledged, T2_S)
        assert half.invite is not None
        if half.invite.request_uri.user == self._ends:
            await asyncio.sleep(self._talk_s)
            await self._hang_up(half.invite.call_id, half)

    def _respond(self, half: Half, status: int, sdp: str = "") -> None:
        assert half.invite is not None
        reliable = [("Require", "100rel"), ("RSeq", "1")] if self._reliable and status < 200 else []
        response = make_response(
            half.invite,
            status,
            to_tag=half.tag,
            headers=[("Contact", self._contact), *reliable],
            body=sdp.encode(),
            content_type="application/sdp" if sdp else None,
        )
        half.last["INVITE"] = response.to_bytes()
        self._send(half.last["INVITE"])


def _digest(challenge: str, login: tuple[str, str], uri: str) -> str:
    """RFC 7616 3.4.1 with MD5 and qop=auth, worked out here once more."""
    given = dict(re.findall(r'(\w+)="?([^",]+)', challenge))
    user, password = login

    def h(text: str) -> str:
        return md5(text.encode()).hexdigest()

    secret, request = h(f"{user}:{given['realm']}:{password}"), h(f"INVITE:{uri}")
    response = h(f"{secret}:{given['nonce']}:00000001:cn:auth:{request}")
    return (
        f'Digest username="{user}", realm="{given["realm"]}", nonce="{given["nonce"]}", '
        f'uri="{uri}", response="{response}", algorithm=MD5, qop=auth, nc=00000001, cnonce="cn"'
    )


def _bound(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    bound.bind((host, port))
    bound.setblocking(False)
    return bound
