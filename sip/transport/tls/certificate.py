"""What a certificate says: its names, its time, who signed it. Pure.

A certificate is the mapping that `ssl.SSLSocket.getpeercert` returns.
"""

import ipaddress
import re
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Certificate = Mapping[str, Any]

_SIP_URI_HOST = re.compile(r"sips?:(?:[^@]*@)?(\[[^]]+\]|[^:;?]+)", re.IGNORECASE)


def identities(certificate: Certificate) -> tuple[str, ...]:
    """The names that the holder may be called by (RFC 5922 7.1), lower case.

    Hosts of SIP URIs, DNS names and addresses of subjectAltName; the common name only in their
    absence.
    """
    return _alternative_names(certificate) or _common_names(certificate)


def all_names(certificate: Certificate) -> tuple[str, ...]:
    """`identities`, and the common name in any case: PBXs are often known by it alone."""
    names = _alternative_names(certificate) + _common_names(certificate)
    return tuple(dict.fromkeys(names))


def covers(names: Sequence[str], wanted: str) -> bool:
    """Whether one of `names` is `wanted`.

    `*` stands for one whole label at the left (RFC 6125 6.4.3). RFC 5922 7.2 has no wildcards, but
    carriers' certificates have.
    """
    wanted = wanted.lower().rstrip(".")
    try:
        address = ipaddress.ip_address(wanted)
    except ValueError:
        _, _, domain = wanted.partition(".")
        return wanted in names or ("." in domain and f"*.{domain}" in names)
    return any(_as_address(name) == address for name in names)


def expired_on(chain: Sequence[Certificate], now: float) -> str | None:
    """The day on which the first certificate of `chain` that is past its time ended.

    `now` is in seconds since 1970.
    """
    for certificate in chain:
        ends = ssl.cert_time_to_seconds(certificate["notAfter"])
        if ends < now:
            return day(ends)
    return None


def valid_from(chain: Sequence[Certificate], now: float) -> str | None:
    """The day on which the first certificate of `chain` whose time is still to come begins."""
    for certificate in chain:
        begins = ssl.cert_time_to_seconds(certificate["notBefore"])
        if begins > now:
            return day(begins)
    return None


def day(epoch_s: float) -> str:
    """A day as operators write it."""
    return datetime.fromtimestamp(epoch_s, UTC).date().isoformat()


def title(certificate: Certificate, field: str = "subject") -> str:
    """Subject or issuer in a word: its common name, else its organisation."""
    found = {key: value for part in certificate.get(field, ()) for key, value in part}
    for key in ("commonName", "organizationalUnitName", "organizationName"):
        if key in found:
            return str(found[key])
    return "no name"


def _alternative_names(certificate: Certificate) -> tuple[str, ...]:
    found: list[str] = []
    for kind, value in certificate.get("subjectAltName", ()):
        if kind == "DNS":
            found.append(value.lower().rstrip("."))
        elif kind == "IP Address":
            found.append(str(_as_address(value) or value))  # OpenSSL writes IPv6 out in full
        elif kind == "URI" and (match := _SIP_URI_HOST.match(value)):
            found.append(match[1].lower().strip("[]"))
    return tuple(dict.fromkeys(found))


def _common_names(certificate: Certificate) -> tuple[str, ...]:
    parts = [part for group in certificate.get("subject", ()) for part in group]
    return tuple(value.lower() for key, value in parts if key == "commonName")


def _as_address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name.strip())
    except ValueError:
        return None
