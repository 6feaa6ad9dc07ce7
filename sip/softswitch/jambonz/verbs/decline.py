"""`sip:decline`: refuses a call that is not answered yet, with a status of the application's."""

from typing import Final

from sip.b2bua.call_events import Headers
from sip.core.reasons import reason_phrase
from sip.core.value import frozen
from sip.softswitch.jambonz.session import Session, Verb
from sip.softswitch.jambonz.verbs.schema import ANY, Shape, VerbError, headers, text


@frozen(kw_only=True)
class Decline:
    """Without effect on a call that is answered, but as what a transfer has come to. `reason` is
    the phrase; RFC 3261's if None."""

    status: int
    reason: str | None = None
    headers: Headers = ()

    def run(self, session: Session) -> None:
        session.call.reject(self.status, self.reason, self.headers)
        session.note_outcome(self.status, self.reason or reason_phrase(self.status))


def _failure(what: str, key: str, value: object) -> int:
    if isinstance(value, int) and 300 <= value <= 699:
        return value
    raise VerbError(f"{what}: {key} must be a number from 300 to 699")


VERB: Final[Shape[Verb]] = Shape(
    "sip:decline",
    Decline,
    {
        **ANY,
        "status": ("status", _failure),
        "reason": ("reason", text),
        "headers": ("headers", headers),
    },
    required="status",
)
