"""Twilio's media streams as texts: what it says, and how it is answered, to the letter.

Twilio refuses a text with a field that it does not know (its error 31951), and a binary frame
(31950). Its own numbers are strings. Source: twilio.com/docs, voice/media-streams and there
websocket-messages.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Any, Final

import orjson

from sip.streams.face import Began, Ended, Frame, Key, Marked, StreamError, StreamWriter, Told

#: The one form of audio that there is, as `start` describes it.
MEDIA_FORMAT: Final = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
#: The caller's track; our own comes back on unidirectional streams alone.
INBOUND: Final = "inbound"
_KEYS: Final = frozenset("0123456789*#ABCD")


class _Writer:
    """Texts to one stream. Only the audio differs from text to text."""

    __slots__ = ("_after", "_before", "_stream_id")

    def __init__(self, stream_id: str) -> None:
        self._stream_id = stream_id
        before, after = _text({"event": "media", "streamSid": stream_id, "media": {"payload": "|"}})
        self._before, self._after = before, after

    def audio(self, audio: bytes) -> str:
        return self._before + b64encode(audio).decode() + self._after

    def mark(self, name: str) -> str:
        return _whole({"event": "mark", "streamSid": self._stream_id, "mark": {"name": name}})

    def clear(self) -> str:
        return _whole({"event": "clear", "streamSid": self._stream_id})


class TwilioStreams:
    """The protocol of `<Connect><Stream>`."""

    def read(self, text: str, stream_id: str | None = None) -> Told | None:
        """See `StreamProtocol`. Unknown events and fields are passed over."""
        try:
            told = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise StreamError(f"not JSON: {error}") from None
        if not isinstance(told, dict):
            raise StreamError("not a JSON object")
        if stream_id is not None and told.get("streamSid", stream_id) != stream_id:
            raise StreamError("streamSid is another stream's")
        match told.get("event"):
            case "media":
                return _frame(told)
            case "start":
                return _began(told)
            case "mark":
                return Marked(_string(_part(told, "mark"), "name"))
            case "dtmf":
                return _key(told)
            case "stop":
                return Ended()
            case _:
                return None

    def writer(self, stream_id: str) -> StreamWriter:
        return _Writer(stream_id)


TWILIO_STREAMS: Final = TwilioStreams()


def _frame(told: Mapping[str, Any]) -> Frame | None:
    media = _part(told, "media")
    if media.get("track", INBOUND) != INBOUND:
        return None
    try:
        audio = b64decode(_string(media, "payload"), validate=True)
    except (Base64Error, ValueError):
        raise StreamError("media.payload is no base64") from None
    return Frame(_number(media, "chunk"), _number(media, "timestamp"), audio)


def _began(told: Mapping[str, Any]) -> Began:
    start = _part(told, "start")
    described = _part(start, "mediaFormat")
    for name, value in MEDIA_FORMAT.items():
        if described.get(name) != value:
            raise StreamError(f"start.mediaFormat.{name} is {described.get(name)!r}, not {value!r}")
    return Began(stream_id=_string(start, "streamSid"), call_id=_string(start, "callSid"))


def _key(told: Mapping[str, Any]) -> Key:
    key = _string(_part(told, "dtmf"), "digit")
    if key not in _KEYS:
        raise StreamError("dtmf.digit is no key")  # which it was is nobody's business
    return Key(_number(told, "sequenceNumber"), key)


def _part(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = told.get(name)
    if not isinstance(part, dict):
        raise StreamError(f"{told.get('event', 'start')} without {name}")
    return part


def _string(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    if not isinstance(value, str) or not value:
        raise StreamError(f"{name} is missing")
    return value


def _number(told: Mapping[str, Any], name: str) -> int:
    """A number, which Twilio writes as a string."""
    value = told.get(name)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 16:
        return int(value)
    raise StreamError(f"{name} is no number in a string")


def _whole(told: Mapping[str, Any]) -> str:
    return orjson.dumps(told).decode()


def _text(told: Mapping[str, Any]) -> tuple[str, str]:
    """A text before and after its `|`, which nothing else in it has."""
    before, _, after = _whole(told).rpartition('"|"')
    return f'{before}"', f'"{after}'
