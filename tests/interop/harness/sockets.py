"""Which sockets of this machine are open, from /proc/net."""

import socket
from pathlib import Path
from typing import Literal

_LISTEN = "0A"


def bound(transport: Literal["udp", "tcp"], host: str, port: int) -> bool:
    """Whether somebody has bound that address, and listens if it is TCP."""
    # /proc/net writes IPv4 addresses as one little-endian hexadecimal number
    wanted = f"{socket.inet_aton(host)[::-1].hex().upper()}:{port:04X}"
    for line in Path(f"/proc/net/{transport}").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == wanted and (transport == "udp" or fields[3] == _LISTEN):
            return True
    return False
