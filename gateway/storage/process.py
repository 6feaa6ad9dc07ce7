"""A process by a name that no other has, so that another one can tell whether it is dead."""

import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Process:
    """`namespace` and `started` are Linux's, empty elsewhere: a container's process may have the
    number of one in another container, and a later process that of an earlier one."""

    host: str
    namespace: str
    pid: int
    started: str
    nonce: str

    @classmethod
    def own(cls) -> Self:
        """This process; another name at each call."""
        pid = os.getpid()
        return cls(
            socket.gethostname(), _namespace(), pid, _started(pid) or "", secrets.token_hex(4)
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `str` wrote. Raises ValueError."""
        host, namespace, pid, started, nonce = text.split("|")
        return cls(host, namespace, int(pid), started, nonce)

    def __str__(self) -> str:
        return f"{self.host}|{self.namespace}|{self.pid}|{self.started}|{self.nonce}"

    def is_visible(self) -> bool:
        """Whether this machine's list of processes tells if it is alive."""
        return (self.host, self.namespace) == (socket.gethostname(), _namespace())

    def is_alive(self) -> bool:
        """Whether it runs; asked only where it `is_visible`."""
        if self.started:
            return _started(self.pid) == self.started
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process began, in the kernel's ticks since the machine did; None without /proc.

    A zombie has ended.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()  # the name before may hold anything
    return None if fields[0] in "ZX" else fields[19]
