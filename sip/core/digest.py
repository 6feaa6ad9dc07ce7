"""Digest authentication, both roles (RFC 3261 22, RFC 7616, RFC 8760).

Pure: nonces are made of `now` and a secret, client nonces are passed in.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final

from sip.core.auth_header import AuthHeader
from sip.core.header_values import escape, unescape
from sip.core.uri import Uri
from sip.errors import ParseError

# --- the computation ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One value of the algorithm parameter; `session` mixes the nonces into A1 (RFC 7616 3.4.2)."""

    name: str
    hash_name: str
    session: bool = False

    def hash(self, data: str | bytes) -> str:
        raw = data.encode(errors="replace") if isinstance(data, str) else data
        return hashlib.new(self.hash_name, raw, usedforsecurity=False).hexdigest()


#: What we can compute, strongest first.
ALGORITHMS: Final = {
    a.name.lower(): a
    for a in (
        Algorithm("SHA-256", "sha256"),
        Algorithm("SHA-256-sess", "sha256", session=True),
        Algorithm("MD5", "md5"),
        Algorithm("MD5-sess", "md5", session=True),
    )
}


@dataclass(frozen=True, slots=True)
class _Inputs:
    """All that a response is computed from besides the password. Without `qop`: RFC 2069."""

    algorithm: Algorithm
    method: str
    uri: str
    username: str
    realm: str
    nonce: str
    qop: str = ""
    cnonce: str = ""
    nc: str = ""
    body: bytes = b""

    def response(self, password: str) -> str:
        """The response parameter that proves `password` (RFC 7616 3.4.1)."""
        h = self.algorithm.hash
        secret = h(f"{self.username}:{self.realm}:{password}")
        if self.algorithm.session:
            secret = h(f"{secret}:{self.nonce}:{self.cnonce}")
        request = f"{self.method}:{self.uri}"
        if self.qop == "auth-int":
            request += f":{h(self.body)}"
        count = f"{self.nc}:{self.cnonce}:{self.qop}:" if self.qop else ""
        return h(f"{secret}:{self.nonce}:{count}{h(request)}")


def _digest_headers(values: Iterable[str]) -> list[dict[str, str]]:
    """The parameters of the Digest lines; other schemes and what cannot be read are left out."""
    found = []
    for value in values:
        with suppress(ParseError):
            found += [h.params for h in AuthHeader.parse_all(value) if h.scheme == "digest"]
    return found


# --- client ------------------------------------------------------------------------------------


def answer_challenges(
    values: list[str],
    *,
    method: str,
    uri: str,
    username: str,
    password: str,
    cnonce: str,
    nonce_count: int = 1,
    body: bytes = b"",
    realm: str | None = None,
) -> str | None:
    """The (Proxy-)Authorization value that answers the strongest challenge among those we can.

    `values` are the lines of the (Proxy-)Authenticate header; with a `realm`, only its challenges
    are answered. None when all are of a scheme, algorithm, quality of protection or realm that we
    cannot answer.
    """
    challenges = [
        c
        for c in _digest_headers(values)
        if _answerable(c) and realm in (None, unescape(c["realm"]))
    ]
    if not challenges:
        return None
    strength = list(ALGORITHMS)
    challenge = min(challenges, key=lambda c: strength.index(_algorithm_key(c)))
    algorithm = ALGORITHMS[_algorithm_key(challenge)]
    qop = _choose_qop(challenge) or ""
    inputs = _Inputs(
        algorithm, method, uri, escape(username), challenge["realm"], challenge["nonce"],
        qop, cnonce, f"{nonce_count:08x}", body,
    )  # fmt: skip
    return _authorization(challenge, inputs, inputs.response(password))


def _algorithm_key(params: Mapping[str, str]) -> str:
    return params.get("algorithm", "MD5").lower()


def _answerable(challenge: Mapping[str, str]) -> bool:
    return (
        "realm" in challenge
        and "nonce" in challenge
        and _algorithm_key(challenge) in ALGORITHMS
        and _choose_qop(challenge) is not None
    )


