"""The socket of a stream: pings, silence, texts that cannot be read, a peer that reads nothing."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from gateway.twilio import stream_socket
from gateway.twilio.stream_protocol import TWILIO_STREAMS
from gateway.twilio.stream_socket import MAX_BAD, StreamSocket
from sip.streams.face import Frame, Key, Marked
from tests.gateway.conftest import serve
from tests.gateway.twilio.twilio_double import SILENCE, TwilioStream


class Listener:
    """Who takes what is heard."""

    answered = True

    def __init__(self) -> None:
        self.heard_so_far: list[Frame | Key | Marked] = []
        self.heard_any = asyncio.Event()
        self.ends: list[bool] = []

    def heard(self, told: Frame | Key | Marked) -> None:
        self.heard_any.set()
        self.heard_so_far.append(told)

    def ended(self, *, lost: bool) -> None:
        self.ends.append(lost)


class Desk:
    """A server of one stream at a time."""

    def __init__(self) -> None:
        self.ear = Listener()
        self.url = ""
        self.socket: StreamSocket | None = None
        self.begun = asyncio.Event()
        self.over = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        stream = self.socket = StreamSocket(TWILIO_STREAMS)
        response = await stream.open(request)
        if await stream.begin() is None:
            await stream.refuse("no start")
        else:
            self.begun.set()
            await stream.run(self.ear)
        self.over.set()
        return response


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    app = web.Application()
    app.router.add_get("/", made.handle)
    runner, made.url = await serve(app)
    yield made
    await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def start(stream_id: str = "MZ1") -> str:
    form = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    told = {"streamSid": stream_id, "callSid": "CA1", "mediaFormat": form, "customParameters": {}}
    return json.dumps(
        {"event": "start", "sequenceNumber": "1", "streamSid": stream_id, "start": told}
    )


def media(chunk: int, stream_id: str | None = "MZ1") -> str:
    piece = TwilioStream(stream_id or "").media(SILENCE, chunk=chunk)
    if stream_id is None:
        del piece["streamSid"]
    return json.dumps(piece)


async def within(event: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await event.wait()


async def test_pings_are_answered_and_texts_are_heard(
    desk: Desk, http: aiohttp.ClientSession
) -> None:
    async with http.ws_connect(desk.url, autoping=False) as ws:
        await ws.ping(b"42")
        await ws.send_str('{"event":"connected","protocol":"Call","version":"1.0.0"}')
        await ws.send_str(start())
        await ws.send_str(media(1))
        pong = await ws.receive(timeout=5)
        assert (pong.type, bytes(pong.data)) == (aiohttp.WSMsgType.PONG, b"42")
        await ws.send_str('{"event":"stop","sequenceNumber":"9","streamSid":"MZ1","stop":{}}')
        await ws.close()
    await within(desk.over)
    assert desk.ear.heard_so_far == [Frame(1, 20, SILENCE)]
    assert desk.ear.ends[0] is False


async def test_who_says_nothing_is_pinged_and_then_left(
    desk: Desk, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_socket, "SILENCE_S", 0.05)
    twilio = TwilioStream()
    await twilio.connect(http, desk.url)  # it answers pings
    await within(desk.begun)
    await asyncio.sleep(0.4)
    assert desk.ear.ends == []
    assert twilio._ws is not None
    for task in twilio._tasks:
        task.cancel()  # and now it does not even read
    await within(desk.over)
    assert desk.ear.ends[0] is True
    await twilio.vanish()


async def test_no_start_is_no_stream(
    desk: Desk, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_socket, "BEGINS_WITHIN_S", 0.05)
    async with http.ws_connect(desk.url) as ws:
        closed = await ws.receive(timeout=5)
        assert closed.type is aiohttp.WSMsgType.CLOSE
    await within(desk.over)
    assert desk.ear.ends == []


async def test_a_peer_of_another_protocol_is_ended(desk: Desk, http: aiohttp.ClientSession) -> None:
    twilio = TwilioStream()
    await twilio.connect(http, desk.url)
    assert twilio._ws is not None
    for _ in range(MAX_BAD // 2):
        await twilio._ws.send_bytes(b"\0")
        await twilio._ws.send_str("?")
    await within(desk.over)
    assert desk.ear.ends[0] is True
    await twilio.vanish()


async def test_a_flood_of_pings_costs_one_answer_at_a_time(
    desk: Desk, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 6455 5.5.3: of several pings the newest may be answered alone. Who sends them and reads
    nothing fills no memory here."""
    monkeypatch.setattr(stream_socket, "CLOSE_S", 0.05)
    async with http.ws_connect(desk.url, autoping=False) as ws:
        await ws.send_str(start())
        await within(desk.begun)
        assert ws._writer.transport is not None
        ws._writer.transport.pause_reading()
        for _ in range(3000):
            await ws.ping(b"x" * 120)
        await ws.send_str(media(1))
        await within(desk.ear.heard_any)
        assert desk.socket is not None
        assert len(desk.socket._waiting) <= stream_socket.MAX_WAITING
        ws._writer.transport.resume_reading()
        await ws.ping(b"last")
        async with asyncio.timeout(5):
            while (await ws.receive()).data != b"last":
                pass
    await within(desk.over)


