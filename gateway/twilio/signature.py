"""Whether Twilio signed a request (twilio.com/docs/usage/webhooks/webhooks-security): pure.

What is signed is the URL that Twilio calls, and behind it each parameter of a form. The URL is that
of `http.public_url`, never one that the request itself tells (Host, X-Forwarded-Proto): whoever
sends it could choose those. A signature names no time: that the same request is acted on once is
its receiver's work.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

from gateway.value import frozen

HEADER: Final = "X-Twilio-Signature"
#: Where a shared key signs (twilio.com/docs/usage/webhooks/webhook-shared-keys).
SETTINGS_HEADER: Final = "X-Twilio-Webhooks-Signature-Settings"
FORM: Final = "application/x-www-form-urlencoded"
#: Fields of a form; a voice request has some 40.
MOST_FIELDS: Final = 500
_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
#: A socket is opened by an HTTP request, and signed by the URL of the socket.
_SOCKET: Final = {"http": "ws", "https": "wss"}


@frozen(kw_only=True)
class Received:
    """A request as it came. `target` is path and query as they were sent, nothing decoded;
    `socket`: it asks for a WebSocket."""

    target: str
    signature: str
    settings: str = ""
    content_type: str = ""
    body: bytes = b""
    socket: bool = False


@frozen(kw_only=True)
class Secrets:
    """What requests may be signed with: tokens by account, secrets by the shared key's id."""

    tokens: Mapping[str, tuple[str, ...]]
    shared: Mapping[str, str]


@frozen
class Refused:
    """`outcome`: a slug for log and metrics; `detail`: a sentence. `status` is the answer's."""

    outcome: str
    detail: str
    status: int = 403


@frozen
class Believed:
    """Twilio sent it: the parameters of its form, or of its URL where it has none."""

    params: Mapping[str, str]


NOT_SIGNED: Final = Refused("not-signed", f"{HEADER} is missing, or is no signature")
NOT_TEXT: Final = Refused(
    "not-text", f"URL or form is no UTF-8, has a NUL, or more than {MOST_FIELDS} fields", 400
)
NO_HASH: Final = Refused(
    "no-hash", "a body that is no form is signed by bodySHA256 in the URL, which is missing"
)
WRONG_HASH: Final = Refused("wrong-hash", "the body is not that of bodySHA256: it was changed")
WRONG_ALGORITHM: Final = Refused(
    "wrong-algorithm", f"{SETTINGS_HEADER} names another algorithm than HMAC_SHA256"
)
UNKNOWN_KEY: Final = Refused(
    "unknown-key", "the request is signed with a shared key that is not in twilio.shared_keys"
)
UNKNOWN_ACCOUNT: Final = Refused(
    "unknown-account",
    "the request is of an account that is neither twilio.account_sid nor in twilio.subaccounts",
)
WRONG_KEY: Final = Refused(
    "wrong-key",
    "the signature is of another key, another URL or another body: twilio.auth_token must be the"
    " account's own (a subaccount has its own, too), http.public_url the URL that Twilio calls,"
    " and a proxy must change neither path, query nor body",
)


def before_body(request: Received) -> Refused | None:
    """Why nobody needs to read the body; None if the signature may be right."""
    try:
        digest = base64.b64decode(request.signature, validate=True)
    except ValueError:
        return NOT_SIGNED
    wanted = hashlib.sha256 if request.settings else hashlib.sha1
    return None if len(digest) == wanted().digest_size else NOT_SIGNED


def check(public_url: str, request: Received, secrets: Secrets) -> Believed | Refused:
    """Whether one of ours at Twilio signed exactly this request."""
    refused = before_body(request)
    if refused is not None:
        return refused
    # a URL's other letters travel in ASCII (RFC 3986 2.1); no database has a text with a NUL
    if not request.target.isascii() or "%00" in request.target:
        return NOT_TEXT
    query = request.target.partition("?")[2]
    signed, params = _parameters(request, query)
    if isinstance(params, Refused):
        return params
    keys = _keys(request, params, secrets)
    if isinstance(keys, Refused):
        return keys
    digest = hashlib.sha256 if request.settings else hashlib.sha1
    tail = "".join(name + value for name, value in sorted(set(signed))).encode()
    given = request.signature.encode()
    # every one is compared, so that time tells nothing of which was near
    same = [
        hmac.compare_digest(_sign(key, url, tail, digest().name), given)
        for key in keys
        for url in urls(public_url, request.target, socket=request.socket)
    ]
    return Believed(params) if any(same) else WRONG_KEY


def urls(public_url: str, target: str, *, socket: bool = False) -> tuple[str, ...]:
    """The forms of the URL that may have been signed: without its port and with it, as Twilio does
    now this, now that."""
    parts = urlsplit(public_url)
    schemes = (_SOCKET[parts.scheme], parts.scheme) if socket else (parts.scheme,)
    host = parts.netloc.rpartition("@")[2]
    bare = host if parts.port is None else host.removesuffix(f":{parts.port}")
    port = parts.port or _PORTS[parts.scheme]
    path = parts.path.rstrip("/") + target
    hosts = (bare, f"{bare}:{port}")
    return tuple(f"{scheme}://{each}{path}" for scheme in schemes for each in hosts)


def signature_of(
    url: str, params: Iterable[tuple[str, str]], key: str, algorithm: str = "sha1"
) -> str:
    """As Twilio makes it: names in order, the same pair once."""
    tail = "".join(name + value for name, value in sorted(set(params))).encode()
    return _sign(key, url, tail, algorithm).decode()


def _sign(key: str, url: str, tail: bytes, algorithm: str) -> bytes:
    return base64.b64encode(hmac.digest(key.encode(), url.encode() + tail, algorithm))


def _parameters(
    request: Received, query: str
) -> tuple[Sequence[tuple[str, str]], Mapping[str, str] | Refused]:
    """What is signed behind the URL, and all parameters by name, the first of each."""
    in_url = _pairs(query.encode())
    if in_url is None:
        return (), NOT_TEXT
    if request.content_type.partition(";")[0].strip().lower() == FORM:
        form = _pairs(request.body)
        if form is None:
            return (), NOT_TEXT
        return form, dict(reversed([*form, *in_url]))
    if request.body:
        told = parse_qs(query).get("bodySHA256", [""])[0]
        if not told:
            return (), NO_HASH
        found = hashlib.sha256(request.body).hexdigest()
        if not hmac.compare_digest(found.encode(), told.encode()):
            return (), WRONG_HASH
    return (), dict(reversed(in_url))


def _pairs(text: bytes) -> list[tuple[str, str]] | None:
    """Blanks are kept: they are signed."""
    try:
        found = parse_qsl(
            text.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:  # which includes what is no UTF-8
        return None
    return None if any("\0" in name or "\0" in value for name, value in found) else found


def _keys(
    request: Received, params: Mapping[str, str], secrets: Secrets
) -> Sequence[str] | Refused:
    """Those that the request may be signed with."""
    if request.settings:
        told = dict(part.strip().partition("=")[::2] for part in request.settings.split(","))
        if told.get("algorithm", "").upper() != "HMAC_SHA256":
            return WRONG_ALGORITHM
        secret = secrets.shared.get(told.get("key", ""))
        return UNKNOWN_KEY if secret is None else (secret,)
    account = params.get("AccountSid")
    if account is None:  # a socket's request, and a body of JSON, name none
        return [token for tokens in secrets.tokens.values() for token in tokens]
    return secrets.tokens.get(account, UNKNOWN_ACCOUNT)