def _choose_qop(challenge: Mapping[str, str]) -> str | None:
    """auth before auth-int, "" when the server asks for neither, None for one we do not know."""
    offered = [qop.strip().lower() for qop in challenge.get("qop", "").split(",")]
    return next((qop for qop in ("auth", "auth-int", "") if qop in offered), None)


def _authorization(challenge: Mapping[str, str], inputs: _Inputs, response: str) -> str:
    quoted = {
        "username": inputs.username,
        "realm": inputs.realm,
        "nonce": inputs.nonce,
        "uri": inputs.uri,
        "response": response,
    }
    bare: dict[str, str] = {}
    if "algorithm" in challenge:
        bare["algorithm"] = inputs.algorithm.name
    if inputs.qop or inputs.algorithm.session:
        quoted["cnonce"] = inputs.cnonce
    if inputs.qop:
        bare |= {"qop": inputs.qop, "nc": inputs.nc}
    if "opaque" in challenge:
        quoted["opaque"] = challenge["opaque"]
    return "Digest " + ", ".join(
        [f'{name}="{value}"' for name, value in quoted.items()]
        + [f"{name}={value}" for name, value in bare.items()]
    )


# --- server ------------------------------------------------------------------------------------


class Outcome(Enum):
    ABSENT = "absent"
    """no credentials for our realm: challenge"""
    OK = "ok"
    STALE = "stale"
    """right password, but a nonce that is too old or was used before: challenge, stale=true"""
    WRONG = "wrong"
    """wrong password, user or target: challenge, and count it"""


@dataclass(frozen=True, slots=True)
class AuthResult:
    """`username` is who the sender says it is, "" when it does not; proven only with OK."""

    outcome: Outcome
    username: str = ""


