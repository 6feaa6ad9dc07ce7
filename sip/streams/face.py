"""A media stream as its two ends see each other: the socket that carries it, and the leg it is.

A protocol of such streams is one value (`StreamProtocol`): what its texts say, and how ours are
written. Audio is G.711 mu-law at 8 kHz, one channel, 8 octets a millisecond.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sip.errors import Fault, SipError


class StreamError(SipError):
    """A text of a stream's peer that its protocol does not know."""

    fault = Fault.PEER


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """The stream is there. `call_id` is the peer's id of the call."""

    stream_id: str
    call_id: str


class Frame(NamedTuple):
    """A piece of the caller's audio: its number among them, from 1, and when it was said, in
    ms."""

    number: int
    at_ms: int
    audio: bytes


class Key(NamedTuple):
    """The caller pressed a key; `number` counts all that the peer says of the stream."""

    number: int
    key: str


class Marked(NamedTuple):
    """A mark of ours was reached, or its audio was cleared away."""

    name: str


class Ended(NamedTuple):
    """The peer is done: its call is over, or goes on without the stream."""


Told = Began | Frame | Key | Marked | Ended


class StreamWriter(Protocol):
    """What is said to one stream, as texts."""

    def audio(self, audio: bytes) -> str: ...
    def mark(self, name: str) -> str: ...
    def clear(self) -> str: ...


class StreamProtocol(Protocol):
    """A protocol of media streams."""

    def read(self, text: str, stream_id: str | None = None) -> Told | None:
        """What a text tells; None where it tells nothing that matters. `stream_id` is that of
        `Began`, once it was told. Raises StreamError, also for a text of another stream."""

    def writer(self, stream_id: str) -> StreamWriter: ...


class Line(Protocol):
    """The way to a stream's peer. After `close` nothing more goes there."""

    def audio(self, audio: bytes) -> bool:
        """Send audio, to be played after what was sent before. False where the peer does not read
        as fast as it is sent to: then it was not sent."""

    def mark(self, name: str) -> None:
        """Have `Marked` told once what was sent so far is played."""

    def clear(self) -> None:
        """Have the peer forget what it has not played."""

    def close(self) -> None:
        """End the stream."""


class Ear(Protocol):
    """Who takes what the peer of a stream says."""

    @property
    def answered(self) -> bool:
        """Whether the stream's call was answered, however long ago."""

    def heard(self, told: Frame | Key | Marked) -> None: ...

    def ended(self, *, lost: bool) -> None:
        """The peer is done, or `lost` without a word. Nothing is heard after that."""
