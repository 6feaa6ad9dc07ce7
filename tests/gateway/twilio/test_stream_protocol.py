"""What Twilio says and hears, to the letter. Source: twilio.com/docs, websocket-messages."""

import json
from base64 import b64encode
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.twilio.stream_protocol import TWILIO_STREAMS
from gateway.twilio.stream_tokens import GOOD_FOR_S, MOST, StreamCall, StreamTokens
from sip.streams.face import Began, Ended, Frame, Key, Marked, StreamError

STREAM = "MZ" + "0" * 32
START: dict[str, Any] = {
    "accountSid": "AC" + "0" * 32,
    "streamSid": STREAM,
    "callSid": "CA" + "0" * 32,
    "tracks": ["inbound"],
    "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    "customParameters": {"FirstName": "Jane", "LastName": "Doe"},
}


def read(**told: Any) -> Any:
    return TWILIO_STREAMS.read(json.dumps(told))


def test_what_twilio_says() -> None:
    assert read(event="connected", protocol="Call", version="1.0.0") is None
    assert read(event="start", sequenceNumber="1", start=START, streamSid=STREAM) == Began(
        stream_id=STREAM, call_id="CA" + "0" * 32
    )
    media = {"track": "inbound", "chunk": "2", "timestamp": "5", "payload": "no+JhoaJjpz/"}
    assert read(event="media", sequenceNumber="3", media=media, streamSid=STREAM) == Frame(
        2, 5, bytes.fromhex("9e8f8986868 98e9cff".replace(" ", ""))
    )
    mark = {"name": "my label"}
    assert read(event="mark", sequenceNumber="4", streamSid=STREAM, mark=mark) == Marked("my label")
    dtmf = {"track": "inbound_track", "digit": "1"}
    assert read(event="dtmf", streamSid=STREAM, sequenceNumber="5", dtmf=dtmf) == Key(5, "1")
    assert read(event="stop", sequenceNumber="6", streamSid=STREAM, stop={}) == Ended()
    assert read(event="something-new", streamSid=STREAM) is None


def test_what_we_say() -> None:
    """Each text has the documented fields and no other: Twilio refuses more (31951)."""
    writer = TWILIO_STREAMS.writer(STREAM)
    audio = bytes(range(160))
    payload = b64encode(audio).decode()
    assert json.loads(writer.audio(audio)) == {
        "event": "media",
        "streamSid": STREAM,
        "media": {"payload": payload},
    }
    assert json.loads(writer.mark("played-1")) == {
        "event": "mark",
        "streamSid": STREAM,
        "mark": {"name": "played-1"},
    }
    assert json.loads(writer.clear()) == {"event": "clear", "streamSid": STREAM}


@given(st.text(max_size=40), st.binary(max_size=400))
def test_an_odd_stream_id_stays_within_its_string(stream_id: str, audio: bytes) -> None:
    told = json.loads(TWILIO_STREAMS.writer(stream_id).audio(audio))
    assert told["streamSid"] == stream_id
    assert told["media"]["payload"] == b64encode(audio).decode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"event":"media"}', "media without media"),
        ('{"event":"media","media":{"chunk":1,"timestamp":"5","payload":"/w=="}}', "chunk is no"),
        ('{"event":"media","media":{"chunk":"1","timestamp":"-5","payload":"/w=="}}', "timestamp"),
        ('{"event":"media","media":{"chunk":"1","timestamp":"5","payload":"§"}}', "base64"),
        ('{"event":"dtmf","sequenceNumber":"1","dtmf":{"digit":"55"}}', "digit is no key"),
        ('{"event":"mark","mark":{}}', "name is missing"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, words: str) -> None:
    with pytest.raises(StreamError, match=words):
        TWILIO_STREAMS.read(text)


def test_another_form_of_audio_is_refused() -> None:
    form = {"encoding": "audio/l16", "sampleRate": 16000, "channels": 1}
    with pytest.raises(StreamError, match=r"start.mediaFormat.encoding is 'audio/l16'"):
        read(event="start", start={**START, "mediaFormat": form})


@given(st.text())
def test_whatever_is_said_is_read_or_refused(text: str) -> None:
    with suppress(StreamError):
        TWILIO_STREAMS.read(text)


class Watch:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def call(at: int = 0) -> StreamCall:
    return StreamCall(call_id=f"CA{at}", from_number="+14155550100", to_number="+14155550101")


def test_a_token_is_good_once_and_for_a_while() -> None:
    watch = Watch()
    tokens = StreamTokens(watch)
    first, second = tokens.issue(call(1)), tokens.issue(call(2))
    assert first != second
    assert len(first) == 32
    taken = tokens.take(first)
    assert taken is not None
    assert taken.call_id == "CA1"
    assert tokens.take(first) is None
    watch.now += GOOD_FOR_S
    assert tokens.take(second) is None
    assert len(tokens) == 0


def test_no_flood_of_calls_fills_the_memory() -> None:
    tokens = StreamTokens(Watch())
    issued = [tokens.issue(call(at)) for at in range(MOST + 2)]
    assert len(tokens) == MOST
    assert tokens.take(issued[1]) is None
    assert tokens.take(issued[2]) is not None
