"""Reads the certificates of the SIP side."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from config.problems import KeyPath
from config.settings import SipSettings
from gateway.start.errors import StartupError
from sip.softswitch.listeners import client_tls, listeners
from sip.transport.tls.contexts import ClientTls, TlsError


@dataclass(frozen=True, slots=True)
class ShownCertificate:
    """What the certificate of one listener says; `expires_at` in seconds since 1970."""

    listener: str
    names: tuple[str, ...]
    expires_at: float | None

    @property
    def until(self) -> str:
        """Its last day."""
        if self.expires_at is None:
            return "?"
        return time.strftime("%Y-%m-%d", time.gmtime(self.expires_at))


def read_client_tls(sip: SipSettings) -> ClientTls:
    """What we show to servers, and verify them with. Raises StartupError for unusable files."""
    try:
        return client_tls(sip)
    except TlsError as error:
        raise StartupError(f"sip.tls: {error}") from None


def certificates(sip: SipSettings) -> Iterator[tuple[KeyPath, ShownCertificate | str]]:
    """Each TLS listener's certificate with the key that it is of, or why it cannot be used."""
    try:
        client_tls(sip)
    except TlsError as error:
        yield ("sip", "tls"), str(error)
        return
    for index, one in enumerate(sip.listen):
        if one.address.transport != "tls":
            continue
        path: KeyPath = ("sip", "tls", "certificate")
        if one.certificate is not None:
            path = ("sip", "listen", index, "certificate")
        try:
            (spec,) = listeners(sip.model_copy(update={"listen": (one,)}))
        except TlsError as error:
            yield path, str(error)
            continue
        if spec.tls is not None:
            names, ends = spec.tls.names, spec.tls.expires_at
            yield path, ShownCertificate(str(spec.endpoint), names, ends)
