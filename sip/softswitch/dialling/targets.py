"""What can be dialled: a number by way of a trunk, or a SIP URI."""

from sip.b2bua.call_events import Headers
from sip.core.uri import Uri
from sip.core.value import frozen


@frozen(kw_only=True)
class PhoneTarget:
    """A number, by way of a trunk."""

    number: str
    trunk: str | None = None
    headers: Headers = ()


@frozen(kw_only=True)
class SipTarget:
    """A SIP URI, dialled as it is; `auth` answers its challenge."""

    uri: Uri
    auth: tuple[str, str] | None = None
    headers: Headers = ()


DialTarget = PhoneTarget | SipTarget
