"""Reads the certificates of the SIP side and of the HTTP side."""

import ssl
import time
from collections.abc import Callable

from config.settings import HttpSettings, SipSettings
from gateway.start.errors import StartupError
from sip.softswitch.listeners import client_tls, listeners
from sip.transport.tls.contexts import ClientTls, ServerTls, TlsError


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
    if http.tls is None:
        return None
    try:
        return ServerTls(http.tls.certificate, http.tls.key).context
    except TlsError as error:
        raise StartupError(f"http.tls: {error}") from None


def certificates(sip: SipSettings, http: HttpSettings) -> list[tuple[str, str]]:
    """Each TLS listener and what its certificate says. Raises StartupError for unusable files."""
    read_client_tls(sip)
    http_context(http)
    try:
        return [
            (str(one.endpoint), f"{', '.join(one.tls.names)} until {_day(one.tls.expires_at)}")
            for one in listeners(sip)
            if one.tls is not None
        ]
    except TlsError as error:
        raise StartupError(f"sip.tls: {error}") from None


def _day(epoch: float | None) -> str:
    return "?" if epoch is None else time.strftime("%Y-%m-%d", time.gmtime(epoch))
