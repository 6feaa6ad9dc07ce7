"""Calls through a whole gateway, over SIP: early media, keys, holds, hunting, encryption.

Each is proven both ways, and each has a record that says how it ended.
"""

import asyncio
import contextlib
import math
import random
import socket
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

from sip.core.info_keys import RELAY
from sip.core.message import Request, Response
from sip.core.parser import parse_message
from sip.core.sdp import parse
from sip.core.sdp_crypto import Suite
from sip.transport.endpoint import Endpoint
from tests.interop.harness.gateway import PLAIN, WITH_FALLBACK, Gateway, Holdings
from tests.interop.harness.network import Network, Party
from tests.ladder import Peer
from tests.soak.media_calls import KEY_S
from tests.soak.media_phone import KEYS, NUMBERS, SoakPhone

Json = dict[str, Any]

WARM_UP = 40
AT_ONCE = 12
#: By which a call that comes out is known as the one that went in.
_HEADER = "X-Soak"
_ALLOW = ("Allow", "INVITE, ACK, BYE, CANCEL, INFO")


@dataclass(frozen=True)
class Story:
    """What happens in one call."""

    number: int
    codecs: tuple[str, str]
    suite: Suite | None
    keys: str
    by_info: bool
    early: bool
    given_up: bool
    hunted: bool
    held: bool

    @classmethod
    def of(cls, number: int) -> Self:
        draw = random.Random(number)
        hunted = draw.random() < 0.15
        return cls(
            number=number,
            codecs=(draw.choice(["PCMU", "PCMA", "G722"]), draw.choice(["PCMU", "PCMA", "G722"])),
            suite=draw.choice([None, None, *Suite]),
            keys="".join(draw.choices(KEYS, k=2)) if draw.random() < 0.4 else "",
            by_info=draw.random() < 0.5,
            early=not hunted and draw.random() < 0.3,  # nobody else is asked after early media
            given_up=draw.random() < 0.08,
            hunted=hunted,
            held=draw.random() < 0.25,
        )

    @property
    def kinds(self) -> list[str]:
        told = [" to ".join(self.codecs), "SRTP" if self.suite else "RTP"]
        told += [name for name in ("early", "given_up", "hunted", "held") if getattr(self, name)]
        return told + ["INFO" if self.by_info else "events"] * bool(self.keys)


class Switchboard:
    """Hands what comes to a party's SIP port to the peer that has the call."""

    def __init__(self, party: Party) -> None:
        self._calls: dict[str, Peer] = {}
        self._awaited: dict[str, Peer] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((party.host, party.port))

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._socket, self._read)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def awaits(self, number: int, peer: Peer) -> None:
        self._awaited[str(number)] = peer

    def _read(self) -> None:
        data = self._socket.recv(65535)
        message = parse_message(data)
        mark = message.headers.get(_HEADER)
        if message.call_id not in self._calls and mark is not None:
            self._calls[message.call_id] = self._awaited[mark]
        peer = self._calls.get(message.call_id)
        if peer is not None:  # else it is an OPTIONS
            self._socket.sendto(data, (peer.host, peer.port))


class SoakCall:
    """One call through the gateway."""

    def __init__(self, story: Story, at: Endpoint, network: Network, boards: list[Switchboard]):
        self._story = story
        self._rng = random.Random(story.number)
        self._agents, self._pbxs = boards
        self._line = Peer("carrier", at, 0, network.carrier_a.host)
        self._agent = Peer("agent", at, 0, network.retell.host)
        self._pbx = Peer("pbx", at, 0, network.pbx.host)
        self._agents.awaits(story.number, self._agent)
        self._pbxs.awaits(story.number, self._pbx)
        self._phones: list[SoakPhone] = []

    async def run(self) -> None:
        """AssertionError where something is not as it should be."""
        try:
            await self._story_told()
        finally:
            for phone in self._phones:
                phone.close()
            for peer in (self._line, self._agent, self._pbx):
                await peer.close()

    def _phone(self, tag: str, side: int) -> SoakPhone:
        suite = self._story.suite if side == 0 else None
        phone = SoakPhone(tag, self._story.codecs[side], suite, self._rng, insists=False)
        phone.events = side == 1 or not self._story.by_info
        self._phones.append(phone)
        return phone

    async def _story_told(self) -> None:
        story = self._story
        a, b, line, callee = self._phone("A", 0), self._phone("B", 1), self._line, self._agent
        await line.send(
            "INVITE",
            sdp=a.described(),
            headers=((_HEADER, str(story.number)), _ALLOW),
            to=WITH_FALLBACK if story.hunted else PLAIN,
        )
        await line.expect(100)
        _tell(b, await callee.expect("INVITE"))
        if story.early:
            await callee.send(183, sdp=b.answer_to())
            _tell(a, await line.expect(183))
            await a.speaks_with(b)
        else:
            await callee.send(180)
            await line.expect(180)
        if story.given_up:
            await self._give_up()
            return
        if story.hunted:
            await callee.send(503)
            await callee.expect("ACK")
            b, callee = self._phone("C", 1), self._pbx
            _tell(b, await callee.expect("INVITE"))
        await callee.send(200, sdp=b.answer_to())
        await callee.expect("ACK")
        _tell(a, await line.expect(200, of="INVITE"))
        await line.send("ACK")
        await a.speaks_with(b)
        await self._keys(a, b)
        if story.held:
            await self._hold(a, b, callee)
        await a.speaks_with(b)
        assert b.keys_heard() == story.keys
        if story.number % 2:
            await line.hang_up()
            await callee.is_hung_up()
        else:
            await callee.hang_up()
            await line.is_hung_up()

    async def _give_up(self) -> None:
        line, callee = self._line, self._agent
        await line.send("CANCEL")
        await line.expect(200, of="CANCEL")
        await line.expect(487)
        await line.send("ACK")
        await callee.expect("CANCEL")
        await callee.send(200, answering="CANCEL")
        await callee.send(487)
        await callee.expect("ACK")

    async def _keys(self, a: SoakPhone, b: SoakPhone) -> None:
        for count, key in enumerate(self._story.keys, start=1):
            if self._story.by_info:
                body = f"Signal={key}\r\nDuration=120\r\n"
                await self._line.send("INFO", sdp=body, headers=(("Content-Type", RELAY),))
                await self._line.expect(200, of="INFO")
            else:
                a.press(key)
            await b.until(partial(_as_many, b, count), f"the key {key}")
        if self._story.keys:
            await asyncio.sleep(KEY_S)

    async def _hold(self, a: SoakPhone, b: SoakPhone, callee: Peer) -> None:
        """By re-INVITE, and back."""
        for ours, theirs in (("sendonly", "recvonly"), ("sendrecv", "sendrecv")):
            a.direction, b.direction = ours, theirs
            await self._line.send("INVITE", sdp=a.described())
            await self._line.expect(100)
            _tell(b, await callee.expect("INVITE"))
            await callee.send(200, sdp=b.answer_to())
            await callee.expect("ACK")
            _tell(a, await self._line.expect(200, of="INVITE"))
            await self._line.send("ACK")


