"""Twilio's signatures: exactly the right ones pass, and Twilio's own signer agrees with ours."""

import base64
import hashlib
import json
from dataclasses import replace
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from gateway.twilio.signature import (
    FORM,
    NO_HASH,
    NOT_SIGNED,
    NOT_TEXT,
    UNKNOWN_ACCOUNT,
    UNKNOWN_KEY,
    WRONG_ALGORITHM,
    WRONG_HASH,
    WRONG_KEY,
    Believed,
    Received,
    Refused,
    Secrets,
    before_body,
    check,
    signature_of,
    urls,
)

PUBLIC = "https://gateway.example.com"
TARGET = "/webhooks/twilio/voice/+14155550100"
MAIN, SUB = "AC" + "0" * 32, "AC" + "1" * 32
TOKEN, NEXT, SUB_TOKEN, SHARED = "token-main", "token-next", "token-sub", "shared-secret"
KEYS = Secrets(tokens={MAIN: (TOKEN, NEXT), SUB: (SUB_TOKEN,)}, shared={"key_1": SHARED})
FIELDS = {"AccountSid": MAIN, "CallSid": "CA1", "From": "+12125550100", "To": "+14155550100"}
SETTINGS = "key=key_1,algorithm=HMAC_SHA256"


def post(
    fields: dict[str, str] | list[tuple[str, str]] = FIELDS,
    *,
    token: str = TOKEN,
    url: str = PUBLIC + TARGET,
    target: str = TARGET,
    settings: str = "",
) -> Received:
    """As Twilio's own library signs it."""
    algorithm = "HMAC_SHA256" if settings else "HMAC_SHA1"
    signature = RequestValidator(token).compute_signature(url, MultiDict(fields), algorithm)
    return Received(
        target=target,
        signature=signature,
        settings=settings,
        content_type=f"{FORM}; charset=UTF-8",
        body=urlencode(fields).encode(),
    )


def test_what_twilio_signed_is_believed() -> None:
    assert check(PUBLIC, post(), KEYS) == Believed(FIELDS)


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (replace(post(), signature=""), NOT_SIGNED),
        (replace(post(), signature="not base64!"), NOT_SIGNED),
        (replace(post(), signature="é" * 28), NOT_SIGNED),
        (replace(post(), signature=base64.b64encode(b"x" * 19).decode()), NOT_SIGNED),
        (replace(post(), settings=SETTINGS), NOT_SIGNED),  # a short hash where a long one is due
        (post(token="another"), WRONG_KEY),
        (post(token=SUB_TOKEN), WRONG_KEY),  # another account's
        (replace(post(), body=post().body + b"0"), WRONG_KEY),
        (replace(post(), body=post().body + b"&Digits=1"), WRONG_KEY),
        (replace(post(), target=TARGET + "?a=1"), WRONG_KEY),
        (replace(post(), target=TARGET.replace("+", "%2B")), WRONG_KEY),
        (post(url="http://gateway.example.com" + TARGET), WRONG_KEY),  # another scheme
        (post(url="https://other.example.com" + TARGET), WRONG_KEY),  # another host
        (post(url="https://gateway.example.com:8443" + TARGET), WRONG_KEY),
        (post(FIELDS | {"AccountSid": "AC" + "2" * 32}), UNKNOWN_ACCOUNT),
        (post(settings=SETTINGS), WRONG_KEY),  # an account's token is no shared key
        (post(settings="key=key_2,algorithm=HMAC_SHA256", token=SHARED), UNKNOWN_KEY),
        (post(settings="algorithm=HMAC_SHA256", token=SHARED), UNKNOWN_KEY),
        (replace(post(settings=SETTINGS), settings="key=key_1,algorithm=MD5"), WRONG_ALGORITHM),
        (replace(post(settings=SETTINGS), settings="key=key_1"), WRONG_ALGORITHM),
        (replace(post(), body=b"AccountSid=%FF"), NOT_TEXT),
        (replace(post(), body=b"AccountSid=\xff"), NOT_TEXT),
        (replace(post(), target="/\u00fc"), NOT_TEXT),
        (post({**FIELDS, "ParentCallSid": "\0"}), NOT_TEXT),  # no database takes it
        (post({**FIELDS, "\0": "1"}), NOT_TEXT),
        (post(url=f"{PUBLIC}/%00", target="/%00"), NOT_TEXT),
        (post(url=f"{PUBLIC}/?a=%00", target="/?a=%00"), NOT_TEXT),
        (replace(post(), body=b"&".join([b"a=1"] * 501)), NOT_TEXT),
        (replace(post(), content_type="application/json"), NO_HASH),
    ],
)
def test_all_else_is_refused(request_: Received, why: Refused) -> None:
    assert check(PUBLIC, request_, KEYS) is why


@pytest.mark.parametrize("token", [TOKEN, NEXT])
def test_both_tokens_pass_while_they_are_changed(token: str) -> None:
    assert check(PUBLIC, post(token=token), KEYS) == Believed(FIELDS)


def test_a_subaccount_signs_with_its_own_token() -> None:
    fields = FIELDS | {"AccountSid": SUB}
    assert check(PUBLIC, post(fields, token=SUB_TOKEN), KEYS) == Believed(fields)
    assert check(PUBLIC, post(fields, token=TOKEN), KEYS) is WRONG_KEY


