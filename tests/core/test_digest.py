"""Digest authentication in both roles (RFC 2617, RFC 7616, RFC 8760)."""

import hashlib
import re

import pytest

from sip.core.auth_header import AuthHeader
from sip.core.digest import (
    ALGORITHMS,
    AuthResult,
    DigestServer,
    Outcome,
    answer_challenges,
)
from sip.errors import ParseError

URI = "sip:+14155550100@192.0.2.1"
PASSWORDS = {"retell": "correct horse", 'o"brien\\': "staple"}


def answer(
    challenges: list[str],
    *,
    method: str = "INVITE",
    uri: str = URI,
    username: str = "retell",
    password: str = "correct horse",
    cnonce: str = "0a4f113b",
    nonce_count: int = 1,
    body: bytes = b"",
) -> str:
    value = answer_challenges(
        challenges,
        method=method,
        uri=uri,
        username=username,
        password=password,
        cnonce=cnonce,
        nonce_count=nonce_count,
        body=body,
    )
    assert value is not None
    return value


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def params(value: str) -> dict[str, str]:
    return AuthHeader.parse(value).params


class TestVectors:
    """The worked examples of the RFCs."""

    def test_rfc_2617_3_5(self) -> None:
        challenge = (
            'Digest realm="testrealm@host.com", qop="auth,auth-int", '
            'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
        )
        value = answer(
            [challenge],
            method="GET",
            uri="/dir/index.html",
            username="Mufasa",
            password="Circle Of Life",
        )
        assert params(value) == {
            "username": "Mufasa",
            "realm": "testrealm@host.com",
            "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            "uri": "/dir/index.html",
            "response": "6629fae49393a05397450978507c4ef1",
            "cnonce": "0a4f113b",
            "opaque": "5ccc069c403ebaf9f0171e9517f40e41",
            "qop": "auth",
            "nc": "00000001",
        }

    @pytest.mark.parametrize(
        ("algorithm", "response"),
        [
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ],
    )
    def test_rfc_7616_3_9_1(self, algorithm: str, response: str) -> None:
        challenge = (
            f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
            'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
            'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
        )
        value = answer(
            [challenge],
            method="GET",
            uri="/dir/index.html",
            username="Mufasa",
            password="Circle of Life",
            cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        )
        assert params(value)["response"] == response
        assert params(value)["algorithm"] == algorithm

    def test_rfc_2069_without_qop(self) -> None:
        """RFC 2617 3.2.2.1, last case; the figures are those of the erratum to RFC 2069 2.4."""
        challenge = (
            'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
            'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
        )
        value = answer(
            [challenge],
            method="GET",
            uri="/dir/index.html",
            username="Mufasa",
            password="CircleOfLife",
        )
        assert params(value)["response"] == "1949323746fe6a43ef61f9606e7febea"
        assert params(value).keys() == {
            "username", "realm", "nonce", "uri", "response", "opaque",
        }  # fmt: skip


