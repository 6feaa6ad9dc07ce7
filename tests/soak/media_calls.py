"""Thousands of short calls against one running relay: all codecs, encryption, keys, holds, hunting.

What a call does is drawn by its number, so that one which fails can be repeated. Nothing of them
may be left: no port, descriptor, memory; and none may be lost.
"""

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Self

from sip.core.sdp_crypto import Suite
from sip.media.events import Digit, MediaEvent, Played
from sip.media.ng.relay import RelayClient
from sip.media.supervisor import RelayOptions, RelayProcess
from tests.media.desk import FORMAT, SAMPLES
from tests.media.talk import Socket, rtp
from tests.soak.media_phone import KEYS, SoakPhone

#: Calls that come before anything is measured: codecs are loaded, caches are full.
WARM_UP = 200
#: What the relay may have grown by: it remembers its replies of the last 30 s, some 13 MB.
GROWN_KB = 24_000
AT_ONCE = 32
PORTS = (27000, 27999)
#: A sound of 100 ms that is played at some.
SOUND = b"RIFF\0\0\0\0WAVE" + FORMAT + b"data" + len(SAMPLES).to_bytes(4, "little") + SAMPLES
GARBAGE = 12
#: Until a key that has ended is over: its end is sent three times.
KEY_S = 0.3
_CODECS = [
    ("PCMU", "PCMU"), ("PCMU", "PCMU"), ("PCMA", "PCMU"), ("PCMU", "PCMA"), ("G722", "G722"),
    ("G722", "PCMU"), ("PCMA", "G722"), ("OPUS", "PCMU"),
]  # fmt: skip
_SUITES = [None, None, *Suite]


@dataclass(frozen=True)
class Story:
    """What happens in one call."""

    number: int
    codecs: tuple[str, str]
    suites: tuple[Suite | None, Suite | None]
    keys: str
    given_up: bool
    hunted: bool
    held: bool
    played: bool
    garbage: bool

    @classmethod
    def of(cls, number: int) -> Self:
        draw = random.Random(number)
        codecs = draw.choice(_CODECS)
        keyed = "OPUS" not in codecs and draw.random() < 0.3
        return cls(
            number=number,
            codecs=codecs,
            suites=(draw.choice(_SUITES), draw.choice(_SUITES)),
            keys="".join(draw.choices(KEYS, k=3)) if keyed else "",
            given_up=draw.random() < 0.08,
            hunted=draw.random() < 0.15,
            held=draw.random() < 0.2,
            played=draw.random() < 0.1,
            garbage=draw.random() < 0.2,
        )

    @property
    def kinds(self) -> list[str]:
        encrypted = sum(suite is not None for suite in self.suites)
        told = [" to ".join(self.codecs), f"SRTP on {encrypted} legs"]
        told += [name for name in ("given_up", "hunted", "held", "played", "garbage")
                 if getattr(self, name)]  # fmt: skip
        return told + ["keys"] * bool(self.keys)


class SoakCall:
    """One call through the relay."""

    def __init__(self, plane: RelayClient, story: Story) -> None:
        self._plane = plane
        self._story = story
        self._rng = random.Random(story.number)
        self._id = f"soak-{story.number}"
        self._events: list[MediaEvent] = []
        self._news = asyncio.Event()
        self._phones: list[SoakPhone] = []
        self.packets = 0

    async def run(self) -> None:
        """AssertionError where something is not as it should be."""
        story = self._story
        self._plane.listen(self._id, self._hear)
        a, b = self._phone("A", 0), self._phone("B", 1)
        try:
            await self._offer(a, b)
            if story.given_up:
                await self._plane.delete(self._id)
                return
            if story.hunted:  # the first carrier has early media, and does not take the call
                await self._answer(a, b)
                await a.speaks_with(b)
                b = self._phone("C", 1)
                await self._offer(a, b)
            await self._answer(a, b)
            await a.speaks_with(b)
            await self._keys(a, b)
            if story.held:
                await self._hold(a, b)
            if story.played:
                await self._plane.play(self._id, "A", SOUND, 1)
                await self._until(lambda: any(isinstance(each, Played) for each in self._events))
            if story.garbage:
                self._throw(a, b)
            await a.speaks_with(b)
            await self._end(a, b)
        finally:
            for phone in self._phones:
                self.packets += phone.said + len(phone.heard)
                phone.close()

    def _hear(self, event: MediaEvent) -> None:
        self._events.append(event)
        self._news.set()

    def _phone(self, tag: str, side: int) -> SoakPhone:
        codec, suite = self._story.codecs[side], self._story.suites[side]
        phone = SoakPhone(tag, codec, suite, self._rng, insists=side == 1)
        self._phones.append(phone)
        return phone

    async def _until(self, come: object) -> None:
        assert callable(come)
        async with asyncio.timeout(10):
            while not come():
                self._news.clear()
                await self._news.wait()

    async def _offer(self, a: SoakPhone, b: SoakPhone, *, again: bool = False) -> None:
        told = await self._plane.offer(
            self._id, a.tag, a.described(), to_tag=b.tag if again else None,
            sender=a.terms, reader=b.terms,
        )  # fmt: skip
        b.hear_of(told)

    async def _answer(self, a: SoakPhone, b: SoakPhone) -> None:
        a.hear_of(
            await self._plane.answer(
                self._id, a.tag, b.tag, b.answer_to(), sender=b.terms, reader=a.terms
            )
        )

    async def _keys(self, a: SoakPhone, b: SoakPhone) -> None:
        """Each is told once, and heard once."""
        keys = self._story.keys
        for count, key in enumerate(keys, start=1):
            a.press(key)
            await self._until(lambda count=count: len(self.digits) >= count)
        if keys:
            await b.until(lambda: len(b.keys_heard()) >= len(keys), f"the keys {keys}")
            await asyncio.sleep(KEY_S)  # nothing else is heard until a key's last packet

    @property
    def digits(self) -> str:
        return "".join(each.digit for each in self._events if isinstance(each, Digit))

    async def _hold(self, a: SoakPhone, b: SoakPhone) -> None:
        """By re-INVITE, and back."""
        await self._taken(a, b)
        a.direction, b.direction = "sendonly", "recvonly"
        await self._offer(a, b, again=True)
        await self._answer(a, b)
        a.direction = b.direction = "sendrecv"
        await self._offer(a, b, again=True)
        await self._answer(a, b)

    def _throw(self, a: SoakPhone, b: SoakPhone) -> None:
        """A stranger's noise and forged packets, at all ports of the call."""
        stranger = Socket("127.0.99.1")
        for number in range(GARBAGE):
            forged = rtp(number % 9, number, 160 * number, number, self._rng.randbytes(160))
            packet = self._rng.randbytes(number) if number % 3 else forged
            for port in (a.told_port, a.told_port + 1, b.told_port, b.told_port + 1):
                stranger.send(packet, port)
        stranger.close()

    async def _taken(self, a: SoakPhone, b: SoakPhone) -> None:
        """Returns once all that the phones said is read: requests may overtake packets."""
        async with asyncio.timeout(10):
            while True:
                parties = (await self._plane.query(self._id)).parties
                if all(parties[each.tag].packets_received >= each.said for each in (a, b)):
                    return
                await asyncio.sleep(0.01)

    async def _end(self, a: SoakPhone, b: SoakPhone) -> None:
        await self._taken(a, b)
        stats = await self._plane.delete(self._id)
        assert self.digits == b.keys_heard() == self._story.keys
        thrown = 2 * GARBAGE * self._story.garbage
        assert set(stats.parties) == {a.tag, b.tag}
        for phone in (a, b):
            await phone.agrees_with(stats.parties[phone.tag], thrown=thrown)


