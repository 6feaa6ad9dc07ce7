"""Our digests for requests that several parties may challenge (RFC 3261 22.2, 22.3).

A server asks by 401 and a proxy before it by 407; the request that satisfies both carries both
answers, each made for the newest challenge of its party. Later requests of the same Call-ID carry
them too, counted. Pure: client nonces are passed in.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sip.core.auth_header import AuthHeader
from sip.core.digest import answer_challenges
from sip.core.message import Response
from sip.errors import ParseError

#: The challenge's header and the one that answers it, by status.
_HEADERS: Final = {
    401: ("www-authenticate", "authorization"),
    407: ("proxy-authenticate", "proxy-authorization"),
}
#: Times that a party may call its nonce stale for one request (RFC 7616 3.3).
MAX_STALE: Final = 2


@dataclass(slots=True)
class _Challenge:
    values: list[str]
    stale: int = 0
    used: int = 0


@dataclass(slots=True)
class Proofs:
    """One user name and password, and what they are to be proven against.

    With a `realm`, they are shown to that realm alone.
    """

    username: str
    password: str = field(repr=False)
    realm: str | None = None
    _challenges: dict[int, _Challenge] = field(default_factory=dict, repr=False)

    def learn(self, response: Response, *, anew: bool = False) -> bool:
        """Take a challenge; False when answering it would be in vain.

        In vain is what we cannot compute, a foreign realm, and the same question again though our
        answer was in time: the password is wrong. `anew`: this request has not been challenged
        before; what it carried was for an earlier one, whose nonce may have expired.
        """
        if response.status not in _HEADERS:
            return False
        values = response.headers.get_all(_HEADERS[response.status][0])
        if self._answer(values, response.cseq.method, "sip:unused", "unused", 1) is None:
            return False
        before = self._challenges.get(response.status)
        if anew or before is None or not before.used:
            self._challenges[response.status] = _Challenge(values)
            return True
        if not _stale(values) or before.stale == MAX_STALE:
            return False
        self._challenges[response.status] = _Challenge(values, before.stale + 1)
        return True

    def answered(self, status: int) -> bool:
        """Whether a challenge by `status` was answered before."""
        return status in self._challenges

    def headers(
        self, method: str, uri: str, cnonce: Callable[[], str], body: bytes = b""
    ) -> list[tuple[str, str]]:
        """The header fields that answer every party that has challenged us."""
        found = []
        for status, challenge in self._challenges.items():
            challenge.used += 1
            value = self._answer(challenge.values, method, uri, cnonce(), challenge.used, body)
            if value is not None:
                found.append((_HEADERS[status][1], value))
        return found

    def forget(self) -> None:
        """A new request: whoever wants a digest will ask again."""
        self._challenges.clear()

    def _answer(
        self,
        values: list[str],
        method: str,
        uri: str,
        cnonce: str,
        nonce_count: int,
        body: bytes = b"",
    ) -> str | None:
        return answer_challenges(
            values,
            method=method,
            uri=uri,
            username=self.username,
            password=self.password,
            cnonce=cnonce,
            nonce_count=nonce_count,
            body=body,
            realm=self.realm,
        )


def _stale(values: list[str]) -> bool:
    return any(_params(value).get("stale", "").lower() == "true" for value in values)


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
