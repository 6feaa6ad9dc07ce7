"""Why a signature of Retell's is refused: the clocks differ, the keys differ, or there is none.

`X-Retell-Signature: v=MILLISECONDS,d=HEX` (docs.retellai.com/features/secure-webhook). Retell's SDK
verifies it, too, and takes 50 MB for it; tests hold the two together.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from multidict import MultiMapping

#: Seconds that a signature's time may be off ours.
WINDOW_S: Final = 300.0
_FORM: Final = re.compile(r"v=([0-9]{1,15}),d=([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Refused:
    """`outcome`: a slug for log and metrics; `detail`: a sentence."""

    outcome: str
    detail: str


NOT_SIGNED: Final = Refused("not-signed", "X-Retell-Signature is missing, or is no signature")
WRONG_KEY: Final = Refused(
    "wrong-key",
    "the signature is of another key or another body: retell.api_key, or that of the workspace in"
    " retell.workspaces, must be the key that Retell's dashboard marks with the webhook badge, and"
    " a proxy must not change the body",
)


def one_of(headers: MultiMapping[str], name: str) -> str:
    """The value of a header that is there once, else "": of two, whoever stands before us may have
    looked at the other one."""
    values = headers.getall(name, [])
    return values[0] if len(values) == 1 else ""


def signed(body: bytes, api_key: str, signature: str) -> bool:
    """Whether the signature is of this body, by this key; `before_body` has judged its time."""
    match = _FORM.fullmatch(signature)
    if match is None:
        return False
    text = body + str(int(match[1])).encode()
    digest = hmac.new(api_key.encode(), text, hashlib.sha256).hexdigest()
    return hmac.compare_digest(digest, match[2])


def before_body(signature: str, now: float) -> Refused | None:
    """Why nobody needs to read the body; None if the signature may be right. `now` is seconds
    since 1970."""
    match = _FORM.fullmatch(signature)
    if match is None:
        return NOT_SIGNED
    ahead_s = int(match[1]) / 1000 - now
    if abs(ahead_s) <= WINDOW_S:
        return None
    way = "ahead of" if ahead_s > 0 else "behind"
    return Refused(
        "wrong-clock",
        f"the signature's time is {abs(ahead_s):.0f} s {way} this machine's clock, {WINDOW_S:.0f} s"
        " are allowed: set the clock by NTP; or the request is an old one, sent again",
    )