def _as_many(phone: SoakPhone, count: int) -> bool:
    return len(phone.keys_heard()) >= count


def _tell(phone: SoakPhone, message: Request | Response) -> None:
    phone.hear_of(message.body.decode())
    audio = parse(phone.told).audio
    assert audio is not None
    names = [codec.name.upper() for codec in audio.rtpmap().values()]
    if phone.codec not in names:  # it was not offered
        phone.codec = next(name for name in names if name in NUMBERS)


@dataclass
class Report:
    """What came of it: `problems` is empty where all went well."""

    calls: int = 0
    seconds: float = 0.0
    before: Holdings | None = None
    after: Holdings | None = None
    kinds: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.calls} calls in {self.seconds:.0f} s; before {self.before}, after {self.after};"
            f" of them {dict(self.kinds.most_common())}"
        )


def change(settings: Json) -> None:
    """The carrier may encrypt; the mark of a call goes through."""
    carrier, _, pbx = settings["trunks"]
    carrier["media"] = {"srtp": "optional"}
    for trunk in (carrier, pbx):
        trunk["pass_headers"] = {"inbound": [_HEADER], "outbound": [_HEADER]}
    settings["retell"]["ring_timeout_s"] = 20


async def gateway_calls(count: int, gateway: Gateway) -> Report:
    """`count` calls, `AT_ONCE` at once, after `WARM_UP` others; no other call may be in it."""
    report, network = Report(), gateway.network
    with Switchboard(network.retell) as agents, Switchboard(network.pbx) as pbxs:
        warm_up = Report()
        await _calls(range(WARM_UP), gateway, [agents, pbxs], warm_up)
        report.problems += warm_up.problems
        for _ in range(20):
            report.before = await gateway.holdings()
            if not report.before.live_calls:
                break
            await asyncio.sleep(0.2)
        now = asyncio.get_running_loop().time
        began = now()
        await _calls(range(WARM_UP, WARM_UP + count), gateway, [agents, pbxs], report)
        report.seconds = now() - began
    await _judge(gateway, WARM_UP + count, report)
    return report


async def _calls(
    numbers: range, gateway: Gateway, boards: list[Switchboard], report: Report
) -> None:
    at = Endpoint("udp", gateway.network.gateway.host, gateway.network.gateway.port)
    waiting = iter(numbers)

    async def line() -> None:
        for number in waiting:
            story = Story.of(number)
            report.calls += 1
            report.kinds.update(story.kinds)
            try:
                await SoakCall(story, at, gateway.network, boards).run()
            except Exception as error:
                report.problems.append(f"{story}: {error!r}")

    await asyncio.gather(*(line() for _ in range(AT_ONCE)))


async def _judge(gateway: Gateway, calls: int, report: Report) -> None:
    """Calls are endings: a record for each, which says what its caller did."""
    stories = [Story.of(number) for number in range(calls)]
    records: list[Json] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            while len(records) < calls or not all(each["ended_at"] for each in records):
                await asyncio.sleep(0.2)
                records = await gateway.calls()
    causes = Counter(each["cause"] for each in records)
    given_up = sum(story.given_up for story in stories)
    if causes != {"cancelled": given_up, "hangup": calls - given_up}:
        report.problems.append(f"{calls} calls, {given_up} given up, and records say {causes}")
    pressed = sum(len(story.keys) for story in stories if not story.given_up)
    for leg, figure in (("a", "keys_received"), ("b", "keys_sent")):
        told = sum((each["media"] or {}).get(leg, {}).get(figure) or 0 for each in records)
        if told != pressed:
            report.problems.append(f"{pressed} keys were pressed, and {figure} of {leg} is {told}")
    ports = math.inf
    for _ in range(20):  # it asks its engine each half a second
        ports = (await gateway.metrics())["gateway_media_ports_in_use"]
        if not ports:
            break
        await asyncio.sleep(0.2)
    else:
        report.problems.append(f"{ports:.0f} ports are in use")
    report.problems += gateway.problems()
    report.after = await gateway.holdings()
    if report.before is not None and _grew(report.before, report.after):
        report.problems.append(f"held before: {report.before}; after: {report.after}")


def _grew(before: Holdings, after: Holdings) -> bool:
    """Transactions are not looked at: they stay for 32 s."""
    more = sum(after.sockets) > sum(before.sockets) or after.tasks > before.tasks
    return bool(more or after.live_calls or after.legs)
