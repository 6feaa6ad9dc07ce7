"""Whether the agent's leg was lost in mid-call, or hung up because it had said all."""

import re
from typing import Final

from gateway.calls.endings import RTP_TIMEOUT
from gateway.calls.tried import Tried

#: The softswitch's causes of a leg that nobody hung up.
_CAUSES: Final = frozenset(
    {
        RTP_TIMEOUT,
        *("dialog-lost", "session-expired", "no-ack", "no-response", "unreachable"),
    }
)
#: A BYE that says by RFC 3326 that the peer failed: SIP 5xx, or Q.850 38 (network out of order)
#: to 47 (resource unavailable).
_SAYS_SO: Final = re.compile(
    r"SIP\s*;.*\bcause\s*=\s*5\d\d\b|Q\.850\s*;.*\bcause\s*=\s*(38|4[1-7])\b", re.I
)


def is_lost(tried: Tried) -> bool:
    """Whether an attempt that was answered and is over was cut off."""
    return tried.cause in _CAUSES or bool(_SAYS_SO.search(tried.words.get("reason", "")))
