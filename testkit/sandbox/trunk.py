"""The trunk behind an imported number: where it is and how we prove who we are."""

from sip.core.digest_client import Credentials
from sip.core.uri import Uri
from testkit.sandbox.store import Number


def termination(number: Number, to_number: str) -> Uri:
    """Where to dial: `termination_uri` is a host, `host:port` or a SIP URI. Raises ParseError."""
    text = number.termination_uri.strip()
    if not text.lower().startswith(("sip:", "sips:")):
        text = f"sip:{text}"
    trunk = Uri.parse(text)
    target = trunk.replace(user=to_number, password=None, headers="")
    return target.with_param("transport", trunk.transport or number.transport.lower())


def credentials(number: Number) -> Credentials | None:
    """What answers the trunk's challenge; None where the import gave no credentials."""
    if not number.auth_username:
        return None
    return Credentials(number.auth_username, number.auth_password or "")
