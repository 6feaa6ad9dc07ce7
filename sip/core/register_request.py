"""What a REGISTER asks of a registrar, contact by contact (RFC 3261 10.3). Pure."""

import re
from typing import Final

from sip.core.header_values import NameAddr, params_text, parse_name_addr
from sip.core.message import Request
from sip.core.uri import Uri
from sip.core.value import frozen
from sip.errors import ParseError

#: RFC 3261 20.10: what an expiry that cannot be read stands for, in seconds.
UNREADABLE_EXPIRES_S: Final = 3600
_QUOTED_NAME: Final = re.compile(r'\s*"(?:[^"\\]|\\.)*+"', re.DOTALL)


@frozen
class ContactWish:
    """One contact that shall be bound, refreshed, or, with `expires_s` 0, removed.

    `text` is its URI exactly as it came: peers compare what they get back, and what they are
    called by, octet for octet. `params` are the other parameters of the field, likewise, without
    `expires`. `instance` is the device's own name and flow (RFC 5626), "" where it tells none.
    """

    text: str
    uri: Uri
    params: str
    q: float
    instance: str
    expires_s: int | None


def asks_for_removal_of_all(request: Request) -> bool:
    """`Contact: *` (RFC 3261 10.2.2). Raises ParseError(400) where it stands with anything else
    than Expires: 0."""
    items = request.headers.values("contact")
    if "*" not in items:
        return False
    if items != ["*"] or _seconds(request.headers.get("expires")) != 0:
        raise ParseError("Contact * Needs Expires 0 And No Other Contact")
    return True


def wishes(request: Request) -> list[ContactWish]:
    """Every contact of the request, none for one that only asks. Raises ParseError(400).

    `expires_s` is the contact's own, else that of the Expires header, else None.
    """
    general = _seconds(request.headers.get("expires"))
    return [_wish(item, general) for item in request.headers.values("contact")]


def _wish(item: str, general: int | None) -> ContactWish:
    contact = parse_name_addr(item)
    if contact.uri.scheme not in ("sip", "sips") or contact.uri.headers:
        raise ParseError("Contact Is No SIP URI")
    own = _seconds(contact.param("expires"))
    kept = tuple(param for param in contact.params if param[0].lower() != "expires")
    return ContactWish(
        text=_uri_text(item),
        uri=contact.uri,
        params=params_text(kept),
        q=_q(contact),
        instance=_instance(contact),
        expires_s=general if own is None else own,
    )


def _uri_text(item: str) -> str:
    """The URI of a name-addr or addr-spec that is known to be one, as it is written there."""
    name = _QUOTED_NAME.match(item)
    rest = item[name.end() :] if name else item
    if "<" in rest:
        return rest.partition("<")[2].partition(">")[0]
    return rest.partition(";")[0].strip()


def _q(contact: NameAddr) -> float:
    """RFC 3261 20.10: 0 to 1; a contact without one comes first."""
    text = contact.param("q")
    try:
        return 1.0 if text is None else min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def _instance(contact: NameAddr) -> str:
    instance = contact.param("+sip.instance")
    return f"{instance} {contact.param('reg-id') or ''}" if instance else ""


def _seconds(text: str | None) -> int | None:
    return None if text is None else expires_s(text)


def expires_s(text: str) -> int:
    """The seconds of an Expires header or parameter."""
    digits = text.strip()
    readable = digits.isascii() and digits.isdecimal() and len(digits) <= 10
    return int(digits) if readable else UNREADABLE_EXPIRES_S
