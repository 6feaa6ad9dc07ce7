"""What a ladder shows of a message, and what it hides."""

import pytest

from sip.redaction import Redaction


def message(*fields: str, body: str = "") -> str:
    return "\r\n".join(("INVITE sip:b@192.0.2.2 SIP/2.0", *fields, "", body))


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            'Authorization: Digest username="u", realm="r", nonce="n", uri="sip:x", '
            'response="d41d8cd98f00b204", cnonce="c", nc=00000001',
            'Authorization: Digest username="u", realm="r", nonce="n", uri="sip:x", '
            'response="****************", cnonce="c", nc=00000001',
        ),
        ('proxy-authorization:Digest response="abc"', 'proxy-authorization:Digest response="***"'),
        ('Authorization: Digest\r\n response="abc"', 'Authorization: Digest\r\n response="***"'),
        ("Authorization: Basic dTpwYXNz", "Authorization: Basic ********"),
        ("Authorization: Bearer", "Authorization: ******"),
        ('Authentication-Info: rspauth="abc", nc=1', 'Authentication-Info: rspauth="***", nc=1'),
        ("X-Trunk-Secret: hunter2", "X-Trunk-Secret: *******"),
        ("x-trunk-secret : hunter2", "x-trunk-secret : *******"),
        ("From: <sip:alice:s3cret@192.0.2.1>;tag=1", "From: <sip:alice:******@192.0.2.1>;tag=1"),
        ("Contact: <sip:a@192.0.2.1:5060>", "Contact: <sip:a@192.0.2.1:5060>"),
        ("Route: <sip:192.0.2.1:5060;lr>", "Route: <sip:192.0.2.1:5060;lr>"),
        ('WWW-Authenticate: Digest nonce="n"', 'WWW-Authenticate: Digest nonce="n"'),
        ("Subject: response=abc", "Subject: response=abc"),
    ],
)  # fmt: skip
def test_header(line: str, shown: str) -> None:
    redaction = Redaction(["X-Trunk-Secret"])
    assert redaction.of(message(line)) == message(shown)
    assert shown == line or not redaction.spares(message("Subject: a", line))


@pytest.mark.parametrize(
    ("kind", "body", "shown"),
    [
        (
            "application/sdp",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwg|2^20\r\na=ptime:20\r\n",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:****************|2^20\r\na=ptime:20\r\n",
        ),
        (
            "application/sdp",
            "a=crypto:1 F8 inline:MTIzNDU2|2^20|1:4;inline:QUJjZGVm|2^20|2:4 KDR=1\r\n",
            "a=crypto:1 F8 inline:********|2^20|1:4;inline:********|2^20|2:4 KDR=1\r\n",
        ),
        ("application/sdp", "a=crypto:x\tY  Inline:MTIz\n", "a=crypto:x\tY  Inline:****\n"),
        ("application/sdp", "a=key-mgmt:mikey AQAF\r\n", "a=key-mgmt:***** ****\r\n"),
        ("application/sdp", "a=ice-pwd:asd88fg\r\n", "a=ice-pwd:*******\r\n"),
        ("application/sdp", "k=clear:secret\r\n", "k=clear:******\r\n"),
        ("application/dtmf-relay", "Signal=5\r\nDuration=160", "Signal=*\r\nDuration=160"),
        ("application/dtmf", "5", "*"),
        ("text/plain", "a text", "a text"),
    ],
)
def test_body(kind: str, body: str, shown: str) -> None:
    fields = (f"Content-Type: {kind}", f"Content-Length: {len(body)}")
    whole = message(*fields, body=body)
    assert Redaction().of(whole) == message(*fields, body=shown)
    assert shown == body or not Redaction().spares(whole)


def test_a_message_without_secrets_is_spared() -> None:
    sdp = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\n"
    assert Redaction().spares(message("Contact: <sip:a@192.0.2.1:5060>", body=sdp))


def test_the_length_in_bytes_stays() -> None:
    """Content-Length counts bytes."""
    body = "k=clear:pässwörd\r\n"
    shown = Redaction().of(message(body=body))
    assert len(shown.encode()) == len(message(body=body).encode())
    assert "p" not in shown.partition("k=clear:")[2]
