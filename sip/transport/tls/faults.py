"""Why a TLS connection failed, in one sentence: whose fault it is, and what to do. Pure."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from sip.transport.tls.certificate import Certificate, expired_on, identities, title, valid_from

#: X509_V_ERR_… of OpenSSL's x509_vfy.h
_NOT_YET_VALID = 9
_EXPIRED = 10
_SELF_SIGNED = 18
_UNKNOWN_CA = frozenset({2, 19, 20, 21, 27})
_REVOKED = 23
_WRONG_PURPOSE = 26

#: What a peer says with an alert (RFC 8446 6.2), by OpenSSL's name for it: kind, and our words.
_ALERTS = {
    "BAD_CERTIFICATE": ("our certificate", "it finds {ours} bad or not for the name it dialled"),
    "UNSUPPORTED_CERTIFICATE": ("our certificate", "it does not take the kind of {ours}"),
    "CERTIFICATE_REVOKED": ("our certificate", "it says that {ours} is revoked: renew it"),
    "CERTIFICATE_EXPIRED": ("our certificate", "it says that {ours} has expired: renew it"),
    "CERTIFICATE_UNKNOWN": ("our certificate", "it does not accept {ours}"),
    "UNKNOWN_CA": ("our certificate", "it does not know the authority that signed {ours}"),
    "CERTIFICATE_REQUIRED": ("no certificate", "{required}"),
    "ACCESS_DENIED": ("refused", "it refuses us"),
    "PROTOCOL_VERSION": ("protocol", "it does not speak TLS 1.2 or newer"),
    "HANDSHAKE_FAILURE": ("protocol", "it found no common ciphers, or wants a client certificate"),
    "INSUFFICIENT_SECURITY": ("protocol", "it finds our ciphers too weak"),
    "UNRECOGNIZED_NAME": ("wrong name", "it serves no such name"),
    "INTERNAL_ERROR": ("protocol", "it had an internal error"),
}


@dataclass(frozen=True, slots=True)
class TlsFault:
    """`kind` is one of a few words, to count by; `text` says the rest of a sentence."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class PeerWords:
    """The words for who is meant: the server that we called, or a client that called us."""

    #: whose certificate, and where its roots are configured
    holder: str
    roots: str
    #: what a refusal of ours is about
    ours: str
    required: str


SERVER = PeerWords(
    holder="the server's certificate",
    roots="sip.tls.ca",
    ours="our client certificate",
    required="it wants a certificate of ours and got none: set sip.tls.certificate and key",
)
CLIENT = PeerWords(
    holder="its client certificate",
    roots="sip.tls.client_ca",
    ours="our certificate",
    required="it wants a certificate of ours",
)


def fault_of(
    error: ssl.SSLError, side: PeerWords, chain: Sequence[Certificate], now: float
) -> TlsFault:
    """What `error` means. `chain` is the peer's, as far as it is known; `now` since 1970."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _unverified(error, side, chain, now)
    reason = error.reason or ""
    if "ALERT" in reason:
        word = reason.partition("ALERT_")[2]
        kind, text = _ALERTS.get(word, ("protocol", f"it sent the alert {_spoken(word)}"))
        return TlsFault(kind, text.format(ours=side.ours, required=side.required))
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return TlsFault("no certificate", "it showed no client certificate, and one is required")
    if reason in ("UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE", "VERSION_TOO_LOW"):
        return TlsFault("protocol", "it does not speak TLS 1.2 or newer")
    if reason == "NO_SHARED_CIPHER":
        return TlsFault("protocol", "it has no cipher in common with us")
    if reason in (
        "WRONG_VERSION_NUMBER",
        "HTTP_REQUEST",
        "HTTPS_PROXY_REQUEST",
        "UNKNOWN_PROTOCOL",
    ):
        return TlsFault(
            "plain text", "it answers with something that is not TLS: is the port right?"
        )
    return TlsFault("protocol", f"TLS failed: {_spoken(reason) or error}")


def plain_text() -> TlsFault:
    """A client's first byte begins no TLS handshake."""
    return TlsFault(
        "plain text", "it speaks plain text on a TLS port: use TLS there, or our TCP port"
    )


def wrong_name(certificate: Certificate, wanted: str) -> TlsFault:
    """A server whose certificate is good, but for others."""
    names = ", ".join(identities(certificate)) or "no name"
    return TlsFault(
        "wrong name",
        f"the server's certificate is for {names}, not for {wanted}: dial it by a name that it "
        "has, or have it certified for this one",
    )


def cut_short(side: PeerWords) -> TlsFault:
    """The peer went away before the handshake was over, and said nothing."""
    guess = "is it TLS there?" if side is SERVER else "does it accept our certificate?"
    return TlsFault("cut short", f"it closed the connection during the TLS handshake; {guess}")


def _unverified(
    error: ssl.SSLCertVerificationError, side: PeerWords, chain: Sequence[Certificate], now: float
) -> TlsFault:
    code = error.verify_code
    holder = side.holder
    if code == _EXPIRED:
        ended = expired_on(chain, now)
        when = f" on {ended}" if ended else ""
        return TlsFault("expired", f"{holder} has expired{when}; it must be renewed")
    if code == _NOT_YET_VALID:
        begins = valid_from(chain, now)
        when = f" before {begins}" if begins else " yet"
        return TlsFault("expired", f"{holder} is not valid{when}; is a clock wrong?")
    if code == _SELF_SIGNED:
        return TlsFault(
            "unknown CA", f"{holder} is signed by itself alone; to trust it, add it to {side.roots}"
        )
    if code in _UNKNOWN_CA:
        issuer = f" {title(chain[-1], 'issuer')!r}" if chain else ""
        return TlsFault(
            "unknown CA",
            f"{holder} comes from an authority that we do not know{issuer}; to trust it, add its "
            f"root to {side.roots}",
        )
    if code == _REVOKED:
        return TlsFault("revoked", f"{holder} is revoked")
    if code == _WRONG_PURPOSE:
        return TlsFault("purpose", f"{holder} is not made for this purpose (extended key usage)")
    return TlsFault("certificate", f"{holder} does not hold: {error.verify_message}")


def _spoken(reason: str) -> str:
    return reason.lower().replace("_", " ")