class TestHeader:
    def test_read(self) -> None:
        header = AuthHeader.parse('Digest realm="a, \\"b\\"",nonce = "n", Stale=TRUE ,qop="auth"')
        assert header == AuthHeader(
            "digest", {"realm": 'a, \\"b\\"', "nonce": "n", "stale": "TRUE", "qop": "auth"}
        )

    @pytest.mark.parametrize(
        "value",
        [
            *("", "Digest", "Digest realm", 'Digest realm="a', "Digest a=1, a=2", ", a=1"),
            ", ".join(["Digest a=1"] * 5),
            *('Digest a="1"b"', 'Digest a="1", b', "a=1, Digest b=2", 'Digest a="1", "b"'),
        ],
    )
    def test_malformed(self, value: str) -> None:
        with pytest.raises(ParseError):
            AuthHeader.parse(value)

    @pytest.mark.parametrize(
        "value",
        [
            'Digest realm="r", nonce="n", qop=auth,auth-int, algorithm=MD5',
            'Digest realm="r", nonce="n", qop=auth , auth-int,algorithm=MD5,',
            'Digest realm="r",, nonce="n" ,, qop="auth,auth-int", algorithm=MD5',
            'Digest realm="r" nonce="n" qop="auth,auth-int" algorithm=MD5',
            'Digest realm="r", nonce="n", qop="auth,auth-int", algorithm=MD5, Algorithm=md5',
        ],
    )
    def test_as_devices_write_it(self, value: str) -> None:
        """Lists without quotes, commas too many or too few, the same thing twice."""
        wanted = {"realm": "r", "nonce": "n", "qop": "auth,auth-int", "algorithm": "MD5"}
        assert AuthHeader.parse(value) == AuthHeader("digest", wanted)

    def test_two_in_one_line(self) -> None:
        """RFC 7235 4.1 allows it; RFC 3261 20.44 does not, and some send it."""
        line = 'Basic realm="x", Digest realm="r", nonce="k", algorithm=SHA-256,Digest realm="r"'
        assert [(h.scheme, h.params) for h in AuthHeader.parse_all(line)] == [
            ("basic", {"realm": "x"}),
            ("digest", {"realm": "r", "nonce": "k", "algorithm": "SHA-256"}),
            ("digest", {"realm": "r"}),
        ]


class TestClient:
    def test_the_strongest_is_answered(self) -> None:
        """Whatever the order: old servers put MD5 first for old clients."""
        md5 = 'Digest realm="r", nonce="1", algorithm=MD5, qop="auth"'
        sha = 'Digest realm="r", nonce="2", algorithm=SHA-256, qop="auth"'
        unknown = 'Digest realm="r", nonce="3", algorithm=SHA-3, qop="auth"'
        for challenges in ([md5, sha, unknown], [unknown, sha, md5]):
            assert params(answer(challenges))["nonce"] == "2"
        assert params(answer([unknown, md5]))["nonce"] == "1"

    def test_challenges_in_one_line(self) -> None:
        both = 'Digest realm="r", nonce="1", algorithm=SHA-256, qop="auth"'
        both += ', Digest realm="r", nonce="2", algorithm=MD5, qop=auth,auth-int'
        assert params(answer([both]))["nonce"] == "1"
        assert params(answer([both.replace("SHA-256", "SHA-3")]))["nonce"] == "2"

    @pytest.mark.parametrize(
        "challenge",
        [
            'Basic realm="r"',
            'Digest realm="r", nonce="1", algorithm=SHA-3',
            'Digest realm="r", nonce="1", qop="other"',
            'Digest nonce="1"',
            'Digest realm="r"',
            "Digest ???",
            "",
        ],
    )
    def test_what_cannot_be_answered(self, challenge: str) -> None:
        value = answer_challenges(
            [challenge], method="BYE", uri=URI, username="a", password="b", cnonce="c"
        )
        assert value is None

    def test_the_body_counts_where_only_that_is_offered(self) -> None:
        """RFC 7616 3.4.3: auth-int."""
        challenge = 'Digest realm="r", nonce="1", qop="auth-int"'
        first, second = (answer([challenge], body=body) for body in (b"v=0\r\n", b"v=1\r\n"))
        assert params(first)["qop"] == "auth-int"
        assert params(first)["response"] != params(second)["response"]

    def test_session_algorithms_send_the_client_nonce(self) -> None:
        """RFC 7616 3.4.2: it is part of A1 even where qop is absent."""
        challenge = 'Digest realm="r", nonce="1", algorithm=MD5-sess'
        first, second = (answer([challenge], cnonce=cnonce) for cnonce in ("x", "y"))
        assert params(first)["cnonce"] == "x"
        assert params(first)["response"] != params(second)["response"]

    def test_names_are_quoted(self) -> None:
        value = answer(['Digest realm="r", nonce="1"'], username='a"b\\c')
        assert 'username="a\\"b\\\\c"' in value