class DigestServer:
    """Challenges, and checks what comes back.

    Nonces carry their time under a keyed hash, so that none need be kept: `secret` shall be long
    and random, and may be shared by several servers. `nonce_lifetime_s` is in seconds, `now` in
    seconds of any one clock. What is kept is the highest nonce count of each client nonce that
    proved its password, for as long as its nonce lives: a response is good for one request.
    `algorithms` are offered in that order; a peer that reads the first challenge only, as those
    from before RFC 8760 may, is given `("MD5",)`.
    """

    MAX_REMEMBERED: Final = 65536

    def __init__(
        self,
        realm: str,
        secret: bytes,
        nonce_lifetime_s: float = 60,
        algorithms: Iterable[str] = ("SHA-256", "MD5"),
    ) -> None:
        self.realm = realm
        self._algorithms = [ALGORITHMS[name.lower()].name for name in algorithms]
        self._secret = secret
        self._lifetime_s = nonce_lifetime_s
        self._used: OrderedDict[tuple[str, str, str], tuple[float, int]] = OrderedDict()
        self._forgotten_s = float("-inf")  # nonces made until then are no longer good

    def challenge(self, now: float, *, stale: bool = False) -> list[str]:
        """The lines of WWW- or Proxy-Authenticate, in order of preference (RFC 8760 2.3)."""
        tail = ", stale=true" if stale else ""
        fields = f'realm="{escape(self.realm)}", nonce="{self._make_nonce(now)}", qop="auth"'
        return [f"Digest {fields}, algorithm={name}{tail}" for name in self._algorithms]

    def verify(
        self,
        authorization_values: list[str],
        method: str,
        passwords: Mapping[str, str],
        now: float,
        request_uri: str,
    ) -> AuthResult:
        """Whether one of the (Proxy-)Authorization lines proves a password.

        The digest covers the uri parameter; of that, the user part must be the Request-URI's where
        both have one, so that nothing proven for one number can dial another. The rest may differ:
        proxies rewrite the host, some clients put the server there, and devices sign a REGISTER
        with their account's user (RFC 3261 22.4 rule 5 leaves this to us).
        """
        realm = escape(self.realm)
        answers = [a for a in _digest_headers(authorization_values) if a.get("realm") == realm]
        result = AuthResult(Outcome.ABSENT)
        for answer in answers:
            result = self._verify_one(answer, method, passwords, now, request_uri)
            if result.outcome is Outcome.OK:
                break
        return result

    def _verify_one(
        self,
        answer: Mapping[str, str],
        method: str,
        passwords: Mapping[str, str],
        now: float,
        request_uri: str,
    ) -> AuthResult:
        username = unescape(answer.get("username", ""))
        inputs = _claimed(answer, method)
        if (
            inputs is None
            or inputs.algorithm.name not in self._algorithms
            or not _same_user(inputs.uri, request_uri)
        ):
            return AuthResult(Outcome.WRONG, username)
        password = passwords.get(username)
        # An unknown user costs as much time as a wrong password.
        expected = inputs.response("" if password is None else password)
        given = answer.get("response", "").lower()
        if not hmac.compare_digest(expected.encode(), given.encode()) or password is None:
            return AuthResult(Outcome.WRONG, username)
        fresh = self._use_nonce(inputs, now)
        return AuthResult(Outcome.OK if fresh else Outcome.STALE, username)

    def _use_nonce(self, inputs: _Inputs, now: float) -> bool:
        """Marks a nonce count as used; false when the nonce is not ours, too old or used before."""
        made_s = self._read_nonce(inputs.nonce)
        if made_s is None or not max(now - self._lifetime_s, self._forgotten_s) < made_s <= now:
            return False
        # Clients of RFC 2069 do not count: for them a nonce is good once.
        count = int(inputs.nc, 16) if inputs.qop else 1
        key = (inputs.nonce, inputs.username, inputs.cnonce)
        if count <= self._used.get(key, (made_s, 0))[1]:
            return False
        self._used[key] = (made_s, count)
        self._forget(now)
        return True

    def _forget(self, now: float) -> None:
        while self._used:
            key, (made_s, _) = next(iter(self._used.items()))
            expired = made_s <= now - self._lifetime_s
            if not expired and len(self._used) <= self.MAX_REMEMBERED:
                break
            del self._used[key]
            if not expired:
                self._forgotten_s = max(self._forgotten_s, made_s)

    def _make_nonce(self, now: float) -> str:
        stamp = f"{int(now * 1000):x}"
        return f"{stamp}.{self._seal(stamp)}"

    def _read_nonce(self, nonce: str) -> float | None:
        """When we made it, None when we did not."""
        stamp, _, seal = nonce.partition(".")
        if not hmac.compare_digest(seal.encode(), self._seal(stamp).encode()):
            return None
        return int(stamp, 16) / 1000

    def _seal(self, stamp: str) -> str:
        return hmac.digest(self._secret, f"{stamp}:{self.realm}".encode(), "sha256").hex()[:32]


#: Eight digits (RFC 7616 3.4), of which devices leave out zeroes.
_NONCE_COUNT: Final = re.compile(r"[0-9A-Fa-f]{1,8}")


def _claimed(answer: Mapping[str, str], method: str) -> _Inputs | None:
    """What a response says it was computed from; None when that is not what we offered."""
    algorithm = ALGORITHMS.get(_algorithm_key(answer))
    qop = answer.get("qop", "").lower()
    counted = qop == "auth" and _NONCE_COUNT.fullmatch(answer.get("nc", "")) is not None
    if algorithm is None or not (counted or qop == ""):
        return None
    return _Inputs(
        algorithm, method, answer.get("uri", ""), answer.get("username", ""), answer["realm"],
        answer.get("nonce", ""), qop, answer.get("cnonce", "") if qop else "", answer.get("nc", ""),
    )  # fmt: skip


def _same_user(digest_uri: str, request_uri: str) -> bool:
    """Whether a proof made for one URI can dial nothing by the other."""
    try:
        called = Uri.parse(request_uri).user
        if called is None:
            return True
        signed = digest_uri if _SCHEME.match(digest_uri) else f"sip:{digest_uri}"
        return Uri.parse(signed).user in (None, called)
    except ParseError:
        return False


_SCHEME: Final = re.compile(r"(?:sips?|tel):", re.IGNORECASE)
