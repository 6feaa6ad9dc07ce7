"""Our digest credentials towards peers that challenge us (RFC 3261 22)."""

from dataclasses import dataclass, field

from sip.core.auth import answer_challenges
from sip.core.message import Request, Response
from sip.ids import Ids

#: Challenge header and the header that answers it, by status.
_HEADERS = {
    401: ("www-authenticate", "authorization"),
    407: ("proxy-authenticate", "proxy-authorization"),
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a trunk expects from us; with a `realm`, only there. The password is in no repr."""

    username: str
    password: str = field(repr=False)
    realm: str | None = None

    def answer(self, request: Request, challenge: Response, ids: Ids) -> tuple[str, str] | None:
        """The header that answers `challenge` to `request`; None where we know no way to."""
        if challenge.status not in _HEADERS:
            return None
        asked, answered = _HEADERS[challenge.status]
        value = answer_challenges(
            challenge.headers.get_all(asked),
            method=request.method,
            uri=request.uri,
            username=self.username,
            password=self.password,
            cnonce=ids.cnonce(),
            body=request.body,
            realm=self.realm,
        )
        return None if value is None else (answered, value)
