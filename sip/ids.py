"""The one maker of identifiers. Random enough that a stranger cannot guess a tag or a branch."""

import os
import secrets
from hashlib import blake2s

#: RFC 3261 8.1.1.7: a branch that starts so is unique across space and time.
MAGIC_COOKIE = "z9hG4bK"
#: Bytes taken from the kernel at a time: a call needs some 200, and each asking is a system call.
_POOL = 4096
#: The fourth group of a UUID begins with one of these (RFC 9562 4.1).
_VARIANT = "89ab"


class Ids:
    """Makes every identifier that leaves this machine; tests seed their own."""

    def __init__(self) -> None:
        self._pool = ""
        self._used = 2 * _POOL
        self._key = os.urandom(32)

    def branch(self) -> str:
        """A Via branch (RFC 3261 8.1.1.7)."""
        return MAGIC_COOKIE + self._digits(20)

    def tag(self) -> str:
        """A From or To tag, at least 32 bits of randomness (RFC 3261 19.3)."""
        return self._digits(16)

    def tag_of(self, *identity: str) -> str:
        """The tag for a request of this identity: the same each time, so that nobody need remember
        it (RFC 3261 8.2.7), and no more to be guessed than any other."""
        return blake2s("\0".join(identity).encode(), key=self._key, digest_size=8).hexdigest()

    def sip_call_id(self) -> str:
        """A Call-ID, without a host: it says nothing of our network."""
        return self._digits(32)

    def sid(self) -> str:
        """The name of a leg to applications and in records: a random UUID (RFC 9562 5.4)."""
        r = self._digits(32)
        variant = _VARIANT[int(r[16], 16) % 4]
        return f"{r[:8]}-{r[8:12]}-4{r[13:16]}-{variant}{r[17:20]}-{r[20:]}"

    def msgid(self) -> str:
        """A WebSocket message id."""
        return self._digits(24)

    def session_id(self) -> int:
        """The session id of an SDP o= line (RFC 8866 5.2): numeric, below 2**63."""
        return int(self._digits(16), 16) >> 1

    def cnonce(self) -> str:
        """A digest client nonce (RFC 7616 3.4)."""
        return self._digits(16)

    def cseq(self) -> int:
        """The first CSeq of a dialog (RFC 3261 8.1.1.5: below 2**31)."""
        return 1 + (int(self._digits(4), 16) >> 1)

    def backoff_s(self, low: float, high: float) -> float:
        """A random wait, for instance after a 491 (RFC 3261 14.1)."""
        return low + (high - low) * secrets.randbelow(1000) / 1000

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1, each as likely as the others."""
        return secrets.randbelow(limit)

    def _digits(self, count: int) -> str:
        """`count` random hexadecimal digits."""
        start, end = self._used, self._used + count
        if end > 2 * _POOL:
            self._pool, start, end = os.urandom(_POOL).hex(), 0, count
        self._used = end
        return self._pool[start:end]
