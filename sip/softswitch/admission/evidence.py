"""What a request shows of its sender besides a password: which trunks' demands it meets.

A trunk may demand a source address, names in a TLS client's certificate and headers that hold a
secret. It is met when all that it demands is met, so an address that several trunks share proves
nothing for one that asks for more.
"""

import hmac
from collections.abc import Iterable

from sip.core.message import Request
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Flow


def most_demanding_first(trunks: Iterable[Trunk]) -> tuple[Trunk, ...]:
    """Trunks in the order of how much they ask for, the most first, else as configured.

    A trunk that demands nothing would be met by every request, and is left out.
    """
    demanding = [trunk for trunk in trunks if any(_demands(trunk))]
    return tuple(sorted(demanding, key=_demands, reverse=True))


def meets(trunk: Trunk, request: Request, flow: Flow) -> bool:
    """Whether the request, whose address fits, meets every demand of `trunk` but the password."""
    return (not trunk.certificates or certificate_shows(trunk, flow)) and (
        not trunk.secret_headers or secret_headers_shown(trunk, request)
    )


def needs_password_alone(trunk: Trunk) -> bool:
    """Whether a peer may call from anywhere and shows nothing but its password."""
    return trunk.login is not None and not (
        trunk.sources or trunk.certificates or trunk.secret_headers
    )


def _demands(trunk: Trunk) -> tuple[bool, bool, bool, bool]:
    """How much a trunk asks for: a password or a certificate weighs more than an address."""
    return (
        trunk.login is not None,
        bool(trunk.certificates),
        bool(trunk.secret_headers),
        bool(trunk.sources),
    )


def certificate_shows(trunk: Trunk, flow: Flow) -> bool:
    """Whether the peer's verified certificate carries one of the names that the trunk goes by.

    A wildcard in the certificate stands for one label (RFC 6125 6.4.3).
    """
    shown = {name.lower() for name in flow.peer_names}
    for name in trunk.certificates:
        wanted = name.lower()
        if wanted in shown or f"*.{wanted.partition('.')[2]}" in shown:
            return True
    return False


def secret_headers_shown(trunk: Trunk, request: Request) -> bool:
    """Whether the request carries all secret headers of `trunk`, each once; in constant time."""
    shown = True
    for name, secret in trunk.secret_headers.items():
        values = request.headers.get_all(name)
        value = values[0] if len(values) == 1 else ""
        shown &= hmac.compare_digest(value.encode(errors="replace"), secret.encode())
    return shown


def missing(trunk: Trunk, request: Request, flow: Flow) -> str | None:
    """What `trunk`, whose address the request comes from, further demands and does not get."""
    if trunk.certificates and not certificate_shows(trunk, flow):
        return f"no client certificate for {' or '.join(trunk.certificates)}"
    if not secret_headers_shown(trunk, request):
        return f"the secret in {', '.join(trunk.secret_headers)} is missing or wrong"
    return None
