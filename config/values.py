"""What the models of the configuration are made of: their base, and values that have parts.

A value is written as one short string. Every `parse` raises ValueError with a sentence for the
operator; `config.reading.source` puts the file, the line and the key in front of it.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Transport = Literal["udp", "tcp", "tls"]
Network = IPv4Network | IPv6Network


def _packet_time(value: int) -> int:
    if value not in (10, 20, 30, 40, 60):
        raise ValueError("a packet of audio is 10, 20, 30, 40 or 60 ms long")
    return value


Positive = Annotated[int, Field(gt=0)]
#: Milliseconds of audio in a packet.
PacketTime = Annotated[int, AfterValidator(_packet_time)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]

#: A host name, an IPv4 address, or an IPv6 address in square brackets.
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")


class Model(BaseModel):
    """Frozen, and strict about names: an unknown key is a typing error of the operator."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def text_of(value: Any) -> str:
    """The value itself. Raises ValueError if it is no string."""
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def host_port(text: str, form: str) -> tuple[str, int]:
    """Host, without brackets, and port. Raises ValueError, which says that `form` is wanted."""
    host, colon, port = text.rpartition(":")
    if not colon or not HOST.fullmatch(host):
        raise ValueError(f"{text!r} is not of the form {form}")
    return host.strip("[]"), port_number(port)


def port_number(text: str) -> int:
    """1 to 65535. Raises ValueError."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ValueError(f"{text!r} is not a port number (1-65535)")
    return int(text)


@dataclass(frozen=True, slots=True)
class Address:
    """`HOST:PORT` to listen on; IPv6 in square brackets."""

    host: str
    port: int

    @classmethod
    def parse(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        return cls(*host_port(text_of(value), "HOST:PORT"))


@dataclass(frozen=True, slots=True)
class Listener:
    """`udp:HOST:PORT`, `tcp:HOST:PORT` or `tls:HOST:PORT`: one SIP socket to listen on."""

    transport: Transport
    host: str
    port: int

    @classmethod
    def parse(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        text = text_of(value)
        transport, _, rest = text.partition(":")
        if transport not in ("udp", "tcp", "tls"):
            raise ValueError(f"{text!r} is not of the form udp:HOST:PORT, tcp:… or tls:…")
        host, port = host_port(rest, f"{transport}:HOST:PORT")
        return cls(cast(Transport, transport), host, port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}:{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class PortRange:
    """`FIRST-LAST`, both included: UDP ports for RTP and RTCP."""

    first: int
    last: int

    @classmethod
    def parse(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        text = text_of(value)
        first, dash, last = text.partition("-")
        if not dash:
            raise ValueError(f"{text!r} is not of the form FIRST-LAST")
        ports = cls(port_number(first.strip()), port_number(last.strip()))
        if not ports.calls:
            raise ValueError(f"{text!r} has no room for one call, which needs 4 ports")
        if ports.first < 1024:
            raise ValueError(f"{text!r} begins below 1024, where ports are privileged")
        return ports

    @property
    def calls(self) -> int:
        """How many calls they are enough for: each takes two pairs, of an even port and the next,
        one towards each leg."""
        return len(range(self.first + self.first % 2, self.last, 2)) // 2


@dataclass(frozen=True, slots=True)
class Source:
    """Where a peer's requests come from: a network, or `ADDRESS:PORT` when peers share an address
    (two PBXs behind one NAT, everything on loopback)."""

    network: Network
    port: int | None = None

    @classmethod
    def parse(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        text = text_of(value)
        host, _, port = text.rpartition(":")
        if host and port.isdecimal() and (":" not in host or host.startswith("[")):
            return cls(_network(host.strip("[]")), port_number(port))
        return cls(_network(text))

    def matches(self, address: IPv4Address | IPv6Address, port: int) -> bool:
        """Whether a request from there is this peer's."""
        return address in self.network and self.port in (None, port)

    def __str__(self) -> str:
        if self.port is None:
            return str(self.network)
        address = self.network.network_address
        return f"[{address}]:{self.port}" if address.version == 6 else f"{address}:{self.port}"


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        wider = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not an address or a network such as 192.0.2.0/24") from None
    raise ValueError(f"{text!r} has bits set after the prefix; did you mean {wider}?")


ListenAddress = Annotated[Address, BeforeValidator(Address.parse)]
SipListener = Annotated[Listener, BeforeValidator(Listener.parse)]
RtpPorts = Annotated[PortRange, BeforeValidator(PortRange.parse)]
PeerSource = Annotated[Source, BeforeValidator(Source.parse)]
