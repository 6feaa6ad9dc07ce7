"""SRTP and SRTCP (RFC 3711) over libsrtp: what arrives is proven and decrypted, what leaves is
encrypted.

A context holds one side's key. libsrtp keeps in it, for each SSRC, the roll-over counter and which
packets came already, so that a context lasts as long as its key does: over re-INVITEs, holds and
changes of route. A new SSRC begins at roll-over 0.

pylibsrtp's own methods allocate two objects a packet; here its binding works in one buffer for all
contexts, which takes 40 % less time. The relay is one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from pylibsrtp import Error as SrtpError
from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi, lib

from sip.core.sdp_crypto import PREFERENCE, Crypto, Suite

#: Longest packet that is encrypted or decrypted, and what encryption adds at most.
_LONGEST: Final = 4096
_TRAILER: Final = 160

#: Seconds for which packets under a key that was changed may still be on their way.
LATE_S: Final = 2.0

_buffer: Final = ffi.new("char[]", _LONGEST + _TRAILER)
_octets: Final = ffi.buffer(_buffer)
_size: Final = ffi.new("int *")

#: Sources (SSRC) for which one context keeps account. A call has a handful; whoever names more by
#: its key is not to fill the memory.
MAX_SOURCES: Final = 256

#: Where a packet names its source.
_RTP_SOURCE, _RTCP_SOURCE = slice(8, 12), slice(4, 8)

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


class Sender:
    """Encrypts what we send to one party.

    `protect` and `protect_rtcp` return a packet as it is sent; None for one that was sent before,
    or is out of date: to encrypt another one under its number would give both away.
    """

    __slots__ = ("_session", "crypto", "protect", "protect_rtcp")

    def __init__(self, crypto: Crypto) -> None:
        self.crypto = crypto
        self._session = _session(crypto, Policy.SSRC_ANY_OUTBOUND)
        known: set[bytes] = set()
        self.protect = _change(lib.srtp_protect, self._session, _RTP_SOURCE, known)
        self.protect_rtcp = _change(lib.srtp_protect_rtcp, self._session, _RTCP_SOURCE, known)


class Receiver:
    """Proves and decrypts what one party sends.

    `unprotect` and `unprotect_rtcp` return a packet in the clear; None if it is forged, damaged, or
    was here before.
    """

    __slots__ = ("_session", "crypto", "unprotect", "unprotect_rtcp")

    def __init__(self, crypto: Crypto) -> None:
        self.crypto = crypto
        self._session = _session(crypto, Policy.SSRC_ANY_INBOUND)
        known: set[bytes] = set()
        self.unprotect = _change(lib.srtp_unprotect, self._session, _RTP_SOURCE, known)
        self.unprotect_rtcp = _change(lib.srtp_unprotect_rtcp, self._session, _RTCP_SOURCE, known)


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
        """The same by the key before the present one."""
        before = self._before
        return None if before is None or now >= self._until else before.unprotect(packet)

    def open_rtcp(self, packet: bytes, now: float) -> bytes | None:
        """The same for a compound of RTCP."""
        clear = self.receiver.unprotect_rtcp(packet)
        if clear is None and self._before is not None and now < self._until:
            clear = self._before.unprotect_rtcp(packet)
        return clear


def _change(function: Any, session: Session, where: slice, known: set[bytes]) -> Change:
    """A function of libsrtp on one context; its names are local, as each packet passes here.

    `known` are the context's sources. `_held` keeps the context in memory for as long as its
    function is in use.
    """
    context, buffer, octets, size = session._srtp[0], _buffer, _octets, _size
    last = b""

    def change(packet: bytes, *, _held: Session = session) -> bytes | None:
        nonlocal last
        length = len(packet)
        source = packet[where]
        if length > _LONGEST or (
            source != last and source not in known and len(known) >= MAX_SOURCES
        ):
            return None
        octets[0:length] = packet
        size[0] = length
        if function(context, buffer, size):
            return None
        if source != last:
            known.add(source)
            last = source
        changed: bytes = octets[0 : size[0]]
        return changed

    return change


def _session(crypto: Crypto, ssrc_type: int) -> Session:
    policy = Policy(key=crypto.key, ssrc_type=ssrc_type, srtp_profile=_PROFILES[crypto.suite])
    if crypto.suite in _AES_256_CM:
        for part in (policy._policy.rtp, policy._policy.rtcp):
            _make_256(part)
    return Session(policy)


def _make_256(part: Any) -> None:
    """Changes the cipher of a policy, for which pylibsrtp has no profile."""
    members = ffi.cast("int *", ffi.addressof(part))
    if (members[0], members[1]) != _ICM_128:
        raise SrtpError("this libsrtp has its policies in another form")
    members[0], members[1] = _ICM_256


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
