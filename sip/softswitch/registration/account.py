"""The registrar of a trunk, our name there, and what our Contact shows (RFC 3261 10.2)."""

import hashlib
from dataclasses import dataclass, replace

from sip.core.digest_client import Credentials
from sip.core.registration import INSTANCE
from sip.core.uri import Params, Uri
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.advertise import Advertiser
from sip.transport.endpoint import Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One registration as the configuration wants it."""

    trunk: str
    #: user-less; the Request-URI (RFC 3261 10.2) and, without a `proxy`, where REGISTER goes
    registrar: Uri
    aor: Uri
    contact_user: str
    contact_params: Params
    expires_s: int
    credentials: Credentials | None
    proxy: Uri | None
    advertise: str
    contact_domain: str | None

    @classmethod
    def of(cls, trunk: Trunk) -> "Account":
        """What the trunk's configuration says. Raises ValueError where it names no registrar."""
        wanted, ours = trunk.registration, trunk.credentials
        registrar = Uri.parse(wanted.registrar) if wanted.registrar else None
        if registrar is None and trunk.gateways:
            registrar = trunk.gateways[0]
        if registrar is None:
            raise ValueError(f"trunk {trunk.name} has no registrar to register with")
        username = ours.username if ours else trunk.name
        aor = Uri.parse(wanted.aor) if wanted.aor else _aor(username, registrar.host)
        return cls(
            trunk=trunk.name,
            registrar=registrar.replace(user=None, password=None),
            aor=aor,
            contact_user=wanted.contact_user or aor.user or username,
            contact_params=_contact_params(trunk.name, aor, wanted.contact_params),
            expires_s=wanted.expires_s,
            credentials=ours,
            proxy=trunk.outbound_proxy,
            advertise=trunk.leg.advertise,
            contact_domain=trunk.leg.contact_domain,
        )

    def same_binding(self, other: "Account") -> bool:
        """Whether a REGISTER of the one takes the place of the other's."""
        alike = replace(other, credentials=self.credentials, expires_s=self.expires_s)
        return self == alike

    def is_called(self, uri: Uri) -> bool:
        """Whether `uri` is our Contact, by one of its parameters."""
        told = [(name, value) for name, value in self.contact_params if value is not None]
        return any(uri.param(name) == value for name, value in told)

    def contact(self, flow: Flow, advertiser: Advertiser) -> Uri:
        """Where the registrar shall send calls; for one at a sips URI this is one too (RFC 3261
        8.1.1.8). Raises OSError for an interface that is gone."""
        host = self.contact_domain or advertiser.address(self.advertise, flow)
        transport = flow.remote.transport
        secure = self.registrar.scheme == "sips"
        params: Params = ()
        if transport != "udp" and not secure:
            params = (("transport", transport),)
        return Uri(
            "sips" if secure else "sip",
            user=self.contact_user,
            host=host,
            port=flow.local.port,
            params=params + self.contact_params,
        )


def _aor(username: str, host: str) -> Uri:
    user, at, domain = username.partition("@")
    return Uri("sip", user=user, host=domain if at else host)


def _contact_params(trunk: str, aor: Uri, configured: dict[str, str]) -> Params:
    """The URI parameters of our Contact: who calls it says by them which registration he means.

    The instance is made of the names, not of chance: after a restart the new registration takes the
    old one's place instead of standing beside it.
    """
    token = hashlib.blake2b(f"{trunk} {aor}".encode(), digest_size=8).hexdigest()
    params = {INSTANCE: token} | configured
    return tuple((name, value or None) for name, value in params.items())
