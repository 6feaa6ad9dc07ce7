"""SRTP and SRTCP (RFC 3711) over libsrtp: what arrives is proven and decrypted, what leaves is
encrypted.

A context holds one side's key, for RTP or for RTCP. libsrtp keeps in it, for each SSRC, the
roll-over counter and which packets came already, so that a context lasts as long as its key does:
over re-INVITEs, holds and changes of route. A new SSRC begins at roll-over 0.

pylibsrtp's own methods allocate two objects a packet; here its binding works in one buffer for all
contexts. The relay is one thread.

What a packet waits for is less the cipher than memory: contexts of hundreds of calls do not fit the
processor's nearer caches. So a context is small, and that of RTCP is one of its own, made when
there is RTCP, for reports are rare and packets are many.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, Literal

from pylibsrtp import Error as SrtpError
from pylibsrtp import Policy
from pylibsrtp._binding import ffi, lib

from sip.core.sdp_crypto import PREFERENCE, Crypto, Suite

#: Longest packet that is encrypted or decrypted, and what encryption adds at most.
_LONGEST: Final = 4096
_TRAILER: Final = 160

#: Seconds for which packets under a key that was changed may still be on their way.
LATE_S: Final = 2.0

_memory: Final = ffi.new("char[]", _LONGEST + _TRAILER)
_octets: Final = ffi.buffer(_memory)
_buffer: Final = ffi.cast("void *", _memory)
_length: Final = ffi.new("int *")
#: The same, in the form that Python reads and writes the fastest.
_size: Final = memoryview(ffi.buffer(_length)).cast("i")

#: Sources (SSRC) for which one context keeps account. A call has a handful; whoever names more by
#: its key is not to fill the memory.
MAX_SOURCES: Final = 256

#: Makes one packet of another; None for one that must not be taken, or sent.
Change = Callable[[bytes], bytes | None]

#: libsrtp's profile of each suite; RFC 6188's are the 128-bit ones with another cipher.
_PROFILES: Final = {
    Suite.AES_CM_128_HMAC_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    Suite.AES_CM_128_HMAC_SHA1_32: Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    Suite.AES_256_CM_HMAC_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    Suite.AES_256_CM_HMAC_SHA1_32: Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    Suite.AEAD_AES_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    Suite.AEAD_AES_256_GCM: Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}
_AES_256_CM: Final = frozenset({Suite.AES_256_CM_HMAC_SHA1_80, Suite.AES_256_CM_HMAC_SHA1_32})

#: The first members of libsrtp's `srtp_crypto_policy_t`: cipher, octets of its key and salt.
_ICM_128, _ICM_256 = (1, 30), (5, 46)

#: The halves of libsrtp's `srtp_policy_t`.
_Half = Literal["rtp", "rtcp"]


class _Context:
    """One side's key for RTP or RTCP, and the sources of which libsrtp keeps account with it."""

    __slots__ = ("_context", "_known", "_last", "crypto")

    def __init__(self, crypto: Crypto, ssrc_type: int, half: _Half) -> None:
        self.crypto = crypto
        self._context = _context(crypto, ssrc_type, half)
        self._known: set[bytes] = set()
        #: The source of the last packet.
        self._last = b""

    def _meet(self, source: bytes) -> bool:
        """Another source than the last one's: may there be one more?"""
        if source not in self._known:
            if len(self._known) >= MAX_SOURCES:  # libsrtp keeps account of it now
                lib.srtp_remove_stream(self._context, int.from_bytes(source, sys.byteorder))
                return False
            self._known.add(source)
        self._last = source
        return True


def _changing(function: Any, first: int) -> Callable[[Any, bytes], bytes | None]:
    """A method that has `function` of libsrtp change a packet, whose source is at `first`.

    Each encrypted packet passes here once or twice: one call of Python more would be a tenth of
    all that its encryption takes.
    """
    last = first + 4

    def change(self: _Context, packet: bytes) -> bytes | None:
        length = len(packet)
        if length > _LONGEST:
            return None
        _octets[0:length] = packet
        _size[0] = length
        if function(self._context, _buffer, _length):
            return None
        changed: bytes = _octets[0 : _size[0]]
        source = changed[first:last]
        if source != self._last and not self._meet(source):
            return None
        return changed

    return change


class Sender(_Context):
    """Encrypts what we send to one party.

    `protect` and `protect_rtcp` return a packet as it is sent; None for one that was sent before,
    or is out of date: to encrypt another one under its number would give both away.
    """

    __slots__ = ("_reports", "fd", "unsealed")

    def __init__(self, crypto: Crypto) -> None:
        super().__init__(crypto, Policy.SSRC_ANY_OUTBOUND, "rtp")
        self._reports: _ReportSender | None = None
        #: Where its outlet has what is encrypted written to; -1 for nowhere.
        self.fd = -1
        #: Packets that it did not encrypt, one after another up to the last.
        self.unsealed = 0

    protect = _changing(lib.srtp_protect, 8)

    def protect_rtcp(self, packet: bytes) -> bytes | None:
        if self._reports is None:
            self._reports = _ReportSender(self.crypto, Policy.SSRC_ANY_OUTBOUND, "rtcp")
        return self._reports.protect(packet)


class _ReportSender(_Context):
    __slots__ = ()

    protect = _changing(lib.srtp_protect_rtcp, 4)


