"""Certificates of every kind, made for a test."""

import datetime
import functools
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.UTC)


def day(offset: int) -> datetime.datetime:
    """So many days from now."""
    return NOW + datetime.timedelta(days=offset)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative(name: str) -> x509.GeneralName:
    if name.startswith("sip:"):
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


#: What an authority's key may be used for: Python 3.13 and newer ask for it (RFC 5280 4.2.1.3).
_SIGNS = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """A certificate authority that writes PEM files into a directory."""

    def __init__(
        self, directory: Path, name: str = "Test Root", signer: "Authority | None" = None
    ) -> None:
        """A root, or an intermediate authority that `signer` signs."""
        self.directory = directory
        self.name = name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.signer = signer or self
        self.certificate = self._sign(
            self.signer,
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .public_key(self.key.public_key())
            .not_valid_before(day(-30))
            .not_valid_after(day(30))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False
            )
            .add_extension(_SIGNS, critical=True),
        )

    @functools.cached_property
    def bundle(self) -> Path:
        """The root as a file."""
        file = self.directory / f"{self.name}.pem"
        file.write_bytes(self.pem)
        return file

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        *names: str,
        common_name: str = "somebody",
        days: tuple[int, int] = (-10, 10),
        by_itself: bool = False,
        chain: tuple[bytes, ...] = (),
        file: str | None = None,
    ) -> Path:
        """A file with key, certificate and `chain`, good for `names` from and to these days."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(common_name))
            .public_key(key.public_key())
            .not_valid_before(day(days[0]))
            .not_valid_after(day(days[1]))
        )
        if names:
            san = x509.SubjectAlternativeName([_alternative(name) for name in names])
            builder = builder.add_extension(san, critical=False)
        if by_itself:
            certificate = (
                builder.issuer_name(_name(common_name))
                .serial_number(x509.random_serial_number())
                .sign(key, hashes.SHA256())
            )
        else:
            certificate = self._sign(self, builder)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        path = self.directory / (file or f"{len(list(self.directory.iterdir()))}.pem")
        parts = [private, certificate.public_bytes(serialization.Encoding.PEM), *chain]
        path.write_bytes(b"".join(parts))
        return path

    @staticmethod
    def _sign(signer: "Authority", builder: x509.CertificateBuilder) -> x509.Certificate:
        # Python 3.13 and newer take no certificate without it (RFC 5280 4.2.1.1)
        by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
        return (
            builder.issuer_name(_name(signer.name))
            .add_extension(by, critical=False)
            .serial_number(x509.random_serial_number())
            .sign(signer.key, hashes.SHA256())
        )
