"""Who calls: read from an INVITE as far as its trunk is trusted, written as the next one wants it.

RFC 3323 (privacy), RFC 3325 (P-Asserted-Identity and P-Preferred-Identity), RFC 5806 (Diversion);
Remote-Party-ID is draft-ietf-sip-privacy-04, which never became an RFC and which PBXs still speak.
"""

from typing import Final

from config.settings import IdentityHeader
from sip.b2bua.call_events import Headers
from sip.core.header_values import NameAddr, readable_addresses
from sip.core.message import Request
from sip.core.uri import Uri, at_domain
from sip.core.value import frozen
from sip.softswitch.dialling.called_number import as_phone
from sip.softswitch.dialling.numbers import MAX_DIALLED, Subscriber, write_number
from sip.softswitch.trunks.trunk import Trunk

#: The word for a caller who withholds the number, in From and towards applications.
ANONYMOUS: Final = "anonymous"
#: The header fields of `caller_id.accept` and `caller_id.send`.
FIELDS: Final[dict[IdentityHeader, str]] = {
    "from": "From",
    "pai": "P-Asserted-Identity",
    "ppi": "P-Preferred-Identity",
    "rpid": "Remote-Party-ID",
    "diversion": "Diversion",
}
_KEYS: Final = {header: name.lower() for header, name in FIELDS.items()}

#: RFC 3323 4.1.1.3: the From of a caller without identity.
_ANONYMOUS_FROM: Final = NameAddr("Anonymous", Uri.parse("sip:anonymous@anonymous.invalid"))
#: User parts by which peers say that a caller withholds the number, and that there is none.
_WITHHELD: Final = frozenset({ANONYMOUS, "restricted", "private", "withheld", "blocked"})
_NO_NUMBER: Final = _WITHHELD | {"", "unknown", "unavailable"}
#: RFC 3323 4.2, RFC 3325 9.3: privacy values that hide the caller; "full" is Remote-Party-ID's.
_HIDING: Final = frozenset({"id", "user", "header", "full"})
_MAX_NAME: Final = 80


@frozen(kw_only=True)
class Identity:
    """A caller.

    `number` is E.164 where it is one, else the user part; "" where none is known. `anonymous`: it
    must not be passed on. `asserted_by` names the header that held it. `verstat` is what the
    carrier says of the caller's signature (3GPP TS 24.229 7.2A.20), such as TN-Validation-Passed.
    """

    number: str = ""
    name: str | None = None
    anonymous: bool = False
    asserted_by: IdentityHeader | None = None
    verstat: str | None = None

    @property
    def shown(self) -> str:
        """The caller as applications and peers may know it."""
        return self.number if self.number and not self.anonymous else ANONYMOUS

    @property
    def withheld(self) -> str | None:
        """The number that only trusted trunks may see."""
        return self.number or None if self.anonymous else None


@frozen(kw_only=True)
class Caller:
    """The caller that a B-leg shows: a number or ANONYMOUS.

    `withheld` is the number of an anonymous caller, for trunks that carry it in a private header;
    `host` the domain of its URI, where that is not the trunk's to say.
    """

    number: str
    name: str | None = None
    withheld: str | None = None
    host: str | None = None


def inbound_identity(invite: Request, trunk: Trunk) -> Identity:
    """The caller, by the first header of `caller_id.accept` that is there and holds a number.

    Headers outside that list are ignored.
    """
    asked = privacy(invite)
    hidden = bool(asked & _HIDING) or ("none" not in asked and _is_anonymous(invite.from_))
    verstat: str | None = None
    told: tuple[IdentityHeader, NameAddr, Subscriber] | None = None
    for header in trunk.caller_id.accept:
        for address in _addresses(invite, header):
            caller = Subscriber.of(address.uri)
            # carriers put it with the number, with the URI, or with the header
            verstat = verstat or caller.param("verstat") or address.param("verstat") or None
            if told is None and _has_number(address, caller):
                told = header, address, caller
    if told is None:
        return Identity(anonymous=hidden, verstat=verstat)
    header, address, caller = told
    restricted = address.param("privacy")
    hidden = hidden or restricted in ("full", "uri")
    name = None
    if not hidden and restricted != "name":
        name = _name(address)
        if name is None and "from" in trunk.caller_id.accept:
            name = _name(invite.from_)  # a carrier may assert the number alone
    return Identity(
        number=caller.number(trunk.country, full=trunk.caller_id.format == "e164"),
        name=name,
        anonymous=hidden,
        asserted_by=header,
        verstat=verstat,
    )


