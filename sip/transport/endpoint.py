"""Addresses of SIP peers and the flows that lead to them."""

import ipaddress
from dataclasses import dataclass
from typing import Protocol

from sip.core.uri import Uri
from sip.transport.address import version

DEFAULT_PORT = {"udp": 5060, "tcp": 5060, "tls": 5061}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A transport address: `transport` is udp, tcp or tls, `host` an IP address, no brackets."""

    transport: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.transport}:{self.hostport}"

    @property
    def hostport(self) -> str:
        """`host:port` as it stands in a URI, an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def version(self) -> int:
        """4 or 6."""
        return version(self.host)

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """`udp:0.0.0.0:5060`; raises ValueError."""
        transport, _, hostport = text.partition(":")
        host, _, port = hostport.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if transport not in DEFAULT_PORT or not port.isdigit():
            raise ValueError(f"{text!r} is not transport:address:port")
        ipaddress.ip_address(host)
        return cls(transport, host, int(port))


@dataclass(frozen=True, slots=True)
class Target:
    """One server to try (RFC 3263 4.2).

    `name` is the host part of the URI that led to it: what a TLS connection asks for by SNI, and
    what the server's certificate must show (RFC 5922 7.2).
    """

    endpoint: Endpoint
    name: str


class Flow(Protocol):
    """One way to one peer: a UDP socket and an address, or a connection (RFC 5626's word).

    `local` is the address we listen on or connected from, `reliable` whether the transport resends.
    `advertise` is the address that our listener shows instead of its own, if it was told one.
    `peer_names` are the names in a TLS client's verified certificate, () where there is none.
    `error` is a sentence: why a connection could not be made, or why it broke. `proven` says that
    the other end has spoken SIP on it, `deaf` that nothing came since a request went out.
    `standing` belongs to the doorkeeper of the user agent: what it worked out of the source, None
    before it was asked.
    """

    standing: object

    @property
    def remote(self) -> Endpoint: ...
    @property
    def local(self) -> Endpoint: ...
    @property
    def advertise(self) -> str | None: ...
    @property
    def peer_names(self) -> tuple[str, ...]: ...
    @property
    def error(self) -> str | None: ...
    @property
    def reliable(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    @property
    def proven(self) -> bool: ...
    @property
    def deaf(self) -> bool: ...

    def send(self, data: bytes) -> None:
        """Send or queue; a connection that fails ends by the transport's `on_flow_lost`."""
        ...

    def abort(self) -> None:
        """Close a connection at once; nothing to do over UDP."""
        ...

    def keep(self) -> None:
        """A peer we deal with uses this flow: the limits on strangers end for it."""
        ...


def uri_transport(uri: Uri) -> str:
    """RFC 3263 4.1, without NAPTR: TLS for sips, else the URI's transport, else UDP."""
    return "tls" if uri.scheme == "sips" else uri.transport or "udp"
