"""What the parties of a call say, on its way to the recorder.

The recorder is another process, reached by a socket that never makes us wait (`frames.py`): what
its buffer has no room for is lost, and where it takes nothing for long the recording is given up.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Final, Protocol

from sip.core.sdp_lines import Codec as SdpCodec
from sip.media.plane import MediaError
from sip.media.relay.endpoint import Poller
from sip.media.relay.frames import BUFFER, MAX_FRAME, Codec, Frame, Kind, decode
from sip.media.relay.notices import Problems
from sip.media.relay.rtp_endpoint import Ear

#: Frames lost one after another after which a recording is given up: 5 s of two parties.
MAX_LOST: Final = 500

_LEFT: Final = 0
_RIGHT: Final = 1

#: Codecs that can be recorded, by the name that SDP gives them.
_CODECS: Final = {codec.name: codec for codec in Codec}


class Speaker(Protocol):
    """A party as far as it is recorded."""

    @property
    def tag(self) -> str: ...

    def codec(self, payload_type: int) -> SdpCodec | None:
        """What was negotiated for a payload type."""
        ...

    def listen_in(self, ear: Ear) -> None: ...

    def let_be(self, ear: Ear) -> None: ...


class Recorder:
    """The way to the recorder's process, which listens at `path`."""

    def __init__(self, path: str, poller: Poller, problems: Problems) -> None:
        self._path = path
        self._poller = poller
        self._problems = problems
        self._socket: socket.socket | None = None
        self._numbers = 0
        self._ended: dict[int, Callable[[], None]] = {}

    def begin(self, about: dict[str, object], now: float, on_end: Callable[[], None]) -> int:
        """A new recording's number; `on_end` is called if it ends by itself. MediaError."""
        if self._socket is None:
            self._socket = self._connected()
        self._numbers += 1
        if not self.send(Frame(Kind.BEGIN, self._numbers, now, json.dumps(about).encode())):
            raise MediaError("refused", "the recorder takes nothing")
        self._ended[self._numbers] = on_end
        return self._numbers

    def send(self, frame: Frame) -> bool:
        """False where it was lost."""
        if self._socket is None:
            return False
        try:
            self._socket.send(frame.encode())
        except BlockingIOError:
            return False
        except OSError:
            self._gone()
            return False
        return True

    def forget(self, number: int) -> None:
        """The recording is over: nobody need be told of its end."""
        self._ended.pop(number, None)

    def close(self) -> None:
        """What is open ends where it is."""
        if self._socket is not None:
            self._poller.unwatch(self._socket)
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            sock.connect(self._path)
        except OSError as error:
            sock.close()
            raise MediaError("refused", f"the recorder is away: {error.strerror}") from None
        self._poller.watch(sock, self._readable)
        return sock

    def _readable(self, now: float) -> None:
        if self._socket is None:
            return
        try:
            data = self._socket.recv(MAX_FRAME)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._gone()
            return
        frame = decode(data)
        if frame is not None and frame.kind is Kind.ENDED:
            on_end = self._ended.pop(frame.number, None)
            if on_end is not None:
                on_end()

    def _gone(self) -> None:
        """Its process ended; another one may be started at the same place."""
        self._problems.problem("relay.recorder-gone", recordings=len(self._ended))
        self.close()
        ended, self._ended = self._ended, {}
        for on_end in ended.values():
            on_end()


class Tape:
    """One call's recording: the party `left` to one channel, whoever else speaks to the other."""

    def __init__(self, recorder: Recorder, about: dict[str, object], left: str, now: float) -> None:
        """Raises MediaError where the recorder takes nothing."""
        self._recorder = recorder
        self._left = left
        self._lost = 0
        self._paused = False
        self._ears: dict[str, tuple[Speaker, Ear]] = {}
        self.over = False
        self._number = recorder.begin({**about, "started_at": time.time()}, now, self._cut)

    def hear(self, party: Speaker) -> None:
        """The party is recorded from now on, in the place of an earlier one with its tag."""
        known = self._ears.get(party.tag)
        if self.over or (known is not None and known[0] is party):
            return
        if known is not None:
            known[0].let_be(known[1])
        ear = self._ear(party)
        self._ears[party.tag] = party, ear
        party.listen_in(ear)

    def pause(self, paused: bool, now: float) -> None:
        """What is said from now on is left out, or is not any more.

        It is not even sent to the recorder, so that a frame that is lost reveals nothing.
        """
        self._paused = paused
        self._recorder.send(Frame(Kind.PAUSE if paused else Kind.RESUME, self._number, now))

    def end(self, reason: str, now: float) -> None:
        """It is over; without effect if it is already."""
        if self.over:
            return
        self._cut()
        self._recorder.forget(self._number)
        self._recorder.send(Frame(Kind.END, self._number, now, reason.encode()))

    def _cut(self) -> None:
        """Nobody is heard any more."""
        self.over = True
        for party, ear in self._ears.values():
            party.let_be(ear)
        self._ears.clear()

    def _ear(self, party: Speaker) -> Ear:
        channel = _LEFT if party.tag == self._left else _RIGHT

        def ear(packet: bytes, now: float) -> None:
            if self._paused:
                return
            negotiated = party.codec(packet[1] & 0x7F)
            codec = _CODECS.get(negotiated.name) if negotiated is not None else None
            if codec is None:
                return
            body = bytes((channel, codec)) + packet
            if self._recorder.send(Frame(Kind.AUDIO, self._number, now, body)):
                self._lost = 0
                return
            self._lost += 1
            if self._lost == MAX_LOST:
                self.end("recorder-stalled", now)

        return ear


def recordable(codecs: list[SdpCodec]) -> bool:
    """Whether one of these can be recorded."""
    return any(codec.name in _CODECS for codec in codecs)
