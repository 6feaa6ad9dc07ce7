"""What a call's INVITE says of itself, for the record: what its side sent along in X- headers, and
how far its carrier vouches for the caller. Pure."""

import re
from collections.abc import Mapping
from typing import Final

from gateway.calls.routing import x_headers

#: Headers in which carriers tell how far they know the caller (ATIS-1000074; by many carriers).
_VOUCHING: Final = frozenset({"p-attestation-indicator", "p-origination-id"})
#: What came of a network's check of the caller's signature, as our softswitch tells it; a jambonz
#: leaves it where it is, a parameter of the caller's URI (3GPP TS 24.229 7.2A.20).
_TOLD: Final = "x-gateway-verstat"
_VERSTAT: Final = re.compile(r";verstat=([A-Za-z0-9-]{1,64})", re.IGNORECASE)
_IDENTITIES: Final = ("p-asserted-identity", "from")
#: How the parameter is named in the record.
VERSTAT: Final = "verstat"
#: As many headers are kept, and of each as many characters.
MAX_HEADERS: Final = 32
MAX_VALUE: Final = 500


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """By names in lower case, and `verstat`."""
    low = {name.lower(): value for name, value in headers.items()}
    kept = {name: low[name] for name in sorted(_VOUCHING) if name in low}
    if _TOLD in low:
        kept[VERSTAT] = low[_TOLD]
    for name in _IDENTITIES:
        found = _VERSTAT.search(low.get(name, ""))
        if found is not None:
            kept.setdefault(VERSTAT, found[1])
    others = {name.lower(): value for name, value in x_headers(headers).items()}
    for name, value in [*others.items()][: MAX_HEADERS - len(kept)]:
        kept.setdefault(name[:64], value)
    return {name: value[:MAX_VALUE] for name, value in kept.items()}
