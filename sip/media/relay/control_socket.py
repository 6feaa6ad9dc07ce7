"""The socket by which the relay is steered, and who may.

A UNIX socket takes requests of the relay's own user, whom the kernel names with each datagram. Over
UDP any program of the machine can send, and of the network where it is not loopback: there a
request begins with a word that only its client knows, unless the relay was told to do without.
"""

from __future__ import annotations

import hmac
import os
import socket
import stat
import struct
from collections import deque
from pathlib import Path
from typing import Any, Final, NamedTuple

from sip.media.ng.control_address import ControlAddress
from sip.media.relay.notices import Problems
from sip.media.relay.timers import Timers

#: The largest request taken: a whole datagram.
MAX_REQUEST: Final = 65535

#: Octets of requests that may wait while a turn is busy with packets: some hundred offers. The
#: kernel gives what its limit allows.
RECEIVE_BUFFER: Final = 1 << 20

#: Replies that wait because a client does not read: a UNIX socket of Linux holds as few as ten.
MAX_WAITING: Final = 1000

#: Seconds between two tries to be rid of them, and those after which the client asks again anyway.
RETRY_S: Final = 0.001
GIVE_UP_S: Final = 1.0

#: The kernel's word on who sent a datagram (unix(7)): process, user, group.
_CREDENTIALS: Final = struct.Struct("iII")


class _Waiting(NamedTuple):
    datagram: bytes
    client: Any
    until: float


class ControlSocket:
    """Bound from its making on. Raises OSError where the address cannot be had.

    `token` is the first word of every request over UDP; empty, none is asked for.
    """

    def __init__(
        self, address: ControlAddress, token: bytes, timers: Timers, problems: Problems
    ) -> None:
        self._timers = timers
        self._problems = problems
        self._first_word = token + b" " if token else b""
        self._waiting: deque[_Waiting] = deque()
        self._path = address if isinstance(address, Path) else None
        self._users = {0, os.getuid()}
        self.socket = _bound(address)

    @property
    def address(self) -> ControlAddress:
        """Where it is bound, the port chosen if it was 0."""
        if self._path is not None:
            return self._path
        host, port = self.socket.getsockname()[:2]
        return host, port

    def receive(self) -> tuple[bytes, object] | None:
        """A request and where it came from; None if there is none, or its sender may not ask."""
        try:
            if self._path is not None:
                return self._receive_unix()
            datagram, source = self.socket.recvfrom(MAX_REQUEST)
        except OSError:
            return None
        word = self._first_word
        if not hmac.compare_digest(datagram[: len(word)], word):
            self._problems.problem("relay.control-stranger", source=source, reason="no token")
            return None
        return datagram[len(word) :], source

    def _receive_unix(self) -> tuple[bytes, object] | None:
        datagram, ancillary, _, source = self.socket.recvmsg(
            MAX_REQUEST, socket.CMSG_SPACE(_CREDENTIALS.size)
        )
        user = _user(ancillary)
        if user not in self._users:
            self._problems.problem("relay.control-stranger", source=source, user=user)
            return None
        return datagram, source

    def send(self, datagram: bytes, client: Any, now: float) -> None:
        """To a client, at once or as soon as it reads what came before."""
        if self._waiting or not self._sent(datagram, client):
            if len(self._waiting) == MAX_WAITING:
                self._problems.problem("relay.control-reply", to=client, reason="too many wait")
                return
            self._waiting.append(_Waiting(datagram, client, now + GIVE_UP_S))
            if len(self._waiting) == 1:
                self._timers.at(now + RETRY_S, self._send_waiting)

    def _send_waiting(self, now: float) -> None:
        """Each client's in its order; one that does not read holds up nobody else's."""
        blocked: set[Any] = set()
        for _ in range(len(self._waiting)):
            one = self._waiting.popleft()
            if now > one.until:
                reason = "the client does not read"
                self._problems.problem("relay.control-reply", to=one.client, reason=reason)
            elif one.client in blocked or not self._sent(one.datagram, one.client):
                blocked.add(one.client)
                self._waiting.append(one)
        if self._waiting:
            self._timers.at(now + RETRY_S, self._send_waiting)

    def _sent(self, datagram: bytes, client: Any) -> bool:
        """False if the client's queue is full."""
        try:
            self.socket.sendto(datagram, client)
        except BlockingIOError:
            return False
        except OSError as error:
            self._problems.problem("relay.control-reply", to=client, reason=error)
        return True

    def close(self, *, with_folder: bool) -> None:
        """Closes it, and removes its path with those of clients that are gone.

        `with_folder`: the folder was made for this socket by who is no more.
        """
        self.socket.close()
        if self._path is None:
            return
        for path in (self._path, *self._path.parent.glob(f"{self._path.name}.*")):
            if path.is_socket():
                path.unlink(missing_ok=True)
        if with_folder:
            try:
                self._path.parent.rmdir()
            except OSError:  # somebody else's is in it
                return


def _bound(address: ControlAddress) -> socket.socket:
    if isinstance(address, Path):
        return _bound_unix(address)
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    try:
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def _bound_unix(path: Path) -> socket.socket:
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    mask = os.umask(0o177)
    try:
        sock.bind(str(path))
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(mask)
    return sock


def _remove_stale(path: Path) -> None:
    """A socket that an earlier relay left behind, and at which nobody listens."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            probe.connect(str(path))
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
    except OSError:
        return


def _user(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            return int(_CREDENTIALS.unpack_from(data)[1])
    return None
