"""Reads the certificates of the SIP side."""

import time

from config.settings import SipSettings
from gateway.start.errors import StartupError
from sip.softswitch.listeners import client_tls, listeners
from sip.transport.tls.contexts import ClientTls, TlsError


def read_client_tls(sip: SipSettings) -> ClientTls:
    """What we show to servers, and verify them with. Raises StartupError for unusable files."""
    try:
        return client_tls(sip)
    except TlsError as error:
        raise StartupError(f"sip.tls: {error}") from None


def certificates(sip: SipSettings) -> list[tuple[str, str]]:
    """Each TLS listener and what its certificate says. Raises StartupError for unusable files."""
    read_client_tls(sip)
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
