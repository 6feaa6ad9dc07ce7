"""Our digest credentials towards peers that challenge us (RFC 3261 22)."""

from dataclasses import dataclass, field

from sip.core.digest_client import Proofs


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a trunk expects from us; with a `realm`, only there. The password is in no repr."""

    username: str
    password: str = field(repr=False)
    realm: str | None = None

    def proofs(self) -> Proofs:
        """What answers the challenges of one call (RFC 3261 22.3: never cached across dialogs)."""
        return Proofs(self.username, self.password, self.realm)
