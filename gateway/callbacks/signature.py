"""The signature of an event, by which its receiver knows that it is ours and of now.

`X-Gateway-Signature: t=SECONDS,v1=HEX`, the HMAC-SHA-256 of `SECONDS.BODY` with the secret that
both know. The time is that of the try, so that a receiver can refuse what is old.
"""

import hashlib
import hmac
from typing import Final

HEADER: Final = "X-Gateway-Signature"


def sign(secret: str, body: bytes, now: float) -> str:
    """The header's value. `now` is seconds since 1970."""
    at = str(int(now))
    digest = hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256)
    return f"t={at},v1={digest.hexdigest()}"
