"""A caller is told of the recording before there is one: by content, at the caller's own ear."""

import audioop
import json
import wave
from pathlib import Path

import pytest

from testkit import melody
from tests.packaging.conftest import Ports, Run
from tests.packaging.test_recording import ask, channels, finished, running

#: "This call is recorded", sung: no note of it is one of the caller's or the agent's.
NOTICE: melody.Melody = tuple((hz, 160) for hz in (450, 850, 1250, 650, 1050, 1450)) * 2


@pytest.fixture
def told_config(tmp_path: Path, recorded_config: Path) -> Path:
    """The second number tells its callers first."""
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    with wave.open(str(sounds / "recorded.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(melody.synthesise(NOTICE))
    text = recorded_config.read_text()
    text = text.replace("media:\n", "media:\n  sounds: sounds\n", 1)
    text = text.replace(", all: true}", "}")
    told = "    variables: {plan: gold}\n"
    assert told in text
    own = "    record: true\n    announcement: {file: recorded.wav, before: agent}\n"
    recorded_config.write_text(text.replace(told, told + own))
    return recorded_config


def at_ms(tune: melody.Melody, pcm: bytes) -> int:
    found = melody.find(tune, pcm)
    assert found.heard, found
    return found.at_ms


def test_the_caller_is_told_first_and_the_recording_has_none_of_it(
    ports: Ports, program: Run, told_config: Path, tmp_path: Path
) -> None:
    heard = tmp_path / "heard.wav"
    place = ["--via", f"127.0.0.1:{ports.sip}", "--listen-port", str(ports.phone)]
    with running(told_config, ports) as log:
        call = program("call", "+14155550101", *place, "--record", str(heard))
        assert call.code == 0, call.out + call.err
        one = finished(ports)
        status, audio = ask(ports, f"recordings/{one['name']}/audio")
        assert status == 200
    with wave.open(str(heard)) as file:
        ear = file.readframes(file.getnframes())
    assert at_ms(NOTICE, ear) + melody.duration_ms(NOTICE) <= at_ms(melody.AGENT, ear) + 40

    left, right = channels(audio)
    at_ms(melody.CALLER, left)
    at_ms(melody.AGENT, right)
    both = audioop.add(left, right, 2)
    for channel in (left, right, both):
        assert not melody.find(NOTICE, channel).heard
    recorded_s, heard_s = len(left) / 16000, len(ear) / 16000
    assert recorded_s < heard_s - melody.duration_ms(NOTICE) / 1000 + 1.0

    lines = [json.loads(line) for line in log.read_text().splitlines() if line[:1] == "{"]
    events = [line["event"] for line in lines]
    assert "play.failed" not in events
