"""Twilio's side of a media stream, as its documentation has it; it complains as Twilio does.

Source: twilio.com/docs, voice/media-streams/websocket-messages and api/errors/31930, 31950, 31951.
"""

import asyncio
import audioop
import json
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import aiohttp

ACCOUNT = "AC" + "0" * 32
STREAM = "MZ" + "1" * 32
CALL = "CA" + "2" * 32
SILENCE = b"\xff" * 160
FRAME_S = 0.02
RATE = 8000
LOUD = 500
#: A socket that takes nothing for so long, in seconds, loses what the caller says.
UNREAD_S = 1.0

#: What may be sent to Twilio: each event's fields, all of them, and no other.
_FIELDS: dict[str, dict[str, Any]] = {
    "media": {"event": str, "streamSid": str, "media": {"payload": str}},
    "mark": {"event": str, "streamSid": str, "mark": {"name": str}},
    "clear": {"event": str, "streamSid": str},
}


class TwilioStream:
    """One stream. What it receives is played at real time, and what was played is kept."""

    def __init__(self, stream_id: str = STREAM, call_id: str = CALL) -> None:
        self.stream_id = stream_id
        self.call_id = call_id
        #: (error code, words) of all that Twilio would have logged
        self.errors: list[tuple[int, str]] = []
        #: what the person heard, with the time of each piece
        self.played: list[tuple[float, bytes]] = []
        #: when each `clear` came, and how much was unplayed then, in seconds
        self.clears: list[tuple[float, float]] = []
        #: the most audio that waited to be played, in seconds
        self.longest_lead_s = 0.0
        self.close_code: int | None = None
        self.closed = asyncio.Event()
        #: what is louder than silence came
        self.plays = asyncio.Event()
        self._waiting: deque[bytes | str] = deque()
        self._played_at = 0.0
        self._sequence = 1
        self._chunk = 0
        self._began = 0.0
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(
        self, http: aiohttp.ClientSession, url: str, headers: dict[str, str] | None = None
    ) -> None:
        """The upgrade, `connected` and `start`."""
        self._ws = await http.ws_connect(url, autoping=True, compress=0, headers=headers)
        self._began = asyncio.get_running_loop().time()
        await self.say({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        start = {
            "accountSid": ACCOUNT,
            "streamSid": self.stream_id,
            "callSid": self.call_id,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"FirstName": "Jane"},
        }
        told = {"event": "start", "sequenceNumber": "1", "start": start}
        await self.say({**told, "streamSid": self.stream_id})
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._play())]

    async def say(self, told: dict[str, Any]) -> None:
        assert self._ws is not None
        with suppress(ConnectionError):  # a test sees it by `closed`
            try:
                async with asyncio.timeout(UNREAD_S):
                    await self._ws.send_str(json.dumps(told))
            except TimeoutError:
                self.errors.append((31930, "the socket is not read: audio of the caller is lost"))

    def media(self, audio: bytes, *, chunk: int | None = None) -> dict[str, Any]:
        """The next piece of the caller's audio; or one out of order, of that number."""
        self._sequence += 1
        if chunk is None:
            self._chunk += 1
            chunk = self._chunk
        return {
            "event": "media",
            "sequenceNumber": str(self._sequence),
            "media": {
                "track": "inbound",
                "chunk": str(chunk),
                "timestamp": str(20 * chunk),
                "payload": b64encode(audio).decode(),
            },
            "streamSid": self.stream_id,
        }

    async def speak(self, audio: bytes) -> None:
        """The caller says this, in real time."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for piece in pieces(audio):
            await self.say(self.media(piece))
            due += FRAME_S
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def press(self, digit: str) -> None:
        self._sequence += 1
        dtmf = {"track": "inbound_track", "digit": digit}
        told = {"event": "dtmf", "streamSid": self.stream_id, "dtmf": dtmf}
        await self.say({**told, "sequenceNumber": str(self._sequence)})

    async def stop(self) -> None:
        """The call is over, or has another document."""
        self._sequence += 1
        told = {"event": "stop", "sequenceNumber": str(self._sequence), "streamSid": self.stream_id}
        await self.say({**told, "stop": {"accountSid": ACCOUNT, "callSid": self.call_id}})

    async def hang_up(self) -> None:
        """The caller does: `stop`, and then the socket is closed."""
        await self.stop()
        assert self._ws is not None
        await self._ws.close()
        await self._end()

    async def vanish(self) -> None:
        """The connection breaks."""
        assert self._ws is not None
        transport = self._ws._writer.transport
        if transport is not None:
            transport.abort()
        await self._end()
        await self._ws.close()

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.closed.set()

    @property
    def heard(self) -> bytes:
        """All that was played, gaps left out."""
        return b"".join(audio for _, audio in self.played)

    # what comes

    async def _read(self) -> None:
        assert self._ws is not None
        async for message in self._ws:
            if message.type is aiohttp.WSMsgType.BINARY:
                self.errors.append((31950, "a binary frame"))
            elif message.type is aiohttp.WSMsgType.TEXT:
                await self._take(message.data)
        self.close_code = self._ws.close_code
        self.closed.set()

    async def _take(self, text: str) -> None:
        told = json.loads(text)
        wrong = self._wrong(told)
        if wrong is not None:
            self.errors.append((31951, wrong))
            return
        now = asyncio.get_running_loop().time()
        match told["event"]:
            case "media":
                audio = b64decode(told["media"]["payload"], validate=True)
                self._waiting.append(audio)
                if audioop.rms(audioop.ulaw2lin(audio, 2), 2) > LOUD:
                    self.plays.set()
                self._played_at = max(self._played_at, now) + len(audio) / RATE
                self.longest_lead_s = max(self.longest_lead_s, self._played_at - now)
            case "mark":
                self._waiting.append(told["mark"]["name"])
            case "clear":
                self.clears.append((now, max(0.0, self._played_at - now)))
                self._played_at = now
                marks = [one for one in self._waiting if isinstance(one, str)]
                self._waiting.clear()
                for name in marks:
                    await self._tell_mark(name)

    def _wrong(self, told: Any) -> str | None:
        """Why Twilio would not take it."""
        fields = _FIELDS.get(told.get("event", "")) if isinstance(told, dict) else None
        if fields is None:
            return f"unknown event in {told!r:.80}"
        inner = [name for name, wanted in fields.items() if isinstance(wanted, dict)]
        for place, wanted in ((told, fields), *((told.get(one), fields[one]) for one in inner)):
            if not isinstance(place, dict) or place.keys() != wanted.keys():
                return f"fields of {told['event']}: {place!r:.80}"
            if any(type(value) is not dict and type(value) is not str for value in place.values()):
                return f"types of {told['event']}: {place!r:.80}"
        if told["streamSid"] != self.stream_id:
            return "streamSid is another's"
        return None

    async def _play(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            while self._waiting and isinstance(self._waiting[0], str):
                name = self._waiting.popleft()
                assert isinstance(name, str)
                await self._tell_mark(name)
            if self._waiting:
                audio = self._waiting.popleft()
                assert isinstance(audio, bytes)
                self.played.append((loop.time(), audio))
                due += len(audio) / RATE
                await asyncio.sleep(max(0.0, due - loop.time()))
            else:
                await asyncio.sleep(0.002)
                due = loop.time()

    async def _tell_mark(self, name: str) -> None:
        self._sequence += 1
        told = {"event": "mark", "sequenceNumber": str(self._sequence)}
        await self.say({**told, "streamSid": self.stream_id, "mark": {"name": name}})


def pieces(audio: bytes) -> Iterator[bytes]:
    for start in range(0, len(audio), 160):
        yield audio[start : start + 160].ljust(160, b"\xff")