class TestServer:
    @pytest.fixture
    def server(self) -> DigestServer:
        return DigestServer("gateway.example.com", b"0123456789abcdef", nonce_lifetime_s=60)

    def verify(
        self,
        server: DigestServer,
        value: str,
        *,
        method: str = "INVITE",
        now: float = 1001.0,
        uri: str = URI,
    ) -> Outcome:
        return server.verify([value], method, PASSWORDS, now, uri).outcome

    def test_challenges(self, server: DigestServer) -> None:
        """RFC 8760 2.3: one a line, the preferred first."""
        found = [params(value) for value in server.challenge(1000.0)]
        assert [p["algorithm"] for p in found] == ["SHA-256", "MD5"]
        assert all(p["realm"] == "gateway.example.com" and p["qop"] == "auth" for p in found)
        assert not any("stale" in p for p in found)
        assert params(server.challenge(1000.0, stale=True)[0])["stale"] == "true"

    def test_a_realm_may_hold_quotes(self) -> None:
        server = DigestServer('the "gateway"', b"secret")
        assert self.verify(server, answer(server.challenge(1000.0))) is Outcome.OK

    @pytest.mark.parametrize("algorithm", [0, 1])
    def test_the_right_password(self, server: DigestServer, algorithm: int) -> None:
        value = answer([server.challenge(1000.0)[algorithm]])
        result = server.verify([value], "INVITE", PASSWORDS, 1001.0, URI)
        assert result == AuthResult(Outcome.OK, "retell")

    def test_a_name_with_quotes(self, server: DigestServer) -> None:
        value = answer(server.challenge(1000.0), username='o"brien\\', password="staple")
        result = server.verify([value], "INVITE", PASSWORDS, 1001.0, URI)
        assert result == AuthResult(Outcome.OK, 'o"brien\\')

    def test_no_credentials(self, server: DigestServer) -> None:
        other = answer(['Digest realm="elsewhere", nonce="1"'])
        for values in ([], ["Basic YTpi"], [other], ["Digest ???"]):
            assert server.verify(values, "INVITE", PASSWORDS, 1001.0, URI) == AuthResult(
                Outcome.ABSENT
            )

    def test_ours_among_others(self, server: DigestServer) -> None:
        """RFC 3261 22.3: a request may carry credentials for every proxy on its way."""
        values = [answer(['Digest realm="elsewhere", nonce="1"']), answer(server.challenge(1000.0))]
        for ordered in (values, values[::-1]):
            fresh = DigestServer("gateway.example.com", b"0123456789abcdef")
            assert fresh.verify(ordered, "INVITE", PASSWORDS, 1001.0, URI).outcome is Outcome.OK

    @pytest.mark.parametrize(
        "change",
        [
            {"password": "wrong"},
            {"username": "nobody"},
            {"username": "nobody", "password": ""},
            {"method": "BYE"},
            {"uri": "sip:+12125550100@192.0.2.1"},
            {"uri": "+12125550100@192.0.2.1"},
            {"uri": "sip:@"},
            {"uri": "*"},
        ],
    )
    def test_wrong(self, server: DigestServer, change: dict[str, str]) -> None:
        value = answer(server.challenge(1000.0), **change)  # type: ignore[arg-type]
        assert self.verify(server, value) is Outcome.WRONG

    def test_who_failed_is_told(self, server: DigestServer) -> None:
        value = answer(server.challenge(1000.0), password="wrong")
        result = server.verify([value], "INVITE", PASSWORDS, 1001.0, URI)
        assert result == AuthResult(Outcome.WRONG, "retell")

    @pytest.mark.parametrize(
        ("was", "forged"),
        [
            (r'response="[^"]*"', ""),
            (r'response="[^"]*"', 'response="é"'),
            (r'uri="[^"]*"', 'uri="sip:+14155550100@203.0.113.9"'),
            (r"nc=00000001", "nc=00000002"),
            (r"nc=00000001", "nc=1"),
            (r", nc=00000001", ""),
            (r"qop=auth", "qop=auth-int"),
            (r', cnonce="[^"]*"', ""),
            (r"algorithm=SHA-256", "algorithm=MD5"),
            (r"algorithm=SHA-256", "algorithm=SHA-256-sess"),
            (r'username="[^"]*", ', ""),
        ],
    )
    def test_forged(self, server: DigestServer, was: str, forged: str) -> None:
        value = answer(server.challenge(1000.0))
        assert re.search(was, value)
        assert self.verify(server, re.sub(was, forged, value).replace(", , ", ", ")) in (
            Outcome.WRONG,
            Outcome.ABSENT,
        )

    @pytest.mark.parametrize("uri", ["sip:192.0.2.1:5060", "sip:+14155550100@proxy.example.com"])
    def test_the_host_in_the_digest_may_be_another(self, server: DigestServer, uri: str) -> None:
        """Proxies rewrite the Request-URI, and SIPp signs the server's address."""
        assert self.verify(server, answer(server.challenge(1000.0), uri=uri)) is Outcome.OK

    @pytest.mark.parametrize(
        "uri",
        [
            *("sip:192.0.2.1", "sip:192.0.2.1:5060", "sip:retell@192.0.2.1", "192.0.2.1"),
            *("retell@192.0.2.1", "*", "sip:", ""),
        ],
    )
    def test_a_register_may_sign_what_it_likes(self, server: DigestServer, uri: str) -> None:
        """Its Request-URI has no user, so there is nothing that another could be dialled by."""
        value = answer(server.challenge(1000.0), method="REGISTER", uri=uri)
        result = server.verify([value], "REGISTER", PASSWORDS, 1001.0, "sip:192.0.2.1")
        assert result.outcome is Outcome.OK

    @pytest.mark.parametrize("uri", ["192.0.2.1:5060", "+14155550100@192.0.2.1"])
    def test_the_scheme_may_be_missing(self, server: DigestServer, uri: str) -> None:
        assert self.verify(server, answer(server.challenge(1000.0), uri=uri)) is Outcome.OK

    @pytest.mark.parametrize(("count", "again"), [("1", "2"), ("0001", "0002"), ("f", "10")])
    def test_counts_without_their_zeroes(
        self, server: DigestServer, count: str, again: str
    ) -> None:
        """RFC 7616 3.4 wants eight digits; the digest covers them as they are written."""
        [challenge] = [params(value) for value in server.challenge(1000.0)[1:]]

        def proof(nc: str) -> str:
            secret = md5(f"retell:{challenge['realm']}:correct horse")
            request = md5(f"INVITE:{URI}")
            response = md5(f"{secret}:{challenge['nonce']}:{nc}:c:auth:{request}")
            given = {"username": "retell", "realm": challenge["realm"], "uri": URI, "cnonce": "c"}
            given |= {"nonce": challenge["nonce"], "response": response}
            quoted = ", ".join(f'{name}="{value}"' for name, value in given.items())
            return f"Digest {quoted}, algorithm=MD5, qop=auth, nc={nc}"

        assert self.verify(server, proof(count)) is Outcome.OK
        assert self.verify(server, proof(count)) is Outcome.STALE
        assert self.verify(server, proof(again)) is Outcome.OK
        assert self.verify(server, proof("0" * 9 + again)) is Outcome.WRONG

    def test_an_algorithm_that_was_not_offered(self) -> None:
        strict = DigestServer("gateway.example.com", b"0123456789abcdef", algorithms=("SHA-256",))
        md5 = DigestServer("gateway.example.com", b"0123456789abcdef", algorithms=("md5",))
        value = answer(md5.challenge(1000.0))
        assert params(value)["algorithm"] == "MD5"
        assert self.verify(strict, value) is Outcome.WRONG
        assert self.verify(md5, value) is Outcome.OK


