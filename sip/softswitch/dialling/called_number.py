"""The called number: where it stands in an INVITE, and the URI that calls it."""

from collections.abc import Iterator
from typing import Final

from sip.core.header_values import readable_addresses
from sip.core.message import Request
from sip.core.uri import Uri
from sip.softswitch.dialling.numbers import Subscriber, is_telephone, write_number
from sip.softswitch.trunks.trunk import Trunk

_FIELDS: Final = {"to": "to", "p-called-party-id": "p-called-party-id", "diversion": "diversion"}


def called_number(invite: Request, trunk: Trunk) -> str:
    """The number that an INVITE of `trunk` calls: E.164 where it is one, else the user part.

    The trunk's `called_number.accept` names the header that holds it; without that header it is
    in the Request-URI. A registrar rewrites the Request-URI to the Contact that we registered:
    then it is in To (RFC 3261 16.5). "" where no header names one.
    """
    settings = trunk.called_number
    for uri in _places(invite, settings.accept):
        called = Subscriber.of(uri)
        if called.user and called.user not in trunk.own_users:
            full = settings.format == "e164"
            return called.number(trunk.country, full=full, strip=settings.strip)
    return invite.request_uri.user or ""


def _places(invite: Request, accept: str) -> Iterator[Uri]:
    """The URIs that may hold the number, best first.

    Of several Diversions the first counts: the latest (RFC 5806 4).
    """
    field = _FIELDS.get(accept)
    if field is not None:
        for address in readable_addresses(invite.headers.get_all(field))[:1]:
            yield address.uri
    yield invite.request_uri
    yield invite.to.uri


def dialled_uri(gateway: Uri, number: str, trunk: Trunk) -> Uri:
    """The Request-URI that calls `number` through one of the trunk's gateways."""
    settings = trunk.called_number
    user = write_number(number, settings.format, country=trunk.country, prefix=settings.prefix)
    params = gateway.params and tuple(p for p in gateway.params if p[0] != "lr")
    return as_phone(gateway.replace(user=user, params=params), trunk)


def as_phone(uri: Uri, trunk: Trunk) -> Uri:
    """With `;user=phone` where the trunk wants it and the user part is a number."""
    wanted = trunk.caller_id.user_phone and is_telephone(uri.user or "")
    return uri.with_param("user", "phone") if wanted else uri
