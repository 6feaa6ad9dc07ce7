"""Certificates and roots from files, as contexts for TLS; changed files are read again."""

import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

import structlog

from sip.errors import Fault, SipError
from sip.transport.tls.certificate import Certificate, all_names, day

log = structlog.get_logger(__name__)

ClientCertificates = Literal["off", "optional", "required"]


class TlsError(SipError, OSError):
    """Files that make no TLS; the text says which file and what is wrong with it."""

    fault = Fault.OPERATOR


class _Reloading:
    """A context made from files; made anew when one of them has changed.

    Connections that are open keep what they have. Files that became unusable leave the old context
    in force, and are complained of once.
    """

    def __init__(self, files: Iterable[Path | None]) -> None:
        self._files = [file for file in files if file is not None]
        self._seen = self._state()
        # Without files of the operator's nothing can be wrong; the system's roots take a while to
        # read, and are read when the first connection wants them.
        self._context = self._build() if self._files else None

    def use(self, other: Self) -> None:
        """Begin connections with what `other` was made of, from now on."""
        vars(self).update(vars(other))

    def context(self) -> ssl.SSLContext:
        """What to begin a connection with. Raises TlsError where there never was one."""
        state = self._state()
        if state != self._seen:
            self._seen = state
            try:
                self._context = self._build()
            except TlsError as error:
                log.error("tls.reload-failed", error=str(error))
            else:
                log.info("tls.reloaded", files=[str(file) for file in self._files])
        if self._context is None:
            self._context = self._build()
        return self._context

    def _state(self) -> list[tuple[int, int, int]]:
        found = []
        for file in self._files:
            try:
                state = file.stat()
                found.append((state.st_mtime_ns, state.st_size, state.st_ino))
            except OSError:
                found.append((0, 0, 0))
        return found

    def _build(self) -> ssl.SSLContext:
        raise NotImplementedError


class ServerTls(_Reloading):
    """What a TLS listener shows, and what it asks of clients."""

    def __init__(
        self,
        certificate: Path,
        key: Path | None = None,
        *,
        client_ca: Path | None = None,
        client_certificates: ClientCertificates = "off",
    ) -> None:
        """`certificate` is PEM, with the intermediate ones behind; `key` None where it holds both.

        `client_ca` are the roots of client certificates: they are asked for unless
        `client_certificates` is off, and a client without one is refused where it is required.
        Raises TlsError.
        """
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._asked = client_certificates
        super().__init__([certificate, key, client_ca])

    @property
    def names(self) -> tuple[str, ...]:
        """The names that our certificate is good for; () where they cannot be read."""
        found = read_certificate(self._certificate)
        return all_names(found) if found else ()

    @property
    def expires_at(self) -> float | None:
        """When our certificate ends, in seconds since 1970."""
        found = read_certificate(self._certificate)
        return ssl.cert_time_to_seconds(found["notAfter"]) if found else None

    def _build(self) -> ssl.SSLContext:
        context = _plain_context(ssl.PROTOCOL_TLS_SERVER)
        _load_own(context, self._certificate, self._key)
        ends = self.expires_at
        if ends is not None:
            file = str(self._certificate)
            log.info("tls.certificate", file=file, names=self.names, until=day(ends))
        if self._asked != "off":
            if self._client_ca is None:
                raise TlsError("client certificates need sip.tls.client_ca to be checked against")
            _load_roots(context, self._client_ca)
            required = self._asked == "required"
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        return context


class ClientTls(_Reloading):
    """What we ask of servers, and the certificate that we show them if they want one."""

    def __init__(
        self,
        *,
        ca: Path | None = None,
        verify: bool = True,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        """`ca` is a bundle of roots that stands in for the system's. Raises TlsError."""
        self._ca = ca
        self._verify = verify
        self._certificate = certificate
        self._key = key
        super().__init__([ca, certificate, key])

    def _build(self) -> ssl.SSLContext:
        context = _plain_context(ssl.PROTOCOL_TLS_CLIENT)
        if not self._verify:
            context.verify_mode = ssl.CERT_NONE
        elif self._ca is not None:
            _load_roots(context, self._ca)
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
            if not context.cert_store_stats()["x509_ca"] and not _has_certificate_directory():
                raise TlsError(
                    "this machine has no CA certificates to verify servers with: install "
                    "ca-certificates, or set sip.tls.ca"
                )
        if self._certificate is not None:
            _load_own(context, self._certificate, self._key)
        return context


def read_certificate(file: Path) -> Certificate | None:
    """The first certificate of a PEM file; None where this Python cannot tell, or it has none."""
    decode: Any = getattr(getattr(ssl, "_ssl", None), "_test_decode_cert", None)
    try:
        return decode(str(file)) if decode is not None else None
    except (OSError, ValueError):
        return None


def _plain_context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # The name is checked by TlsSession, which can say what names there are.
    context.check_hostname = False
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    # A PBX's own certificate, or an intermediate one, may be put among the roots.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _load_own(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    def no_password() -> str:
        raise TlsError(f"{key or certificate}: the key has a pass phrase; take it off")

    for file in (certificate, key):
        if file is not None:
            _readable(file)
    try:
        context.load_cert_chain(certificate, key, password=no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(f"{key or certificate} is not the key of {certificate}") from None
        raise TlsError(f"{certificate}{_and(key)}: {_not_pem(certificate, key)}") from None


def _load_roots(context: ssl.SSLContext, file: Path) -> None:
    _readable(file)
    try:
        context.load_verify_locations(file)
    except ssl.SSLError:
        raise TlsError(f"{file} holds no certificates in PEM form") from None


def _readable(file: Path) -> None:
    try:
        file.open("rb").close()
    except OSError as error:
        raise TlsError(f"cannot read {file}: {error.strerror}") from None


def _not_pem(certificate: Path, key: Path | None) -> str:
    if b"-----BEGIN CERTIFICATE-----" not in certificate.read_bytes():
        return f"no certificate in PEM form in {certificate.name}"
    if b"PRIVATE KEY-----" not in (key or certificate).read_bytes():
        return f"no private key in PEM form in {(key or certificate).name}"
    return "not a usable certificate and key"


def _and(key: Path | None) -> str:
    return f" and {key}" if key is not None else ""


def _has_certificate_directory() -> bool:
    """Roots in a directory are found one by one when needed; the context counts none of them."""
    directory = ssl.get_default_verify_paths().capath
    return directory is not None and any(Path(directory).iterdir())
