"""The ways in which a PBX and the gateway find each other, and both sides' configuration for it."""

from dataclasses import dataclass
from typing import Any, Literal

from tests.interop.harness.network import Network, Party

Json = dict[str, Any]
Way = Literal["static", "registers", "registrar", "extension"]
Transport = Literal["udp", "tcp", "tls"]

WAYS: tuple[Way, ...] = ("static", "registers", "registrar")
TRANSPORTS: tuple[Transport, ...] = ("udp", "tcp", "tls")
#: The shortest that RFC 4028 allows; a refresh comes at half of it.
SESSION_S = 90


@dataclass(frozen=True, slots=True)
class PbxTrunk:
    """One trunk between a PBX and the gateway.

    `static`: both know the other's address. `registers`: the PBX registers with the gateway.
    `registrar`: the gateway registers with the PBX. `extension`: so it does, as the extension
    `name`, beside others at the same address of the PBX.
    """

    name: str
    way: Way
    transport: Transport
    pbx: Party
    gateway: Party
    number: str
    """what Retell dials to reach an extension over this trunk"""

    @property
    def password(self) -> str:
        return f"interop-{self.name}-password"

    @property
    def encrypted(self) -> bool:
        """Whether its media is, as keys are safe in TLS."""
        return self.transport == "tls"

    @property
    def pbx_uri(self) -> str:
        return f"sip:{self.pbx};transport={self.transport}"

    @property
    def gateway_uri(self) -> str:
        return f"sip:{self.gateway};transport={self.transport}"

    def settings(self) -> Json:
        """The trunk's entry in the gateway's configuration."""
        entry: Json = {"name": self.name, "kind": "pbx"}
        entry["session_timer"] = {"mode": "request", "expires_s": SESSION_S}
        if self.encrypted:
            entry["media"] = {"srtp": "required"}
        login = {"username": self.name, "password": self.password}
        if self.way == "registers":
            return entry | {"login": login, "registrar": True}
        if self.way == "extension":  # whose call it is, its Request-URI tells
            registered = {"register": True, "credentials": login}
            return entry | {"name": f"pbx-{self.name}", "gateways": [self.pbx_uri]} | registered
        entry |= {"gateways": [self.pbx_uri], "identify": [self.pbx.host]}
        if self.way == "registrar":
            entry |= {"register": True, "credentials": login}
        return entry


def trunks(network: Network, ways: tuple[Way, ...], kinds: tuple[Transport, ...]) -> list[PbxTrunk]:
    """Every way over every transport, each at an address of the PBX of its own."""
    pairs = [(way, kind) for way in ways for kind in kinds]
    return [
        pbx_trunk(network, f"{way}-{kind}", way, kind, index)
        for index, (way, kind) in enumerate(pairs)
    ]


def pbx_trunk(network: Network, name: str, way: Way, kind: Transport, index: int) -> PbxTrunk:
    """One trunk; `index` counts them, from 0 on, and tells their addresses and numbers apart."""
    return PbxTrunk(
        name,
        way,
        kind,
        network.party(f"pbx-{name}", 100 + index),
        network.secure_gateway if kind == "tls" else network.gateway,
        f"+1212555{130 + index:04}",
    )
