"""Audio that says one letter over and over, through our relay (`relay_media`)."""

import socket
import struct
from contextlib import suppress

from sip.core.message import Request, Response
from tests.b2bua.stage import port_in, sdp_at
from tests.fakes.relay_media import RelayMedia


class Voice:
    """A party's audio: it says its own letter, and hears what is not silence or tone."""

    def __init__(self, letter: bytes) -> None:
        self.letter = letter
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.sdp = sdp_at(self.socket.getsockname()[1])
        self._sent = 0

    def __enter__(self) -> "Voice":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def say(self, to: Request | Response) -> None:
        """A packet to where a description of ours wants it."""
        self._sent += 1
        header = struct.pack("!BBHII", 0x80, 0, self._sent, 160 * self._sent, self.letter[0])
        self.socket.sendto(header + self.letter * 160, ("127.0.0.1", port_in(to)))

    def heard(self) -> set[bytes]:
        """The letters that came since the last time."""
        letters = set()
        with suppress(BlockingIOError):
            while True:
                payload = self.socket.recv(2048)[12:]
                letters |= {payload[:1]} if payload == payload[:1] * 160 else set()
        return {letter for letter in letters if letter.isupper()}


def all_speak(media: RelayMedia, *ways: tuple[Voice, Request | Response]) -> list[set[bytes]]:
    """Each says its letter where a description of ours wants it: what each hears."""
    for voice, way in ways:
        voice.say(way)
    media.carry()
    return [voice.heard() for voice, _ in ways]