def test_a_shared_key_signs_by_the_longer_hash() -> None:
    assert check(PUBLIC, post(token=SHARED, settings=SETTINGS), KEYS) == Believed(FIELDS)
    spaced = "algorithm=hmac_sha256, key=key_1"
    assert check(PUBLIC, replace(post(token=SHARED, settings=SETTINGS), settings=spaced), KEYS)


@pytest.mark.parametrize("public", [PUBLIC, PUBLIC + ":443", PUBLIC + "/"])
@pytest.mark.parametrize("port", ["", ":443"])
def test_with_a_port_and_without(public: str, port: str) -> None:
    """Voice webhooks are signed without the port, other callbacks with it."""
    request = post(url=f"{PUBLIC}{port}{TARGET}")
    assert check(public.rstrip("/"), request, KEYS) == Believed(FIELDS)


@pytest.mark.parametrize("port", ["", ":8443"])
def test_a_port_of_our_own(port: str) -> None:
    request = post(url=f"{PUBLIC}{port}{TARGET}")
    assert check(PUBLIC + ":8443", request, KEYS) == Believed(FIELDS)


def test_a_proxy_that_puts_us_below_a_path() -> None:
    request = post(url=f"{PUBLIC}/calls{TARGET}")
    assert check(PUBLIC + "/calls", request, KEYS) == Believed(FIELDS)


def test_an_ipv6_host_has_its_colons() -> None:
    assert urls("https://[2001:db8::1]:8443", "/x") == (
        "https://[2001:db8::1]/x",
        "https://[2001:db8::1]:8443/x",
    )


def test_a_get_has_its_parameters_in_the_url_alone() -> None:
    target = TARGET + "?" + urlencode(FIELDS)
    signature = RequestValidator(TOKEN).compute_signature(PUBLIC + target, {})
    request = Received(target=target, signature=signature)
    assert check(PUBLIC, request, KEYS) == Believed(FIELDS)
    shuffled = TARGET + "?" + urlencode(dict(reversed(FIELDS.items())))
    assert check(PUBLIC, replace(request, target=shuffled), KEYS) is WRONG_KEY


def test_the_same_field_twice_is_signed_once_and_another_value_too() -> None:
    fields = [*FIELDS.items(), ("Digits", "2"), ("Digits", "1"), ("Digits", "2"), ("Blank", "")]
    found = check(PUBLIC, post(fields), KEYS)
    assert isinstance(found, Believed)
    assert (found.params["Digits"], found.params["Blank"]) == ("2", "")


def test_json_is_signed_by_its_hash() -> None:
    body = json.dumps({"text": "ü"}).encode()
    target = f"/webhooks/twilio/status?bodySHA256={hashlib.sha256(body).hexdigest()}"
    signature = RequestValidator(TOKEN).compute_signature(PUBLIC + target, {})
    kind = "application/json"
    request = Received(target=target, signature=signature, content_type=kind, body=body)
    assert isinstance(check(PUBLIC, request, KEYS), Believed)
    assert check(PUBLIC, replace(request, body=body + b" "), KEYS) is WRONG_HASH
    assert check(PUBLIC, replace(request, body=b"\xff"), KEYS) is WRONG_HASH


def test_a_socket_is_signed_by_its_own_scheme() -> None:
    """twilio.com/docs/voice/media-streams: the exact wss:// URL, and no parameters."""
    url = "wss://gateway.example.com/twilio/media/token"
    signature = RequestValidator(SUB_TOKEN).compute_signature(url, {})
    request = Received(target="/twilio/media/token", signature=signature, socket=True)
    assert isinstance(check(PUBLIC, request, KEYS), Believed)
    assert check(PUBLIC, replace(request, socket=False), KEYS) is WRONG_KEY
    assert check(PUBLIC, replace(request, target="/twilio/media/other"), KEYS) is WRONG_KEY


def test_what_nobody_can_have_signed_is_known_before_its_body() -> None:
    assert before_body(Received(target="/", signature="")) is NOT_SIGNED
    assert before_body(post()) is None


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(
    fields=st.lists(st.tuples(TEXTS, TEXTS), max_size=8),
    path=st.text("abcXYZ0189+-._~%2F/", max_size=20).filter(lambda path: "%00" not in path),
    query=st.dictionaries(st.text("abc", min_size=1), TEXTS, max_size=3),
    port=st.sampled_from(["", ":443", ":8443"]),
    sha256=st.booleans(),
)
def test_twilios_own_signer_agrees(
    fields: list[tuple[str, str]],
    path: str,
    query: dict[str, str],
    port: str,
    sha256: bool,
) -> None:
    """And its validator believes what ours believes."""
    fields = [("AccountSid", MAIN), *((name + "_", value) for name, value in fields)]
    target = f"/{path}" + ("?" + urlencode(query) if query else "")
    url = f"https://gateway.example.com{port}{target}"
    settings, token = (SETTINGS, SHARED) if sha256 else ("", TOKEN)
    request = post(fields, token=token, url=url, target=target, settings=settings)
    ours = signature_of(url, fields, token, "sha256" if sha256 else "sha1")
    assert ours == request.signature
    public = "https://gateway.example.com" + port
    assert isinstance(check(public, request, KEYS), Believed)
    forged = replace(request, body=request.body + f"&{quote_plus('new')}=1".encode())
    assert check(public, forged, KEYS) is WRONG_KEY
