"""The NG client against an engine that loses, repeats and garbles; the clock is ours."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest

from sip.clock import Timer
from sip.media.ng.bencode import Encodable
from sip.media.ng.client import FIRST_WAIT_S, TIMEOUT_S, NgClient
from sip.media.ng.form import Form, decode, encode
from sip.media.ng.relay import RelayClient
from sip.media.ng.reports import stats_of
from sip.media.plane import MediaError
from sip.media.terms import Signalling

SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0 8\r\n"
)


class HandClock:
    """A clock that stands until `advance`."""

    def __init__(self) -> None:
        self._now = 0.0
        self._count = 0
        self._timers: list[tuple[float, int, HandTimer]] = []

    def now(self) -> float:
        return self._now

    def epoch(self) -> float:
        return 1.8e9 + self._now

    def call_later(self, delay_s: float, callback: Callable[..., None], *args: object) -> Timer:
        timer = HandTimer(callback, args)
        self._count += 1
        heapq.heappush(self._timers, (self._now + delay_s, self._count, timer))
        return timer

    def advance(self, seconds: float) -> None:
        end = self._now + seconds
        while self._timers and self._timers[0][0] <= end:
            self._now, _, timer = heapq.heappop(self._timers)
            if not timer.cancelled:
                timer.callback(*timer.args)
        self._now = end

    @property
    def running(self) -> int:
        return sum(not timer.cancelled for _, _, timer in self._timers)


class HandTimer:
    def __init__(self, callback: Callable[..., None], args: tuple[object, ...]) -> None:
        self.callback = callback
        self.args = args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Engine(asyncio.DatagramProtocol):
    """Keeps what it receives; the test answers."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.requests.put_nowait((data, addr))

    async def next(self) -> tuple[bytes, dict[str, object], tuple[str, int]]:
        async with asyncio.timeout(5):
            data, source = await self.requests.get()
        cookie, _, body = data.partition(b" ")
        return cookie, dict(decode(body)[0]), source

    def reply(self, cookie: bytes, source: tuple[str, int], **keys: Encodable) -> None:
        self.reply_raw(cookie + b" " + encode(keys, Form.BENCODE), source)

    def reply_raw(self, data: bytes, source: tuple[str, int]) -> None:
        assert self._transport is not None
        self._transport.sendto(data, source)


@pytest.fixture
async def engine() -> AsyncIterator[tuple[Engine, tuple[str, int]]]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Engine, local_addr=("127.0.0.1", 0))
    yield protocol, transport.get_extra_info("sockname")
    transport.close()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def client(
    engine: tuple[Engine, tuple[str, int]], clock: HandClock
) -> AsyncIterator[NgClient]:
    client = await NgClient.connect(engine[1], clock=clock)
    yield client
    await client.close()
    assert clock.running == 0


@pytest.fixture
def peer(engine: tuple[Engine, tuple[str, int]]) -> Engine:
    return engine[0]


async def test_a_request_is_repeated_unchanged_with_growing_pauses(
    client: NgClient, peer: Engine, clock: HandClock
) -> None:
    task = asyncio.create_task(client.ping())
    first, _, source = await peer.next()
    for wait in (1, 2, 4):
        clock.advance(FIRST_WAIT_S * wait - 0.001)
        assert peer.requests.empty()
        clock.advance(0.002)
        cookie, _, _ = await peer.next()
        assert cookie == first
    peer.reply(first, source, result="pong")
    peer.reply(first, source, result="pong")  # each repetition is answered
    await task


async def test_silence_is_a_timeout(client: NgClient, peer: Engine, clock: HandClock) -> None:
    task = asyncio.create_task(client.query("c"))
    await peer.next()
    clock.advance(TIMEOUT_S)
    with pytest.raises(MediaError, match="no answer from 127") as silent:
        await task
    assert silent.value.slug == "timeout"


