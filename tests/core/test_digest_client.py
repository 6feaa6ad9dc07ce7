"""Our answers to challenges, as they stand in a request."""

from sip.core.auth_header import AuthHeader
from sip.core.digest_client import Proofs, Tried
from sip.core.message import Headers, Response
from sip.ids import Ids


def test_a_uri_with_quotes_stays_one_parameter() -> None:
    """Contacts are used as they came, and some have a parameter in quotes."""
    challenge = Headers(
        [
            ("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'),
            ("CSeq", "2 BYE"),
        ]
    )
    proofs = Proofs("us", "pw")
    assert proofs.learn(Response(401, "Unauthorized", challenge), Tried())
    uri = 'sip:me@192.0.2.1;x="a, realm=other"'
    [(_, value)] = proofs.headers("BYE", uri, Ids().cnonce)
    params = AuthHeader.parse(value).params
    assert params["uri"].replace("\\", "") == uri
    assert params["realm"] == "r"
