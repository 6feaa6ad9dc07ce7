"""Our digests for requests that several parties may challenge (RFC 3261 22.2, 22.3).

A server asks by 401, and each proxy before it by 407, with a realm of its own; the request that
satisfies all of them carries all answers, each made for the newest challenge of its realm. Later
requests of the same Call-ID carry them too, counted. Pure: client nonces are passed in.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sip.core.auth_header import AuthHeader
from sip.core.digest import answer_challenges
from sip.core.header_values import escape
from sip.core.message import Response
from sip.errors import ParseError

#: The challenge's header and the one that answers it, by status.
_HEADERS: Final = {
    401: ("www-authenticate", "authorization"),
    407: ("proxy-authenticate", "proxy-authorization"),
}
#: Times that a party may call its nonce stale for one request (RFC 7616 3.3).
MAX_STALE: Final = 2
#: Times that it may bring another nonce without that word: a request can meet another server of a
#: cluster, which does not know the nonce of the first. After that it is the password.
MAX_RENEWED: Final = 1
#: Realms that one request is answered to: a chain of more proxies is none.
MAX_REALMS: Final = 8

#: Status and realm: who asked.
Party = tuple[int, str]
#: How often each party's challenge was taken for one request, which began with an empty one.
Tried = Counter[Party]


@dataclass(slots=True)
class _Challenge:
    """What one party wants answered: its lines, of which the strongest counts."""

    values: list[str]
    nonces: frozenset[str]
    used: int = 0


@dataclass(slots=True)
class Proofs:
    """One user name and password, and what they are to be proven against.

    With a `realm`, they are shown to that realm alone.
    """

    username: str
    password: str = field(repr=False)
    realm: str | None = None
    _challenges: dict[Party, _Challenge] = field(default_factory=dict, repr=False)

    def learn(self, response: Response, tried: Tried) -> bool:
        """Take the challenges of a 401 or 407; False when answering them would be in vain.

        In vain is what we cannot compute, a foreign realm, and the same question again though our
        answer was in time: the password is wrong. `tried` belongs to the request: what it carried
        at first was for an earlier one, whose nonce may have expired.
        """
        if response.status not in _HEADERS:
            return False
        worth_it = False
        lines = response.headers.get_all(_HEADERS[response.status][0])
        for realm, challenge in _by_realm(lines).items():
            party = response.status, realm
            if not self._answerable(challenge) or not self._is_new(party, challenge, lines, tried):
                continue
            before = self._challenges.get(party)
            if before is not None and before.nonces == challenge.nonces:
                challenge.used = before.used  # a nonce's count goes on (RFC 7616 3.4)
            self._challenges[party] = challenge
            tried[party] += 1
            worth_it = True
        return worth_it

    def _is_new(self, party: Party, challenge: _Challenge, lines: list[str], tried: Tried) -> bool:
        before = self._challenges.get(party)
        if before is None:
            return len(self._challenges) < MAX_REALMS
        if not before.used or not tried[party]:
            return True
        if challenge.nonces <= before.nonces:
            return False
        return tried[party] <= (MAX_STALE if _stale(lines) else MAX_RENEWED)

    def _answerable(self, challenge: _Challenge) -> bool:
        return self._answer(challenge, "OPTIONS", "sip:unused", "unused", b"") is not None

    def answered(self, status: int) -> bool:
        """Whether a challenge by `status` was answered before."""
        return any(asked == status for asked, _ in self._challenges)

    def headers(
        self, method: str, uri: str, cnonce: Callable[[], str], body: bytes = b""
    ) -> list[tuple[str, str]]:
        """The header fields that answer every party that has challenged us."""
        found = []
        for (status, _), challenge in self._challenges.items():
            challenge.used += 1
            value = self._answer(challenge, method, uri, cnonce(), body)
            if value is not None:
                found.append((_HEADERS[status][1], value))
        return found

    def forget(self) -> None:
        """A new request: whoever wants a digest will ask again."""
        self._challenges.clear()

    def _answer(
        self, challenge: _Challenge, method: str, uri: str, cnonce: str, body: bytes
    ) -> str | None:
        return answer_challenges(
            challenge.values,
            method=method,
            uri=escape(uri),  # some peers' Contacts have quotes in them
            username=self.username,
            password=self.password,
            cnonce=cnonce,
            nonce_count=challenge.used or 1,
            body=body,
            realm=self.realm,
        )


def _by_realm(lines: list[str]) -> dict[str, _Challenge]:
    """The challenges of one response, by realm; what cannot be read is left out."""
    values: dict[str, list[str]] = {}
    nonces: dict[str, set[str]] = {}
    for line in lines:
        params = _params(line)
        realm = params.get("realm", "")
        values.setdefault(realm, []).append(line)
        nonces.setdefault(realm, set()).add(params.get("nonce", ""))
    return {realm: _Challenge(values[realm], frozenset(nonces[realm])) for realm in values}


def _stale(lines: list[str]) -> bool:
    return any(_params(line).get("stale", "").lower() == "true" for line in lines)


def _params(value: str) -> dict[str, str]:
    try:
        return AuthHeader.parse(value).params
    except ParseError:
        return {}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a trunk expects from us; with a `realm`, only there. The password is in no repr."""

    username: str
    password: str = field(repr=False)
    realm: str | None = None

    def proofs(self) -> Proofs:
        """What answers the challenges of one call (RFC 3261 22.3: never cached across dialogs)."""
        return Proofs(self.username, self.password, self.realm)