async def test_an_engine_that_is_not_there_is_a_timeout_that_says_so(clock: HandClock) -> None:
    """It may be starting: the refusal alone must not end the attempt."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Engine, local_addr=("127.0.0.1", 0))
    address = transport.get_extra_info("sockname")
    transport.close()
    await asyncio.sleep(0)
    client = await NgClient.connect(address, clock=clock)
    refused = asyncio.Event()
    remember = client.failed

    def failed(error: OSError) -> None:
        remember(error)
        refused.set()

    client.failed = failed  # type: ignore[method-assign]
    task = asyncio.create_task(client.query("c"))
    async with asyncio.timeout(5):
        await refused.wait()
    assert not task.done()
    with pytest.raises(MediaError, match="nobody listens") as gone:
        await client.ping()
    assert gone.value.slug == "refused", "a ping need not wait: it asks whether somebody does"
    clock.advance(TIMEOUT_S)
    with pytest.raises(MediaError, match="Connection refused"):
        await task
    await client.close()


async def test_a_timeout_does_not_repeat_what_was_wrong_before_the_engine_answered(
    client: NgClient, peer: Engine, clock: HandClock
) -> None:
    client.failed(OSError(90, "Message too long"))
    answered = asyncio.create_task(client.ping())
    cookie, _, source = await peer.next()
    peer.reply(cookie, source, result="pong")
    await answered
    silent = asyncio.create_task(client.ping())
    await peer.next()
    clock.advance(TIMEOUT_S)
    with pytest.raises(MediaError) as caught:
        await silent
    assert "too long" not in caught.value.text


async def test_each_request_gets_its_own_reply(client: NgClient, peer: Engine) -> None:
    tasks = [asyncio.create_task(client.offer(f"c{n}", "A", SDP)) for n in range(3)]
    asked = [await peer.next() for _ in tasks]
    assert len({cookie for cookie, _, _ in asked}) == 3
    for cookie, request, source in reversed(asked):
        peer.reply(cookie, source, result="ok", sdp=f"for {request['call-id']}")
    assert [await task for task in tasks] == ["for c0", "for c1", "for c2"]


async def test_a_cancelled_request_leaves_nothing(
    client: NgClient, peer: Engine, clock: HandClock
) -> None:
    task = asyncio.create_task(client.ping())
    cookie, _, source = await peer.next()
    task.cancel()
    await asyncio.wait([task])
    assert clock.running == 0
    peer.reply(cookie, source, result="pong")
    task = asyncio.create_task(client.ping())
    cookie, _, source = await peer.next()
    peer.reply(cookie, source, result="pong")
    await task


async def test_closing_ends_what_waits(client: NgClient, peer: Engine) -> None:
    task = asyncio.create_task(client.ping())
    await peer.next()
    await client.close()
    with pytest.raises(MediaError, match="closed"):
        await task
    with pytest.raises(MediaError, match="closed"):
        await client.ping()


async def test_a_garbled_reply_is_an_error_of_the_engine(client: NgClient, peer: Engine) -> None:
    task = asyncio.create_task(client.ping())
    cookie, _, source = await peer.next()
    peer.reply_raw(b"unknown-cookie d6:result4:ponge", source)
    peer.reply_raw(b"\xff\xfe", source)
    peer.reply_raw(cookie + b" garbage", source)
    with pytest.raises(MediaError, match="malformed reply") as garbled:
        await task
    assert garbled.value.slug == "refused"


@pytest.mark.parametrize(
    ("keys", "slug"),
    [
        ({"result": "error", "error-reason": "no-ports: all 10 port pairs are taken"}, "no-ports"),
        ({"result": "error", "error-reason": "Ran out of ports"}, "no-ports"),
        ({"result": "error", "error-reason": "Unknown call-id"}, "unknown-call"),
        (
            {"result": "error", "error-reason": "Call-ID not found or tags didn't match"},
            "unknown-call",
        ),
        (
            {"result": "ok", "warning": "Call-ID not found or tags didn't match"},
            "unknown-call",
        ),
        ({"result": "error", "error-reason": "Failed to parse SDP"}, "bad-sdp"),
        ({"result": "error", "error-reason": "Unrecognized command"}, "unsupported"),
        ({"result": "load limit"}, "refused"),
        ({}, "refused"),
    ],
)
async def test_what_an_engine_says_gets_a_slug(
    client: NgClient, peer: Engine, keys: dict[str, Encodable], slug: str
) -> None:
    task = asyncio.create_task(client.query("c"))
    cookie, _, source = await peer.next()
    peer.reply(cookie, source, **keys)
    with pytest.raises(MediaError) as error:
        await task
    assert error.value.slug == slug


async def test_what_an_offer_tells_the_engine(client: NgClient, peer: Engine) -> None:
    task = asyncio.create_task(
        client.offer(
            "c",
            "A",
            SDP,
            media_address="203.0.113.10",
            received_from=Signalling("198.51.100.5", direct=True),
        )
    )
    cookie, request, source = await peer.next()
    peer.reply(cookie, source, result="ok", sdp=SDP)
    await task
    assert request["command"] == "offer"
    assert request["ICE"] == "remove"
    assert request["replace"] == ["origin", "session-connection"]
    assert request["media-address"] == "203.0.113.10"
    assert request["received-from"] == ["IP4", "198.51.100.5"]
    assert "direct" not in request, "which is our relay's alone"
    assert "to-tag" not in request


async def test_our_relay_is_told_what_it_reads_and_no_more(
    engine: tuple[Engine, tuple[str, int]], clock: HandClock
) -> None:
    peer, address = engine
    client = await RelayClient.connect(address, clock=clock)
    task = asyncio.create_task(
        client.offer("c", "A", SDP, received_from=Signalling("198.51.100.5", direct=True))
    )
    cookie, request, source = await peer.next()
    peer.reply(cookie, source, result="ok", sdp=SDP)
    await task
    assert request.keys() == {
        "command",
        "call-id",
        "from-tag",
        "sdp",
        "received-from",
        "direct",
        "via-branch",
    }
    await client.close()


async def test_delete_names_the_tag_that_began_the_call(client: NgClient, peer: Engine) -> None:
    """rtpengine returns no counters otherwise. A client that did not see the offer asks first."""
    offered = asyncio.create_task(client.offer("seen", "A", SDP))
    cookie, _, source = await peer.next()
    peer.reply(cookie, source, result="ok", sdp=SDP)
    await offered
    deleted = asyncio.create_task(client.delete("seen"))
    cookie, request, source = await peer.next()
    assert (request["command"], request["from-tag"]) == ("delete", "A")
    peer.reply(cookie, source, result="ok")
    await deleted

    deleted = asyncio.create_task(client.delete("unseen"))
    cookie, request, source = await peer.next()
    assert request["command"] == "query"
    peer.reply(cookie, source, result="ok", tags={"Z": {"tag": "Z"}})
    cookie, request, source = await peer.next()
    assert (request["command"], request["from-tag"]) == ("delete", "Z")
    peer.reply(cookie, source, result="ok")
    await deleted


@pytest.mark.parametrize(
    "reply",
    [{}, {"tags": 1}, {"tags": {"A": 1}}, {"tags": {"A": {"tag": "A", "medias": [1]}}},
     {"tags": {"A": {"tag": "A", "medias": [{"streams": [{"stats": {"packets": "x"}}]}]}}}],
)  # fmt: skip
def test_strange_counters_are_no_error(reply: dict[str, Encodable]) -> None:
    for party in stats_of(decode(encode(reply, Form.BENCODE))[0], 0.0).parties.values():
        assert party.packets_received == 0
