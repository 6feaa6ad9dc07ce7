"""Twilio's signatures on the wire: what a request says of itself counts for nothing, and each part
that is signed counts to the letter. The signer is Twilio's own library."""

import asyncio
import hashlib
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from multidict import MultiDict
from twilio.request_validator import RequestValidator
from yarl import URL

from gateway.http import bodies
from tests.gateway.conftest import DIAL_DID, Retell
from tests.gateway.twilio.conftest import StartTwilio
from tests.gateway.twilio.vendor import PUBLIC, SUB, TOKEN, Twilio, call_of

VOICE = f"/webhooks/twilio/voice/{DIAL_DID}"
FORM = "application/x-www-form-urlencoded; charset=UTF-8"
Fields = list[tuple[str, str]]


def signature(url: str, fields: Fields | None = None, token: str = TOKEN) -> str:
    return str(RequestValidator(token).compute_signature(url, MultiDict(fields or [])))


async def answered(
    twilio: Twilio,
    target: str = VOICE,
    body: bytes = b"",
    *headers: tuple[str, str],
    method: str = "POST",
) -> int:
    """The status of the answer; a header may stand there twice."""
    kind = () if any(name == "Content-Type" for name, _ in headers) else (("Content-Type", FORM),)
    async with twilio.gateway.http.request(
        method,
        URL(twilio.gateway.url + target, encoded=True),
        data=body or None,
        headers=MultiDict([*headers, *(kind if body else ())]),
    ) as response:
        return response.status


def form(**more: str) -> Fields:
    return list(call_of(**more).items())


def signed(url: str = PUBLIC + VOICE, fields: Fields | None = None) -> tuple[str, str]:
    return "X-Twilio-Signature", signature(url, form() if fields is None else fields)


BODY = urlencode(form()).encode()
LIES = [
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Port", "8443"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X-Original-URL", "/evil"),
    ("Forwarded", "proto=http;host=evil.example"),
    ("Host", "evil.example"),
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie[0])
async def test_what_a_request_says_of_its_url_counts_for_nothing(
    twilio: Twilio, lie: tuple[str, str]
) -> None:
    """Whoever sends it could choose the URL that the signature is of."""
    assert await answered(twilio, VOICE, BODY, signed(), lie) == 200
    for base in ("http://gateway.example.com", "https://evil.example", "https://evil.example:8443"):
        assert await answered(twilio, VOICE, BODY, signed(base + VOICE), lie) == 403
    assert await answered(twilio, VOICE, BODY, signed(f"{PUBLIC}/evil"), lie) == 403


@pytest.mark.parametrize(
    ("public", "urls"),
    [
        ("https://gateway.example.com:443", [PUBLIC, f"{PUBLIC}:443"]),
        ("https://gateway.example.com:8443", [PUBLIC, f"{PUBLIC}:8443"]),
        ("https://[2001:db8::1]", ["https://[2001:db8::1]", "https://[2001:db8::1]:443"]),
        ("https://[2001:db8::1]:8443", ["https://[2001:db8::1]", "https://[2001:db8::1]:8443"]),
        ("https://gateway.example.com/calls", [f"{PUBLIC}/calls", f"{PUBLIC}:443/calls"]),
    ],
)
async def test_each_form_of_the_public_url(
    start_twilio: StartTwilio, public: str, urls: list[str]
) -> None:
    """twilio.com/docs/usage/webhooks/webhooks-security: some callbacks have the port, some not."""
    http = {"admin_token": "admin-token", "public_url": public}
    twilio = await start_twilio(sections={"http": http})
    for url in urls:
        by_hand = RequestValidator(TOKEN).compute_signature(url + VOICE, MultiDict(form()))
        assert await answered(twilio, VOICE, BODY, ("X-Twilio-Signature", by_hand)) == 200
    for url in ("http://gateway.example.com", f"{PUBLIC}:444", "https://[2001:db8::2]"):
        assert await answered(twilio, VOICE, BODY, signed(url + VOICE)) == 403


async def test_the_path_is_signed_as_it_is_written(twilio: Twilio, retell: Retell) -> None:
    """A plus and its code are the same number, and two URLs."""
    coded = VOICE.replace("+", "%2B")
    assert await answered(twilio, coded, BODY, signed(PUBLIC + coded)) == 200
    assert retell.requests[0]["to_number"] == DIAL_DID
    assert await answered(twilio, coded, BODY, signed()) == 403
    assert await answered(twilio, VOICE, BODY, signed(PUBLIC + coded)) == 403
    for other in (VOICE + "/", VOICE + "?a=1", "/" + VOICE, VOICE + "%20"):
        assert await answered(twilio, other, BODY, signed()) in (403, 404), other


SPACED = [*form(), ("Caller Name", "A+B C&D=E ü"), ("Digits", ""), ("Blank", " ")]


