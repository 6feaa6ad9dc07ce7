"""SRTP and SRTCP as the RFCs write them, on `cryptography`: the judge of what libsrtp does for us.

RFC 3711 4 (keys, counter mode, HMAC-SHA1), RFC 6188 (256-bit keys), RFC 7714 (GCM). Slow and plain.
"""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from sip.core.sdp_crypto import Crypto, Suite

_GCM = (Suite.AEAD_AES_128_GCM, Suite.AEAD_AES_256_GCM)
_SHORT_TAG = (Suite.AES_CM_128_HMAC_SHA1_32, Suite.AES_256_CM_HMAC_SHA1_32)


class ForgedError(Exception):
    """A packet's tag is not what its key makes of it."""


class Reference:
    """One direction's key."""

    def __init__(self, crypto: Crypto) -> None:
        self._suite = crypto.suite
        _, key_size, salt_size = crypto.suite.value
        self._key, self._salt = crypto.key[:key_size], crypto.key[key_size:]
        self._sizes = key_size, salt_size
        self._tag = 4 if crypto.suite in _SHORT_TAG else 10

    def protect(self, packet: bytes, roll_over: int = 0) -> bytes:
        """An RTP packet without CSRCs and extensions."""
        head, payload = packet[:12], packet[12:]
        index = roll_over << 16 | int.from_bytes(head[2:4], "big")
        if self._suite in _GCM:
            return head + self._gcm(0).encrypt(self._iv(head[8:12], index, 0), payload, head)
        body = head + self._count(head[8:12], index, 0, payload)
        return body + self._mac(1, body + roll_over.to_bytes(4, "big"), self._tag)

    def unprotect(self, packet: bytes, roll_over: int = 0) -> bytes:
        """Raises ForgedError."""
        head = packet[:12]
        index = roll_over << 16 | int.from_bytes(head[2:4], "big")
        if self._suite in _GCM:
            try:
                return head + self._gcm(0).decrypt(
                    self._iv(head[8:12], index, 0), packet[12:], head
                )
            except InvalidTag:
                raise ForgedError from None
        body, tag = packet[: -self._tag], packet[-self._tag :]
        if not hmac.compare_digest(
            tag, self._mac(1, body + roll_over.to_bytes(4, "big"), self._tag)
        ):
            raise ForgedError
        return head + self._count(head[8:12], index, 0, body[12:])

    def protect_rtcp(self, packet: bytes, index: int) -> bytes:
        """A compound of RTCP, encrypted (the E bit is set)."""
        head, rest = packet[:8], packet[8:]
        trailer = (1 << 31 | index).to_bytes(4, "big")
        if self._suite in _GCM:
            sealed = self._gcm(3).encrypt(self._iv(head[4:8], index, 3), rest, head + trailer)
            return head + sealed + trailer
        body = head + self._count(head[4:8], index, 3, rest) + trailer
        return body + self._mac(4, body, 10)

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """Raises ForgedError."""
        head = packet[:8]
        if self._suite in _GCM:
            trailer = packet[-4:]
            index = int.from_bytes(trailer, "big") & 0x7FFFFFFF
            iv = self._iv(head[4:8], index, 3)
            try:
                return head + self._gcm(3).decrypt(iv, packet[8:-4], head + trailer)
            except InvalidTag:
                raise ForgedError from None
        body, tag = packet[:-10], packet[-10:]
        if not hmac.compare_digest(tag, self._mac(4, body, 10)):
            raise ForgedError
        index = int.from_bytes(body[-4:], "big") & 0x7FFFFFFF
        return head + self._count(head[4:8], index, 3, body[8:-4])

    def _derived(self, label: int, size: int) -> bytes:
        """RFC 3711 4.3: what a label's key is (rate 0). RFC 7714 11: the salt is padded."""
        salt = int.from_bytes(self._salt.ljust(14, b"\0"), "big")
        start = (salt ^ label << 48).to_bytes(14, "big") + b"\0\0"
        return _ctr(self._key, start, bytes(size))

    def _count(self, ssrc: bytes, index: int, label: int, data: bytes) -> bytes:
        salt = int.from_bytes(self._derived(label + 2, 14), "big") << 16
        start = salt ^ int.from_bytes(ssrc, "big") << 64 ^ index << 16
        return _ctr(self._derived(label, self._sizes[0]), start.to_bytes(16, "big"), data)

    def _mac(self, label: int, data: bytes, size: int) -> bytes:
        return hmac.digest(self._derived(label, 20), data, "sha1")[:size]

    def _gcm(self, label: int) -> AESGCM:
        return AESGCM(self._derived(label, self._sizes[0]))

    def _iv(self, ssrc: bytes, index: int, label: int) -> bytes:
        salt = int.from_bytes(self._derived(label + 2, 12), "big")
        return (salt ^ int.from_bytes(ssrc, "big") << 48 ^ index).to_bytes(12, "big")


def _ctr(key: bytes, start: bytes, data: bytes) -> bytes:
    return Cipher(AES(key), CTR(start)).encryptor().update(data)