class Receiver(_Context):
    """Proves and decrypts what one party sends.

    `unprotect` and `unprotect_rtcp` return a packet in the clear; None if it is forged, damaged, or
    was here before.
    """

    __slots__ = ("_reports",)

    def __init__(self, crypto: Crypto) -> None:
        super().__init__(crypto, Policy.SSRC_ANY_INBOUND, "rtp")
        self._reports: _ReportReceiver | None = None

    unprotect = _changing(lib.srtp_unprotect, 8)

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        if self._reports is None:
            self._reports = _ReportReceiver(self.crypto, Policy.SSRC_ANY_INBOUND, "rtcp")
        return self._reports.unprotect(packet)


class _ReportReceiver(_Context):
    __slots__ = ()

    unprotect = _changing(lib.srtp_unprotect_rtcp, 4)


class Guard:
    """What stands before a party's packets: its key, and for a while the one that it had before.

    A context that gave way is kept, so that a party which comes back to its key finds its roll-over
    counter, and an eavesdropper no empty memory of what was played already.
    """

    __slots__ = ("_before", "_until", "receiver")

    def __init__(self, crypto: Crypto) -> None:
        self.receiver = Receiver(crypto)
        self._before: Receiver | None = None
        self._until = 0.0

    def rekey(self, crypto: Crypto, now: float) -> None:
        """The party's key from now on; without effect if it is that already."""
        held, before = self.receiver, self._before
        if crypto.same_key(held.crypto):
            return
        known = before is not None and crypto.same_key(before.crypto)
        self.receiver = before if known and before is not None else Receiver(crypto)
        self._before, self._until = held, now + LATE_S

    def open(self, packet: bytes, now: float) -> bytes | None:
        """An RTP packet in the clear; None if it is not the party's."""
        clear = self.receiver.unprotect(packet)
        return self.open_late(packet, now) if clear is None else clear

    def open_late(self, packet: bytes, now: float) -> bytes | None:
        """The same of a packet that is not by the party's key, but perhaps by the one before."""
        if self._before is None or now >= self._until:
            return None
        return self._before.unprotect(packet)

    def open_rtcp(self, packet: bytes, now: float) -> bytes | None:
        """The same for a compound of RTCP."""
        clear = self.receiver.unprotect_rtcp(packet)
        if clear is None and self._before is not None and now < self._until:
            clear = self._before.unprotect_rtcp(packet)
        return clear


def _context(crypto: Crypto, ssrc_type: int, half: _Half) -> Any:
    """A session of libsrtp. pylibsrtp's own keeps a buffer beside each."""
    policy = Policy(key=crypto.key, ssrc_type=ssrc_type, srtp_profile=_PROFILES[crypto.suite])
    used, unused = policy._policy.rtp, policy._policy.rtcp
    if half == "rtcp":
        used, unused = unused, used
    _leave_out(unused)
    if crypto.suite in _AES_256_CM:
        _make_256(used)
    made = ffi.new("srtp_t *")
    if lib.srtp_create(made, policy._policy):
        raise SrtpError(f"libsrtp makes no context for {crypto.suite.name}")
    return ffi.gc(made[0], lib.srtp_dealloc)


def _make_256(part: Any) -> None:
    """Changes the cipher of a policy, for which pylibsrtp has no profile."""
    members = ffi.cast("int *", ffi.addressof(part))
    if (members[0], members[1]) != _ICM_128:
        raise SrtpError("this libsrtp has its policies in another form")
    members[0], members[1] = _ICM_256


def _leave_out(part: Any) -> None:
    """Nothing is prepared for this half of a policy, if libsrtp can do with the other alone."""
    members = ffi.cast("int *", ffi.addressof(part))
    if (members[0], members[1]) == _ICM_128:  # a half of GCM goes with its other half
        members[0] = members[2] = members[3] = members[4] = members[5] = 0


#: A packet in the clear, and what the RFCs' arithmetic makes of it with the key 00 01 02 …
_PROBE: Final = bytes.fromhex("80001234deadbeefcafebabe5265616c2074696d65")
_PROVEN: Final = {
    suite: _PROBE[:12] + bytes.fromhex(rest)
    for suite, rest in {
        Suite.AES_CM_128_HMAC_SHA1_80: "313b2ae6c9e9273b27f305a265977220307379",
        Suite.AES_CM_128_HMAC_SHA1_32: "313b2ae6c9e9273b27f305a265",
        Suite.AES_256_CM_HMAC_SHA1_80: "31640c0dde9ddfd41e3c29078acfcb46f50000",
        Suite.AES_256_CM_HMAC_SHA1_32: "31640c0dde9ddfd41e3c29078a",
        Suite.AEAD_AES_128_GCM: "b3191262d46c3f56e3c0461d0464218c78d326438a7ce549f0",
        Suite.AEAD_AES_256_GCM: "2c801cf52cb43df96c168705f7adcec8abb884d7b99bdf0cc9",
    }.items()
}


def _works(suite: Suite) -> bool:
    """Whether the library has it, and does what it should."""
    try:
        sender = Sender(Crypto(1, suite, bytes(range(suite.key_size))))
    except (SrtpError, ValueError):
        return False
    return sender.protect(_PROBE) == _PROVEN[suite]


@lru_cache(maxsize=1)
def available() -> tuple[Suite, ...]:
    """The suites that this library has, in our order. Looked at once."""
    return tuple(suite for suite in PREFERENCE if _works(suite))
