"""Digest answers, against the example of RFC 7616 3.9.1 and the older form of RFC 2617."""

import hashlib
import re

import pytest

from testkit.phone import digest

URI = "sip:+14155550100@127.0.0.1"


def field(value: str, name: str) -> str:
    found = re.search(rf'{name}="?([^",]+)', value)
    assert found is not None
    return found[1]


def test_the_example_of_rfc_7616(monkeypatch: pytest.MonkeyPatch) -> None:
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    monkeypatch.setattr(digest, "token_hex", lambda _: cnonce)
    common = (
        'Digest realm="http-auth@example.org", qop="auth, auth-int", '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
        'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS", '
    )
    for algorithm, response in (
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ):
        value = digest.answer(
            [common + f"algorithm={algorithm}"],
            method="GET",
            uri="/dir/index.html",
            user="Mufasa",
            password="Circle of Life",
        )
        assert value is not None
        assert field(value, "response") == response
        assert field(value, "opaque").startswith("FQhe")


def test_without_qop_the_older_form_is_answered() -> None:
    value = digest.answer(
        ['Digest realm="r", nonce="n"'], method="INVITE", uri=URI, user="u", password="p"
    )
    assert value is not None

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    assert field(value, " response") == md5(f"{md5('u:r:p')}:n:{md5(f'INVITE:{URI}')}")
    assert "cnonce" not in value


def test_the_stronger_challenge_is_answered() -> None:
    challenges = [f'Digest realm="r", nonce="n", algorithm={one}' for one in ("MD5", "SHA-256")]
    value = digest.answer(challenges, method="INVITE", uri=URI, user="u", password="p")
    assert value is not None
    assert "algorithm=SHA-256" in value


def test_a_challenge_that_is_not_understood_is_not_answered() -> None:
    for challenge in ('Basic realm="r"', 'Digest realm="r", nonce="n", algorithm=TOKEN', ""):
        assert digest.answer([challenge], method="INVITE", uri=URI, user="u", password="p") is None