def outbound_identity(trunk: Trunk, caller: Caller, host: str) -> tuple[NameAddr, Headers]:
    """From, and the other headers that name the caller on `trunk`.

    `host` is our address, for a trunk that wants no other domain. A caller who withholds the number
    is sent by RFC 3323 (anonymous From, `Privacy: id`) with the number in the other headers of
    `caller_id.send`, or like any other where the trunk has `privacy: false`.
    """
    settings = trunk.caller_id
    domain = caller.host or settings.from_domain or trunk.leg.contact_domain or host
    unnamed = _unnamed(caller.number)
    number = caller.withheld or "" if unnamed else caller.number
    hidden = unnamed and (settings.privacy or not number)
    name = None if hidden else _shown_name(caller.name, number)
    told = NameAddr(name, _uri(number, domain, trunk))
    headers = [
        (FIELDS[header], _value(header, told, hidden=hidden))
        for header in settings.send
        if header != "from" and number
    ]
    if hidden:
        headers.append(("Privacy", "id"))
    if "from" not in settings.send:
        account = settings.from_user or (trunk.credentials and trunk.credentials.username)
        if account:
            return NameAddr(name, at_domain(domain, account)), tuple(headers)
    return _ANONYMOUS_FROM if hidden else told, tuple(headers)


def privacy(invite: Request) -> frozenset[str]:
    """The wishes of its Privacy header (RFC 3323 4.2), in lower case."""
    if "privacy" not in invite.headers.fields:
        return frozenset()
    lines = invite.headers.get_all("privacy")
    text = ";".join(lines).replace(",", ";").lower()
    return frozenset(filter(None, map(str.strip, text.split(";"))))


def _addresses(invite: Request, header: IdentityHeader) -> list[NameAddr]:
    """The addresses of a header in order; those that cannot be read are left out."""
    if header == "from":
        return [invite.from_]
    key = _KEYS[header]
    if key not in invite.headers.fields:
        return []
    found = readable_addresses(invite.headers.get_all(key))
    if header == "rpid":
        return [address for address in found if address.param("party") in (None, "calling")]
    return found


def _has_number(address: NameAddr, caller: Subscriber) -> bool:
    return not (_is_anonymous(address) or _unnamed(caller.user))


def _is_anonymous(address: NameAddr) -> bool:
    uri = address.uri
    return uri.host.lower() == "anonymous.invalid" or (uri.user or "").lower() in _WITHHELD


def _unnamed(number: str) -> bool:
    """Whether this text is a peer's word for a withheld caller."""
    odd = len(number) > MAX_DIALLED or not number.isprintable()
    return odd or number.strip().lower() in _NO_NUMBER


def _name(address: NameAddr) -> str | None:
    return _shown_name(address.display_name, address.uri.user or "")


def _shown_name(name: str | None, number: str) -> str | None:
    """A display name that tells more than the number does."""
    if not name:
        return None
    name = "".join(letter for letter in name if letter.isprintable()).strip()[:_MAX_NAME]
    repeats = name.lower() in _NO_NUMBER or name.lstrip("+") == number.lstrip("+")
    return None if repeats else name


def _uri(number: str, domain: str, trunk: Trunk) -> Uri:
    user = write_number(number, trunk.caller_id.format, country=trunk.country)
    return as_phone(at_domain(domain, user), trunk)


def _value(header: IdentityHeader, caller: NameAddr, *, hidden: bool) -> str:
    match header:
        case "rpid":
            shown = caller.with_param("party", "calling").with_param("screen", "yes")
            return str(shown.with_param("privacy", "full" if hidden else "off"))
        case "diversion":
            diversion = NameAddr(None, caller.uri).with_param("reason", "unconditional")
            return str(diversion.with_param("privacy", "full") if hidden else diversion)
        case _:
            return str(caller)
