"""A certificate authority of the tests' own, and a certificate from it for every party."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.interop.harness.programs import program

_DAYS = "7"


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files."""

    certificate: Path
    key: Path

    def together(self) -> Path:
        """Certificate and key in one file, as some programs want it."""
        both = self.certificate.with_suffix(".both.pem")
        both.write_text(self.certificate.read_text() + self.key.read_text())
        return both


class Authority:
    """Signs certificates; `ca` is what others must trust."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.ca = directory / "ca.pem"
        self._key = directory / "ca.key"
        request = ["req", "-x509", "-days", _DAYS, "-subj", "/CN=Interop CA", *_new_key(self._key)]
        _openssl(*request, "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", str(self.ca))

    def certificate(self, name: str, *hosts: str) -> Certificate:
        """One for the IP addresses and DNS names in `hosts`, as server and as client."""
        base = self._directory / name
        made = Certificate(base.with_suffix(".pem"), base.with_suffix(".key"))
        names = ",".join(("IP:" if _is_address(host) else "DNS:") + host for host in hosts)
        wish = base.with_suffix(".csr")
        _openssl("req", "-subj", f"/CN={hosts[0]}", *_new_key(made.key), "-out", str(wish))
        extensions = base.with_suffix(".ext")
        extensions.write_text(
            f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n"
            "basicConstraints=CA:FALSE\n"
        )
        signed = ["x509", "-req", "-days", _DAYS, "-CA", str(self.ca), "-CAkey", str(self._key)]
        signed += ["-CAcreateserial", "-in", str(wish), "-extfile", str(extensions)]
        _openssl(*signed, "-out", str(made.certificate))
        return made


def _new_key(path: Path) -> list[str]:
    return ["-newkey", "rsa:2048", "-nodes", "-keyout", str(path)]


def _is_address(host: str) -> bool:
    return host.replace(".", "").isdecimal() or ":" in host


def _openssl(*arguments: str) -> None:
    done = subprocess.run(
        [program("openssl"), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
