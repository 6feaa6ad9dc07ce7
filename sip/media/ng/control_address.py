"""Where an engine's control is: a UNIX socket of its own user, or an address and a UDP port."""

from ipaddress import ip_address
from pathlib import Path
from typing import Final, TypeAlias

#: A UNIX datagram socket's path, or host and UDP port.
ControlAddress: TypeAlias = Path | tuple[str, int]

#: What the kernel takes as a UNIX socket's path, in octets (unix(7): 108 with the last zero).
MAX_PATH: Final = 107

#: A client's own socket is named as the engine's, with a dot and so many letters.
CLIENT_LETTERS: Final = 8

_UNIX: Final = "unix:"


def read_control_address(text: str) -> ControlAddress:
    """From `unix:PATH` or `HOST:PORT`, HOST an IP address. ValueError in words."""
    if text.startswith(_UNIX):
        return checked_path(Path(text.removeprefix(_UNIX)))
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is neither unix:PATH nor HOST:PORT")
    try:
        return str(ip_address(host.strip("[]"))), int(port)
    except ValueError:
        raise ValueError(f"{host!r} is not an IP address") from None


def checked_path(path: Path) -> Path:
    """`path`, if it leaves a client room for its own name beside it. ValueError in words."""
    room = MAX_PATH - CLIENT_LETTERS - 1
    size = len(str(path).encode())
    if not path.name or size > room:
        raise ValueError(f"{str(path)!r} is no path of 1 to {room} octets (it has {size})")
    return path


def written(address: ControlAddress) -> str:
    """As `read_control_address` reads it."""
    if isinstance(address, Path):
        return f"{_UNIX}{address}"
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