@dataclass
class Held:
    """What a process holds."""

    descriptors: int
    memory_kb: int

    @classmethod
    def of(cls, pid: int) -> Self:
        with open(f"/proc/{pid}/status") as status:
            [rss] = [line.split()[1] for line in status if line.startswith("VmRSS")]
        return cls(len(os.listdir(f"/proc/{pid}/fd")), int(rss))


@dataclass
class Report:
    """What came of it: `problems` is empty where all went well."""

    calls: int = 0
    packets: int = 0
    seconds: float = 0.0
    before: Held | None = None
    after: Held | None = None
    kinds: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.calls} calls in {self.seconds:.0f} s ({self.calls / self.seconds:.0f}/s),"
            f" {self.packets} packets; before {self.before}, after {self.after}; of them"
            f" {dict(self.kinds.most_common())}"
        )


@contextlib.asynccontextmanager
async def relay() -> AsyncIterator[RelayProcess]:
    """A relay of its own for the soak."""
    options = RelayOptions(advertise="127.0.0.1", listen="127.0.0.1", ports=PORTS, drain_s=1)
    async with RelayProcess(options) as process:
        yield process


async def media_calls(count: int, process: RelayProcess) -> Report:
    """`count` calls, `AT_ONCE` at once, after `WARM_UP` others."""
    report = Report()
    warm_up = Report()
    await _calls(range(WARM_UP), process.plane, warm_up)
    report.problems += warm_up.problems
    report.before = Held.of(process.pid)
    began = time.monotonic()
    await _calls(range(WARM_UP, WARM_UP + count), process.plane, report)
    report.seconds = time.monotonic() - began
    await _nothing_left(process.plane, WARM_UP + count, report)
    report.after = Held.of(process.pid)
    if report.after.descriptors != report.before.descriptors:
        report.problems.append(f"descriptors: {report.before} before, {report.after} after")
    if report.after.memory_kb - report.before.memory_kb > GROWN_KB:
        report.problems.append(f"memory: {report.before} before, {report.after} after")
    return report


async def _calls(numbers: range, plane: RelayClient, report: Report) -> None:
    waiting = iter(numbers)

    async def line() -> None:
        for number in waiting:
            story = Story.of(number)
            call = SoakCall(plane, story)
            report.calls += 1
            report.kinds.update(story.kinds)
            try:
                await call.run()
            except Exception as error:
                report.problems.append(f"{story}: {error!r}")
                with contextlib.suppress(Exception):
                    await plane.delete(f"soak-{number}")
            report.packets += call.packets

    await asyncio.gather(*(line() for _ in range(AT_ONCE)))


async def _nothing_left(plane: RelayClient, calls: int, report: Report) -> None:
    """Calls are endings, and no port is in use."""
    await plane.ping()
    assert plane.ports is not None
    if plane.ports[0]:
        report.problems.append(f"{plane.ports[0]} ports are in use")
    statistics = await plane.statistics()
    if (statistics.sessions, statistics.ended) != (0, calls):
        report.problems.append(f"{calls} calls were made, and the relay says {statistics}")
