"""The file of a recording: encrypted as it is written, and proof against every change.

    magic | header length (4) | header, JSON in the clear | chunk | chunk | … | last chunk
    chunk: length (4) | AES-256-GCM ciphertext and tag

A chunk's nonce is its number and whether it is the last (the STREAM construction of Hoang,
Reyhanitabar, Rogaway and Vizár, 2015), and the header is authenticated with each, so that a chunk
that was altered, moved, repeated or taken from another file is refused, and an end that is missing
is seen. Each file has a key of its own, made of the operator's by HKDF with the header's salt.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sip.errors import Fault, SipError
from sip.media.recording.keys import KEY_OCTETS, Keys

MAGIC: Final = b"RSGREC1\n"
SUFFIX: Final = ".rec"

#: Longest header and chunk that are believed, in octets.
MAX_HEADER: Final = 4096
MAX_CHUNK: Final = 1 << 20

#: Octets of one sample of one channel.
SAMPLE_OCTETS: Final = 2

_TAG: Final = 16
_INFO: Final = b"retell-sip-gateway recording"
_LENGTH = struct.Struct("!I")
_NONCE = struct.Struct("!3xQB")


class VaultError(SipError):
    """The file is none of ours, was altered, or its key is not there."""

    fault = Fault.OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What is said of a recording in the clear. `started_at` is in seconds since 1970."""

    recording: str
    call_sid: str
    started_at: float
    key: str
    salt: str
    rate_hz: int
    channels: int


class VaultWriter:
    """Writes one file, which must not be there yet. Every method may raise OSError."""

    def __init__(self, path: Path, header: Header, keys: Keys) -> None:
        head = json.dumps(asdict(header)).encode()
        self._seal = _Seal(keys.by_name[header.key], header, head)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._chunks = self._size = 0
        try:
            self._write(MAGIC + _LENGTH.pack(len(head)) + head)
        except OSError:
            os.close(self._fd)
            path.unlink(missing_ok=True)
            raise

    def write(self, data: bytes, *, last: bool = False) -> None:
        """One more chunk. What cannot be written whole is taken back."""
        sealed = self._seal.shut(data, self._chunks, last)
        self._write(_LENGTH.pack(len(sealed)) + sealed)
        self._chunks += 1

    def close(self) -> None:
        """The file is what it is; without a last chunk it counts as cut off."""
        os.close(self._fd)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            os.ftruncate(self._fd, self._size)  # shrinking needs no room
            raise
        self._size += len(data)


class VaultReader:
    """Reads one file. Made by `open`; to be closed."""

    def __init__(self, file: BufferedIOBase, header: Header, head: bytes, path: Path) -> None:
        self.header = header
        self._file = file
        self._head = head
        self._path = path
        self._start = file.tell()
        #: Whether the last chunk was there; known once `chunks` is at its end.
        self.complete = False

    @classmethod
    def open(cls, path: Path) -> VaultReader:
        """The file, its header read. Raises VaultError and OSError."""
        file = path.open("rb")
        try:
            if file.read(len(MAGIC)) != MAGIC:
                raise VaultError(f"{path}: it is no recording of ours")
            size = _length(file)
            head = file.read(size) if size <= MAX_HEADER else b""
            if not size or len(head) != size:
                raise VaultError(f"{path}: it ends within its header")
            return cls(file, _header(head, path), head, path)
        except BaseException:
            file.close()
            raise

    @property
    def octets(self) -> int:
        """Octets of audio, by the lengths of the chunks alone: nothing is proven by it."""
        self._file.seek(0, os.SEEK_END)
        end = self._file.tell()
        position, octets = self._start, 0
        while position + _LENGTH.size <= end:
            self._file.seek(position)
            size = _length(self._file)
            position += _LENGTH.size + size
            if not _TAG <= size <= MAX_CHUNK or position > end:
                break
            octets += size - _TAG
        return octets

    def chunks(self, keys: Keys) -> Iterator[bytes]:
        """The audio. Raises VaultError for the first chunk that is not as it was written.

        A recording that was cut off (its writer was killed, the disk was full) ends after its last
        whole chunk; `complete` tells.
        """
        self.complete = False
        key = keys.by_name.get(self.header.key)
        if key is None:
            raise VaultError(
                f"{self._path}: the key {self.header.key!r} is not in the file of keys"
            )
        seal = _Seal(key, self.header, self._head)
        self._file.seek(self._start)
        number = 0
        while True:
            size = _length(self._file)
            sealed = self._file.read(size) if _TAG <= size <= MAX_CHUNK else b""
            if not sealed or len(sealed) != size:
                return
            data, last = seal.opened(sealed, number, self._path)
            yield data
            if last:
                self.complete = True
                return
            number += 1

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class _Seal:
    """The cipher of one file."""

    def __init__(self, key: bytes, header: Header, head: bytes) -> None:
        derived = HKDF(SHA256(), KEY_OCTETS, bytes.fromhex(header.salt), _INFO).derive(key)
        self._cipher = AESGCM(derived)
        digest = Hash(SHA256())
        digest.update(head)
        self._about = digest.finalize()

    def shut(self, data: bytes, number: int, last: bool) -> bytes:
        return self._cipher.encrypt(_NONCE.pack(number, last), data, self._about)

    def opened(self, sealed: bytes, number: int, path: Path) -> tuple[bytes, bool]:
        """The data, and whether it is the last. Raises VaultError."""
        for last in (False, True):
            try:
                return self._cipher.decrypt(_NONCE.pack(number, last), sealed, self._about), last
            except InvalidTag:
                continue
        raise VaultError(f"{path}: chunk {number} was altered, or the key is another one")


def _length(file: BufferedIOBase) -> int:
    """The next length; 0 at the end."""
    data = file.read(_LENGTH.size)
    return int(_LENGTH.unpack(data)[0]) if len(data) == _LENGTH.size else 0


def _header(head: bytes, path: Path) -> Header:
    try:
        header = Header(**json.loads(head))
        bytes.fromhex(header.salt)
    except (ValueError, TypeError):
        raise VaultError(f"{path}: its header cannot be read") from None
    return header
