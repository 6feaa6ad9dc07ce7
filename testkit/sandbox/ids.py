"""Identifiers as Retell makes them, beside those of SIP."""

import secrets

from sip.ids import Ids


class SandboxIds(Ids):
    """Tests seed their own."""

    def retell_call_id(self) -> str:
        """`call_` and 27 hex digits. For a registered call it is the only credential."""
        return "call_" + secrets.token_hex(14)[:27]

    def ssrc(self) -> int:
        """An RTP synchronisation source (RFC 3550 8)."""
        return secrets.randbits(32)

    def sequence(self) -> int:
        """A first RTP sequence number; below 2**15, as many receivers like it to be."""
        return secrets.randbits(15)

    def timestamp(self) -> int:
        """A first RTP timestamp (RFC 3550 5.1)."""
        return secrets.randbits(32)

    def fraction(self) -> float:
        """0 <= x < 1: picks one of several weighted agents."""
        return secrets.randbits(53) / (1 << 53)