@pytest.mark.parametrize(
    "body",
    [
        urlencode(SPACED),
        urlencode(SPACED).replace("+", "%20"),
        urlencode(list(reversed(SPACED))),
        urlencode([*SPACED, *SPACED]),  # the same pair twice is signed once
        urlencode(SPACED).replace("%2B", "%2b"),
    ],
    ids=["plus", "%20", "reversed", "doubled", "small letters"],
)
async def test_a_form_is_signed_as_it_is_read(twilio: Twilio, body: str) -> None:
    assert await answered(twilio, VOICE, body.encode(), signed(fields=SPACED)) == 200


@pytest.mark.parametrize(
    "other",
    [
        [*SPACED[:-1]],
        [*SPACED, ("Blank", "  ")],
        [*SPACED, ("New", "")],
        [("A", "") if one == ("Digits", "") else one for one in SPACED],
        [(name.lower(), value) for name, value in SPACED],
    ],
    ids=["one less", "another value", "one more", "another name", "small letters"],
)
async def test_another_form_is_not_believed(twilio: Twilio, other: Fields) -> None:
    assert await answered(twilio, VOICE, urlencode(other).encode(), signed(fields=SPACED)) == 403


async def test_values_of_one_name_come_in_any_order(twilio: Twilio) -> None:
    fields = [*form(), ("Digits", "2"), ("Digits", "1"), ("Digits", "2")]
    for body in (fields, list(reversed(fields)), sorted(set(fields))):
        assert await answered(twilio, VOICE, urlencode(body).encode(), signed(fields=fields)) == 200


async def test_json_is_signed_by_its_hash(twilio: Twilio) -> None:
    body = json.dumps({"text": "ü"}).encode()
    fields = urlencode(form())
    target = f"{VOICE}?{fields}&bodySHA256={hashlib.sha256(body).hexdigest()}"
    ours = ("X-Twilio-Signature", signature(PUBLIC + target))
    kind = ("Content-Type", "application/json")
    assert await answered(twilio, target, body, ours, kind) == 200
    assert await answered(twilio, target, body + b" ", ours, kind) == 403
    assert await answered(twilio, target, body, ours, ("Content-Type", FORM)) == 403
    bare = f"{VOICE}?{fields}"
    unhashed = ("X-Twilio-Signature", signature(PUBLIC + bare))
    assert await answered(twilio, bare, body, unhashed, kind) == 403


async def test_a_get_has_its_parameters_in_the_url(twilio: Twilio) -> None:
    target = f"{VOICE}?{urlencode(form())}"
    ours = ("X-Twilio-Signature", signature(PUBLIC + target))
    assert await answered(twilio, target, b"", ours, method="GET") == 200
    for other in (
        f"{VOICE}?{urlencode(list(reversed(form())))}",
        target + "&Digits=1",
        target.replace("%2B", "%2b"),
        VOICE,
    ):
        assert await answered(twilio, other, b"", ours, method="GET") == 403
    # nor does a form beside it say anything that was not signed
    assert await answered(twilio, target, b"Digits=1", ours) == 403


async def test_there_is_one_signature(twilio: Twilio) -> None:
    """Of two, whoever stands before us might have looked at the other one."""
    right, wrong = signed(), ("X-Twilio-Signature", signature(PUBLIC, token="another"))
    small = (right[0].lower(), right[1])
    assert await answered(twilio, VOICE, BODY, small) == 200
    for pair in ((right, wrong), (wrong, right), (right, right), (small, wrong)):
        assert await answered(twilio, VOICE, BODY, *pair) == 403
    joined = (right[0], f"{right[1]}, {wrong[1]}")
    assert await answered(twilio, VOICE, BODY, joined) == 403
    settings = ("X-Twilio-Webhooks-Signature-Settings", "key=k,algorithm=HMAC_SHA256")
    assert await answered(twilio, VOICE, BODY, right, settings) == 403


async def test_a_subaccount_speaks_for_itself_alone(twilio: Twilio) -> None:
    """Its token signs none of the account's calls, nor the account's its."""
    theirs = form(AccountSid=SUB)
    body = urlencode(theirs).encode()
    assert await answered(twilio, VOICE, body, signed(fields=theirs)) == 403
    mine = ("X-Twilio-Signature", signature(PUBLIC + VOICE, form(), "token-sub"))
    assert await answered(twilio, VOICE, BODY, mine) == 403


async def test_a_body_beyond_all_measure(twilio: Twilio) -> None:
    """Whether it says so or not; what nobody can have signed is not even read."""

    async def send(size: int, *headers: tuple[str, str], chunked: bool) -> int:
        async def chunks() -> Any:
            for _ in range(size >> 16):
                yield bytes(1 << 16)

        data: Any = chunks() if chunked else bytes(size)
        url = URL(twilio.gateway.url + VOICE, encoded=True)
        kind = ("Content-Type", FORM)
        async with twilio.gateway.http.post(
            url, data=data, headers=MultiDict([*headers, kind])
        ) as response:
            return response.status

    async with asyncio.timeout(20):
        assert await send(bodies.MAX_BODY + (1 << 16), signed(), chunked=True) == 413
        assert await send(1 << 16, chunked=True) == 403
    many = urlencode([*form(), *((f"F{number}", "x") for number in range(600))]).encode()
    assert await answered(twilio, VOICE, many, signed()) == 400
    assert twilio.gateway.app[bodies.BODIES].held == 0
