"""`python -m sip.media.recording`: the recorder as a process of its own.

Prints one line, ``ready``, on standard output when it serves. Ends when standard input does: the
parent holds its other end. Exit codes: 0 ended when told to, 2 bad usage, a directory that cannot
be written to, or no key.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final

import structlog

from sip.media.recording.keys import KeyFileError, Keys
from sip.media.recording.recorder import Recorder
from sip.media.relay.frames import BUFFER, MAX_FRAME, Frame, decode

#: Seconds between two looks at what is due to be written.
LOOK_S: Final = 0.25

#: Frames of one relay that are read before the next look at everybody.
TURN: Final = 256

log = structlog.get_logger(__name__)


class Server:
    """The socket at which relays meet the recorder."""

    def __init__(self, path: str, directory: Path, keys: Keys) -> None:
        self._directory = directory
        self._keys = keys
        self._selector = selectors.DefaultSelector()
        self._recorders: dict[socket.socket, Recorder] = {}
        Path(path).unlink(missing_ok=True)  # of a recorder that was killed
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(path)
        os.chmod(path, 0o600)
        self._listener.listen(16)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(0, selectors.EVENT_READ)

    def run(self) -> None:
        """Serves until standard input ends."""
        look = 0.0
        while True:
            for key, _ in self._selector.select(LOOK_S):
                if key.fileobj == 0:
                    if not os.read(0, 4096):
                        self._close()
                        return
                elif key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket):
                    self._read(key.fileobj)
            now = time.monotonic()
            if now >= look:
                look = now + LOOK_S
                for recorder in self._recorders.values():
                    recorder.pass_time(now)

    def _accept(self) -> None:
        try:
            relay, _ = self._listener.accept()
        except OSError:
            return
        relay.setblocking(False)
        relay.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)

        def tell(frame: Frame) -> None:
            with contextlib.suppress(OSError):  # a relay that is gone has no calls either
                relay.send(frame.encode())

        self._recorders[relay] = Recorder(self._directory, self._keys, tell, _report)
        self._selector.register(relay, selectors.EVENT_READ)

    def _read(self, relay: socket.socket) -> None:
        recorder = self._recorders[relay]
        for _ in range(TURN):
            try:
                data = relay.recv(MAX_FRAME)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._part(relay)
                return
            frame = decode(data)
            if frame is not None:
                recorder.take(frame)

    def _part(self, relay: socket.socket) -> None:
        self._recorders.pop(relay).close(time.monotonic())
        self._selector.unregister(relay)
        relay.close()

    def _close(self) -> None:
        for relay in list(self._recorders):
            self._part(relay)


def _report(ended: dict[str, object]) -> None:
    """One line of JSON for each recording that is over."""
    sys.stdout.write(json.dumps(ended) + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sip.media.recording", description=__doc__)
    parser.add_argument("--socket", required=True, metavar="PATH", help="where relays come")
    parser.add_argument("--directory", required=True, type=Path, help="where recordings go")
    parser.add_argument("--keys", required=True, type=Path, help="file of keys")
    options = parser.parse_args()
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # the parent ends us, after its calls
    try:
        keys = Keys.read(options.keys)
        options.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(options.directory, os.W_OK | os.X_OK):
            raise PermissionError(f"{options.directory}: it cannot be written to")
        server = Server(options.socket, options.directory, keys)
    except (KeyFileError, OSError) as error:
        log.error("recorder.cannot-start", reason=str(error))
        return 2
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    server.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
