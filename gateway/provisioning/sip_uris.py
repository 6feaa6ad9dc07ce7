"""Our SIP side as others call it."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class OwnUri:
    """A SIP URI without a user: `host_port` is lower case, the port only where it was said."""

    host_port: str
    transport: str

    @classmethod
    def of(cls, uri: str) -> Self:
        """`sip:HOST[:PORT][;transport=udp|tcp|tls]`, as the configuration has it. Without a
        transport it is UDP (RFC 3263 4.1)."""
        host_port, *parameters = uri.removeprefix("sip:").lower().split(";")
        named = dict(one.partition("=")[::2] for one in parameters)
        return cls(host_port, named.get("transport", "udp"))
