"""Reads the certificates of the SIP side and of the HTTP side."""

import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from config.problems import KeyPath
from config.settings import HttpSettings, Settings, SipSettings
from gateway.start.errors import StartupError
from sip.softswitch.listeners import client_tls, listeners
from sip.transport.tls.contexts import ClientTls, ServerTls, TlsError


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


def http_context(http: HttpSettings) -> Callable[[], ssl.SSLContext] | None:
    """What HTTPS connections begin with, a changed certificate at once; None where there is none.

    Raises StartupError for unusable files.
    """
    tls = _http_tls(http)
    return None if tls is None else tls.context


def _http_tls(http: HttpSettings) -> ServerTls | None:
    if http.tls is None:
        return None
    try:
        return ServerTls(http.tls.certificate, http.tls.key)
    except TlsError as error:
        raise StartupError(f"http.tls: {error}") from None


def certificates(settings: Settings) -> Iterator[tuple[KeyPath, ShownCertificate | str]]:
    """Each TLS listener's certificate with the key that it is of, or why it cannot be used."""
    yield from _of_http(settings.http)
    yield from _of_sip(settings.sip)


def _of_http(http: HttpSettings) -> Iterator[tuple[KeyPath, ShownCertificate | str]]:
    path: KeyPath = ("http", "tls", "certificate")
    try:
        tls = _http_tls(http)
    except StartupError as error:
        yield path, str(error)
        return
    if tls is not None:
        listener = f"https:{http.listen.host}:{http.listen.port}"
        yield path, ShownCertificate(listener, tls.names, tls.expires_at)


def _of_sip(sip: SipSettings) -> Iterator[tuple[KeyPath, ShownCertificate | str]]:
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
