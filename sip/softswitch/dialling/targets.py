"""What can be dialled: a number by way of a trunk, a SIP URI, or a user that registered with us."""

from typing import TypeAlias

from sip.b2bua.call_events import Headers
from sip.core.uri import Uri
from sip.core.value import frozen


@frozen(kw_only=True)
class PhoneTarget:
    """A number, by way of a trunk."""

    number: str
    trunk: str | None = None
    headers: Headers = ()

    @property
    def called(self) -> str:
        """Who is called, in a word."""
        return self.number


@frozen(kw_only=True)
class SipTarget:
    """A SIP URI, dialled as it is; `auth` answers its challenge."""

    uri: Uri
    auth: tuple[str, str] | None = None
    headers: Headers = ()

    @property
    def called(self) -> str:
        """Who is called, in a word."""
        return str(self.uri)


@frozen(kw_only=True)
class UserTarget:
    """Who registered with us as `name@realm`, or as `name` at whichever host if `realm` is None.

    `trunk` is the trunk whose peer it is, None for any.
    """

    name: str
    realm: str | None = None
    trunk: str | None = None
    headers: Headers = ()

    @property
    def called(self) -> str:
        """Who is called, in a word."""
        return self.name if self.realm is None else f"{self.name}@{self.realm}"


DialTarget: TypeAlias = PhoneTarget | SipTarget | UserTarget
