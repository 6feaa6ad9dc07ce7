"""Retell's signatures: exactly the right ones pass, and Retell's own SDK agrees with each."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from multidict import MultiDict
from retell.lib import verify
from retell.lib.webhook_auth import symmetric

from tests.gateway.conftest import Gateway, Start
from tests.gateway.http.test_retell_webhooks import KEY, signature

BODY = '{"event":"call_ended","call":{"call_id":"call_1","transcript":"Gr\u00fc\u00dfe"}}'
OLD_KEY = "key_before"


def at(seconds: float) -> int:
    return int((time.time() + seconds) * 1000)


def upper(value: str) -> str:
    head, _, digest = value.partition("d=")
    return f"{head}d={digest.upper()}"


def reordered(value: str) -> str:
    """The time behind the digest."""
    time_, _, digest = value.partition(",")
    return f"{digest},{time_}"


#: Digits that are some to `int`, and none to Retell.
ARABIC = str.maketrans("0123456789", "".join(chr(0x660 + digit) for digit in range(10)))


#: What is sent, and whether it is Retell's: the body, and its signature at the time of the test.
VECTORS: dict[str, tuple[str, Callable[[], str | None], bool]] = {
    "right": (BODY, lambda: signature(BODY), True),
    "signed by the SDK": (BODY, lambda: str(symmetric["sign"](BODY, KEY)), True),
    "a byte altered": (BODY.replace("ended", "endeD"), lambda: signature(BODY), False),
    "written anew": (BODY.replace(":", ": "), lambda: signature(BODY), False),
    "another time": (BODY, lambda: signature(BODY).replace("v=1", "v=2", 1), False),
    "almost old": (BODY, lambda: signature(BODY, at_ms=at(-290)), True),
    "replayed": (BODY, lambda: signature(BODY, at_ms=at(-310)), False),
    "of the future": (BODY, lambda: signature(BODY, at_ms=at(310)), False),
    "wrong key": (BODY, lambda: signature(BODY, "key_other"), False),
    "no key": (BODY, lambda: signature(BODY, ""), False),
    "missing": (BODY, lambda: None, False),
    "empty": (BODY, lambda: "", False),
    "wrong scheme": (BODY, lambda: signature(BODY).replace("d=", "sha256="), False),
    "another form": (BODY, lambda: signature(BODY).replace(",", ";"), False),
    "capitals": (BODY, lambda: upper(signature(BODY)), False),
    "more behind it": (BODY, lambda: signature(BODY) + ",x=1", False),
    "a space before it": (BODY, lambda: "v= " + signature(BODY)[2:], False),
    "reordered": (BODY, lambda: reordered(signature(BODY)), False),
    "two": (BODY, lambda: f"{signature(BODY)},{signature(BODY)}", False),
    "two digests": (BODY, lambda: signature(BODY) + "," + signature(BODY).partition(",")[2], False),
    "in seconds": (BODY, lambda: signature(BODY, at_ms=int(time.time())), False),
    "before 1970": (BODY, lambda: signature(BODY, at_ms=-at(0)), False),
    "with a sign": (BODY, lambda: signature(BODY).replace("v=", "v=+", 1), False),
    "zeros before it": (BODY, lambda: signature(BODY).replace("v=", "v=00", 1), True),
    "a huge time": (BODY, lambda: signature(BODY, at_ms=10**400), False),
    "other digits": (BODY, lambda: signature(BODY).translate(ARABIC), False),
    "of nothing": (BODY, lambda: signature(""), False),
    "digest cut": (BODY, lambda: signature(BODY)[:-1], False),
}


async def status(gateway: Gateway, body: bytes, sign_: str | None, path: str) -> int:
    headers = {} if sign_ is None else {"X-Retell-Signature": sign_}
    url = f"{gateway.url}/webhooks/retell/{path}"
    async with gateway.http.post(url, data=body, headers=headers) as response:
        return response.status


@pytest.mark.parametrize("name", VECTORS)
async def test_a_vector(gateway: Gateway, name: str) -> None:
    body, make, right = VECTORS[name]
    value = make()
    assert await status(gateway, body.encode(), value, "events") == (204 if right else 401)
    if value is not None:
        assert verify(body, KEY, value) is right  # type: ignore[no-untyped-call]


async def test_a_body_that_is_no_utf_8_is_refused(gateway: Gateway) -> None:
    """Retell signs text. Whoever signs these bytes as Latin-1 is not Retell."""
    raw = BODY.encode("latin-1")
    assert await status(gateway, raw, signature(BODY), "events") == 400
    assert await status(gateway, raw, signature(raw.decode("latin-1")), "events") == 400


@pytest.mark.parametrize("path", ["events", "inbound", "function/transfer"])
async def test_every_webhook_wants_it(gateway: Gateway, path: str) -> None:
    assert await status(gateway, b"{}", None, path) == 401
    assert await status(gateway, b"{}", signature("{}", "key_other"), path) == 401


async def test_there_is_one_signature(gateway: Gateway) -> None:
    """Of two, whoever stands before us might have looked at the other one."""
    right, wrong = signature(BODY), signature(BODY, "key_other")
    url = f"{gateway.url}/webhooks/retell/events"
    for pair in ((right, wrong), (wrong, right), (right, right)):
        headers = MultiDict([("X-Retell-Signature", value) for value in pair])
        async with gateway.http.post(url, data=BODY.encode(), headers=headers) as response:
            assert response.status == 401
    headers = MultiDict([("x-retell-signature", right)])
    async with gateway.http.post(url, data=BODY.encode(), headers=headers) as response:
        assert response.status == 204


async def test_while_a_key_is_rotated_both_hold(start: Start) -> None:
    """The old key stands as that of a workspace more, until Retell signs by the new one."""
    login = {"username": "retell", "password": "secret"}
    old: dict[str, Any] = {"name": "before", "api_key": OLD_KEY, "login": {"username": "before"}}
    gateway = await start(retell={"api_key": KEY, "login": login, "workspaces": [old]})
    for key in (KEY, OLD_KEY):
        assert await status(gateway, BODY.encode(), signature(BODY, key), "events") == 204
    assert await status(gateway, BODY.encode(), signature(BODY, "key_other"), "events") == 401
