"""One TLS session as bytes in, bytes out: what is encrypted and what is plain, without a socket.

The standard library's TLS transports do not say why a client's handshake failed, and have done it
before the program sees who connects; here both are in our hands.
"""

import ssl
from collections.abc import Callable
from typing import Any

from sip.errors import Fault, SipError
from sip.transport.tls.certificate import Certificate, all_names, covers, identities
from sip.transport.tls.faults import (
    CLIENT,
    SERVER,
    TlsFault,
    cut_short,
    fault_of,
    plain_text,
    wrong_name,
)

#: The first byte of a TLS handshake record (RFC 8446 5.1).
_HANDSHAKE = b"\x16"
_CHUNK = 65536


class TlsSessionError(SipError):
    """The session is over before its time; `why` says what went wrong in it."""

    def __init__(self, why: TlsFault) -> None:
        ours = why.kind == "our certificate"
        super().__init__(why.text, fault=Fault.OPERATOR if ours else Fault.PEER)
        self.why = why


class TlsSession:
    """Our end of a session. What goes to the peer collects in `outgoing`, also after a failure."""

    def __init__(
        self, context: ssl.SSLContext, *, name: str | None, epoch: Callable[[], float]
    ) -> None:
        """A client's session towards `name` (a host or address), a server's where it is None.

        `epoch` tells the time in seconds since 1970. Raises TlsSessionError for a name that cannot
        be one.
        """
        self._name = name
        self._epoch = epoch
        self._context = context
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        try:
            self._object = context.wrap_bio(
                self._incoming, self._outgoing, server_side=name is None, server_hostname=name
            )
        except (ValueError, UnicodeError) as error:
            raise TlsSessionError(
                TlsFault("wrong name", f"{name!r} is no host name: {error}")
            ) from None
        self._waiting: list[bytes] = []
        self._silent = True
        #: the handshake is over
        self.established = False
        #: the peer has said that it will send no more
        self.ended = False

    @property
    def peer_names(self) -> tuple[str, ...]:
        """The names in the peer's verified certificate; () where none was asked for or shown."""
        if not self.established or self._context.verify_mode is ssl.CERT_NONE:
            return ()
        return all_names(self._object.getpeercert() or {})

    @property
    def version(self) -> str | None:
        """For instance TLSv1.3; None before the handshake."""
        return self._object.version()

    @property
    def cut_short(self) -> TlsFault | None:
        """Why the peer may have gone, if it goes now; None for one that said nothing at all."""
        if self.established or (self._silent and self._name is None):
            return None
        return cut_short(CLIENT if self._name is None else SERVER)

    def start(self) -> None:
        """A client begins."""
        self._shake_hands()

    def receive(self, data: bytes) -> bytes:
        """Take what came from the peer; returns what it says in plain. Raises TlsSessionError."""
        if self._silent and self._name is None and data[:1] != _HANDSHAKE:
            raise TlsSessionError(plain_text())
        self._silent = False
        self._incoming.write(data)
        if not self.established:
            self._shake_hands()
        return self._read() if self.established else b""

    def send(self, data: bytes) -> None:
        """Encrypt `data`, or keep it until the handshake is over."""
        if not self.established:
            self._waiting.append(data)
            return
        view = memoryview(data)
        while view:  # one record at a time
            view = view[self._object.write(view) :]

    def outgoing(self) -> bytes:
        """What is to be sent to the peer now."""
        return self._outgoing.read()

    def end(self) -> None:
        """Say that we send no more (close_notify)."""
        if self.established:
            try:
                self._object.unwrap()
            except ssl.SSLError:
                return  # the peer's own close_notify is not waited for

    def _shake_hands(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            raise TlsSessionError(self._fault(error)) from None
        if self._name is not None and self._context.verify_mode is not ssl.CERT_NONE:
            shown = self._object.getpeercert() or {}
            if not covers(identities(shown), self._name):
                raise TlsSessionError(wrong_name(shown, self._name))
        self.established = True
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            self.send(data)

    def _read(self) -> bytes:
        plain = bytearray()
        try:
            while chunk := self._object.read(_CHUNK):
                plain += chunk
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:  # an alert: in TLS 1.3 also for our certificate
            raise TlsSessionError(self._fault(error)) from None
        return bytes(plain)

    def _fault(self, error: ssl.SSLError) -> TlsFault:
        side = CLIENT if self._name is None else SERVER
        return fault_of(error, side, self._shown_chain(), self._epoch())

    def _shown_chain(self) -> list[Certificate]:
        """The chain that the peer showed and that did not hold.

        Python 3.13 makes it public, but drops the names; so it is read from the object underneath.
        A Python without that object gives no details.
        """
        underneath: Any = getattr(self._object, "_sslobj", None)
        try:
            return [one.get_info() for one in underneath.get_verified_chain() or ()]
        except (AttributeError, TypeError, ValueError, ssl.SSLError):
            return []
