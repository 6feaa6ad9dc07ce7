"""Names in certificates (RFC 5922, RFC 6125), and files that make no TLS."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from sip.transport.tls.certificate import all_names, covers, identities
from sip.transport.tls.contexts import ClientTls, ServerTls, TlsError
from tests.transport.tls.authority import Authority


@pytest.mark.parametrize(
    ("names", "wanted", "expected"),
    [
        (("sip.example.com",), "sip.example.com", True),
        (("sip.example.com",), "SIP.Example.COM.", True),
        (("example.com",), "sip.example.com", False),
        (("*.pstn.example.com",), "acme.pstn.example.com", True),
        (("*.pstn.example.com",), "pstn.example.com", False),
        (("*.pstn.example.com",), "a.b.pstn.example.com", False),
        (("*.com",), "example.com", False),
        (("*",), "localhost", False),
        (("s*.example.com",), "sip.example.com", False),
        (("192.0.2.1",), "192.0.2.1", True),
        (("2001:db8:0:0:0:0:0:1",), "2001:db8::1", True),
        (("*.0.2.1",), "192.0.2.1", False),
        ((), "sip.example.com", False),
    ],
)
def test_which_names_are_covered(names: tuple[str, ...], wanted: str, expected: bool) -> None:
    assert covers(names, wanted) is expected


def test_the_common_name_counts_only_where_there_is_no_other() -> None:
    """RFC 5922 7.1."""
    certificate: dict[str, Any] = {"subject": ((("commonName", "PBX.example.com"),),)}
    assert identities(certificate) == ("pbx.example.com",)
    certificate["subjectAltName"] = (
        ("DNS", "Sip.example.com"),
        ("URI", "sip:carrier.example.com"),
        ("URI", "https://www.example.com/"),
        ("IP Address", "192.0.2.1"),
        ("IP Address", "2001:DB8:0:0:0:0:0:1\n"),
        ("URI", "sips:x@[2001:db8::2]:5061"),
        ("email", "a@example.com"),
    )
    assert identities(certificate) == (
        "sip.example.com",
        "carrier.example.com",
        "192.0.2.1",
        "2001:db8::1",
        "2001:db8::2",
    )
    assert all_names(certificate)[-1] == "pbx.example.com"


def test_files_that_make_no_tls(tmp_path: Path) -> None:
    root = Authority(tmp_path)
    good, other = root.issue("a.example.com"), root.issue("b.example.com")
    (tmp_path / "text.pem").write_text("nothing of the kind")
    (tmp_path / "key.pem").write_bytes(other.read_bytes().partition(b"-----BEGIN CERT")[0])
    (tmp_path / "cert.pem").write_bytes(root.pem)

    def problem(*args: Any, **kwargs: Any) -> str:
        with pytest.raises(TlsError) as caught:
            ServerTls(*args, **kwargs)
        return str(caught.value).replace(f"{tmp_path}/", "")

    assert problem(tmp_path / "no.pem") == "cannot read no.pem: No such file or directory"
    assert problem(tmp_path / "text.pem").endswith("no certificate in PEM form in text.pem")
    assert problem(tmp_path / "cert.pem").endswith("no private key in PEM form in cert.pem")
    assert problem(good, tmp_path / "key.pem").startswith("key.pem is not the key of")
    assert "client_ca" in problem(good, client_certificates="required")
    roots = tmp_path / "text.pem"
    assert "holds no certificates" in problem(good, client_ca=roots, client_certificates="optional")
    with pytest.raises(TlsError, match="holds no certificates in PEM form"):
        ClientTls(ca=roots)


def test_our_own_certificate_is_known(tmp_path: Path) -> None:
    tls = ServerTls(Authority(tmp_path).issue("a.example.com", common_name="b.example.com"))
    assert tls.names == ("a.example.com", "b.example.com")
    assert tls.expires_at is not None


def test_old_versions_are_not_spoken(tmp_path: Path) -> None:
    contexts = (
        ServerTls(Authority(tmp_path).issue("a.example.com")).context(),
        ClientTls().context(),
    )
    assert all(context.minimum_version is ssl.TLSVersion.TLSv1_2 for context in contexts)


@pytest.mark.skipif(
    not Path("/etc/ssl/certs/Amazon_Root_CA_1.pem").exists(), reason="no system roots here"
)
def test_the_systems_roots_hold_those_that_retell_is_signed_by() -> None:
    """Retell's certificates come from Amazon Trust Services."""
    context = ClientTls().context()
    subjects = [str(root.get("subject")) for root in context.get_ca_certs()]
    for number in (1, 2, 3, 4):
        assert any(f"Amazon Root CA {number}" in subject for subject in subjects)
