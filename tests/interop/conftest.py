"""Fixtures of the interop tests. Everything here runs on one event loop, so that a gateway can
serve many tests."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.harness.network import Network
from tests.interop.harness.programs import program


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw G.711 mu-law of some speech: what caller-hangs-up-with-audio plays."""
    directory = tmp_path_factory.mktemp("words")
    wav, raw = directory / "words.wav", directory / "caller.pcmu"
    text = "Good morning. I am calling about the order that I placed on Tuesday."
    subprocess.run([program("espeak-ng"), "-w", str(wav), text], check=True)
    mulaw = ["-t", "raw", "-r", "8000", "-c", "1", "-e", "mu-law"]
    subprocess.run([program("sox"), str(wav), *mulaw, str(raw)], check=True)
    return raw


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as block:
        yield block