class TestNonces:
    """A response is good for one request, and its nonce for a minute."""

    @pytest.fixture
    def server(self) -> DigestServer:
        return DigestServer("gateway.example.com", b"0123456789abcdef", nonce_lifetime_s=60)

    def outcomes(self, server: DigestServer, now: float, *values: str) -> list[Outcome]:
        return [server.verify([value], "INVITE", PASSWORDS, now, URI).outcome for value in values]

    @pytest.mark.parametrize(
        ("now", "outcome"),
        [
            (1000.0, Outcome.OK),
            (1059.9, Outcome.OK),
            (1060.0, Outcome.STALE),
            (999.0, Outcome.STALE),
        ],
    )
    def test_lifetime(self, server: DigestServer, now: float, outcome: Outcome) -> None:
        assert self.outcomes(server, now, answer(server.challenge(1000.0))) == [outcome]

    def test_a_nonce_that_is_not_ours(self, server: DigestServer) -> None:
        """Stale and not wrong, so that a client goes on by itself after our secret has changed."""
        other = DigestServer("gateway.example.com", b"another secret")
        odd = ['Digest realm="gateway.example.com", nonce="é.", qop="auth"']
        values = answer(other.challenge(1000.0)), answer(odd)
        assert self.outcomes(server, 1001.0, *values) == [Outcome.STALE, Outcome.STALE]

    def test_a_wrong_password_is_never_stale(self, server: DigestServer) -> None:
        value = answer(server.challenge(1000.0), password="wrong")
        assert self.outcomes(server, 2000.0, value) == [Outcome.WRONG]

    def test_counts_must_rise(self, server: DigestServer) -> None:
        """RFC 7616 3.4: nc tells a replay from the next request under the same nonce."""
        challenge = server.challenge(1000.0)
        first, second, fifth = (answer(challenge, nonce_count=n) for n in (1, 2, 5))
        assert self.outcomes(server, 1001.0, first, first, second, fifth, second, fifth) == [
            Outcome.OK, Outcome.STALE, Outcome.OK, Outcome.OK, Outcome.STALE, Outcome.STALE,
        ]  # fmt: skip

    def test_clients_with_one_nonce_count_apart(self, server: DigestServer) -> None:
        """Nonces are made of the time, so two calls in one millisecond share theirs."""
        challenge = server.challenge(1000.0)
        values = [answer(challenge, cnonce=cnonce) for cnonce in ("a", "b", "a")]
        assert self.outcomes(server, 1001.0, *values) == [Outcome.OK, Outcome.OK, Outcome.STALE]

    def test_without_qop_a_nonce_is_good_once(self, server: DigestServer) -> None:
        """RFC 2069 clients do not count; a client nonce added to a replay changes nothing."""
        challenge = [value.replace(', qop="auth"', "") for value in server.challenge(1000.0)]
        value = answer(challenge)
        assert "qop" not in params(value)
        replayed = f'{value}, cnonce="other", nc=00000009'
        assert self.outcomes(server, 1001.0, value, value, replayed) == [
            Outcome.OK, Outcome.STALE, Outcome.STALE,
        ]  # fmt: skip

    def test_memory_is_given_back(self, server: DigestServer) -> None:
        for now in range(1000, 1100):
            value = answer(server.challenge(float(now)))
            assert self.outcomes(server, now + 0.5, value) == [Outcome.OK]
        assert len(server._used) <= 61

    def test_memory_is_bounded_and_forgetting_opens_nothing(
        self, server: DigestServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What had to be forgotten early makes its nonces stale: it cannot be replayed."""
        monkeypatch.setattr(DigestServer, "MAX_REMEMBERED", 3)
        values = [answer(server.challenge(1000.0 + i)) for i in range(5)]
        assert self.outcomes(server, 1010.0, *values) == [Outcome.OK] * 5
        assert len(server._used) == 3
        assert self.outcomes(server, 1010.0, *values) == [Outcome.STALE] * 5

    def test_all_algorithms_have_their_hash(self) -> None:
        assert {a.name: len(a.hash("")) for a in ALGORITHMS.values()} == {
            "SHA-256": 64, "SHA-256-sess": 64, "MD5": 32, "MD5-sess": 32,
        }  # fmt: skip