async def test_a_stream_that_stops_before_it_starts_is_over_at_once(
    desk: Desk, http: aiohttp.ClientSession
) -> None:
    async with http.ws_connect(desk.url) as ws:
        await ws.send_str(media(1))  # nobody's yet
        await ws.send_str('{"event":"stop","sequenceNumber":"1","streamSid":"MZ1","stop":{}}')
        closed = await ws.receive(timeout=2)
        assert closed.type is aiohttp.WSMsgType.CLOSE
    await within(desk.over)
    assert desk.ear.heard_so_far == []


async def test_only_its_own_stream_is_heard(desk: Desk, http: aiohttp.ClientSession) -> None:
    """`connected` may be missing; a second `start` changes nothing, and another stream's texts are
    none of this call's. A text that names no stream is this one's."""
    async with http.ws_connect(desk.url) as ws:
        await ws.send_str(start())
        await ws.send_str(media(1))
        await ws.send_str(start("MZ2"))
        await ws.send_str(media(2, "MZ2"))
        await ws.send_str('{"event":"stop","sequenceNumber":"9","streamSid":"MZ2","stop":{}}')
        await ws.send_str(media(2, None))
        await ws.send_str('{"event":"stop","sequenceNumber":"9","streamSid":"MZ1","stop":{}}')
        await within(desk.begun)
        await ws.close()
    await within(desk.over)
    heard = [told for told in desk.ear.heard_so_far if isinstance(told, Frame)]
    assert [frame.number for frame in heard] == [1, 2]
    assert desk.ear.ends[0] is False


async def test_a_text_beyond_all_measure_ends_the_stream(
    desk: Desk, http: aiohttp.ClientSession
) -> None:
    """RFC 6455 7.4.1: 1009."""
    async with http.ws_connect(desk.url) as ws:
        await ws.send_str(start())
        await ws.send_str("x" * (stream_socket.MAX_TEXT + 1))
        closed = await ws.receive(timeout=5)
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1009)
    await within(desk.over)
    assert desk.ear.ends[0] is True


async def test_who_does_not_read_is_told_so_and_ended_by_our_close(
    desk: Desk, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_socket, "CLOSE_S", 0.05)
    twilio = TwilioStream()
    await twilio.connect(http, desk.url)
    await within(desk.begun)
    assert twilio._ws is not None
    assert desk.socket is not None
    for task in twilio._tasks:
        task.cancel()
    transport = twilio._ws._writer.transport
    assert transport is not None
    transport.pause_reading()
    refused = False
    for _ in range(200_000):
        refused = not desk.socket.audio(SILENCE * 5)
        await asyncio.sleep(0)
        if refused:
            break
    assert refused, "what waits is bounded"
    desk.socket.close()
    await within(desk.over)
    await twilio.vanish()


async def test_the_double_complains_of_a_server_that_does_not_read(
    http: aiohttp.ClientSession,
) -> None:
    """31930: so that no test passes whose stream is read too slowly."""
    over = asyncio.Event()

    async def deaf(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        await over.wait()
        return response

    app = web.Application()
    app.router.add_get("/", deaf)
    runner, url = await serve(app)
    stream = TwilioStream()
    try:
        await stream.connect(http, url)
        piece = b"\xff" * 60_000
        for _ in range(1000):
            await stream.say(stream.media(piece))
            if stream.errors:
                break
        assert stream.errors[0][0] == 31930
    finally:
        over.set()
        await stream.vanish()
        await runner.cleanup()
