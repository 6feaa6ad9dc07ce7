"""SRTP and SRTCP (RFC 3711) over libsrtp: what arrives is proven and decrypted, what leaves is
encrypted.

A context holds one side's key. libsrtp keeps in it, for each SSRC, the roll-over counter and which
packets came already, so that a context lasts as long as its key does: over re-INVITEs, holds and
changes of route. A new SSRC begins at roll-over 0.

pylibsrtp's own methods allocate two objects a packet; here its binding works in one buffer for all
contexts, which takes 40 % less time. The relay is one thread.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from pylibsrtp import Error as SrtpError
from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi, lib

from sip.core.sdp_crypto import PREFERENCE, Crypto, Suite

#: Longest packet that is encrypted or decrypted, and what encryption adds at most.
_LONGEST: Final = 4096
_TRAILER: Final = 160

_buffer: Final = ffi.new("char[]", _LONGEST + _TRAILER)
_octets: Final = ffi.buffer(_buffer)
_size: Final = ffi.new("int *")
_protect_rtp: Final = lib.srtp_protect
_protect_rtcp: Final = lib.srtp_protect_rtcp
_unprotect_rtp: Final = lib.srtp_unprotect
_unprotect_rtcp: Final = lib.srtp_unprotect_rtcp

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
    """Encrypts what we send to one party."""

    __slots__ = ("_context", "_session", "crypto")

    def __init__(self, crypto: Crypto) -> None:
        self.crypto = crypto
        self._session = _session(crypto, Policy.SSRC_ANY_OUTBOUND)
        self._context = self._session._srtp[0]

    def protect(self, packet: bytes) -> bytes | None:
        """The RTP packet as it is sent; None for one that was sent before, or is out of date.

        Encrypting another packet under a number that was used would give both away.
        """
        return _work(_protect_rtp, self._context, packet)

    def protect_rtcp(self, packet: bytes) -> bytes | None:
        """The same for a compound of RTCP."""
        return _work(_protect_rtcp, self._context, packet)


class Receiver:
    """Proves and decrypts what one party sends."""

    __slots__ = ("_context", "_session", "crypto")

    def __init__(self, crypto: Crypto) -> None:
        self.crypto = crypto
        self._session = _session(crypto, Policy.SSRC_ANY_INBOUND)
        self._context = self._session._srtp[0]

    def unprotect(self, packet: bytes) -> bytes | None:
        """The RTP packet in the clear; None if it is forged, damaged, or was here before."""
        return _work(_unprotect_rtp, self._context, packet)

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """The same for a compound of RTCP."""
        return _work(_unprotect_rtcp, self._context, packet)


def _work(function: Any, context: Any, packet: bytes) -> bytes | None:
    size = len(packet)
    if size > _LONGEST:
        return None
    _octets[0:size] = packet
    _size[0] = size
    if function(context, _buffer, _size):
        return None
    done: bytes = _octets[0 : _size[0]]
    return done


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
