"""`dtmf`: sends the caller keys, in whichever form its side has them."""

from typing import Final

import structlog

from sip.core.value import frozen
from sip.media.plane import MediaError
from sip.softswitch.jambonz.session import Session, Verb
from sip.softswitch.jambonz.verbs.schema import ANY, Shape, VerbError

log = structlog.get_logger(__name__)

#: How long a key is held, where the application does not say; at least; and at most.
DEFAULT_MS: Final = 500
MIN_MS: Final = 40
MAX_MS: Final = 5000
#: More than anybody sends at once.
MAX_KEYS: Final = 32

_KEYS: Final = frozenset("0123456789*#ABCD")


@frozen(kw_only=True)
class Dtmf:
    """`keys` one after another, each held for `duration_ms`. The call goes on if they fail."""

    keys: str
    duration_ms: int = DEFAULT_MS

    async def run(self, session: Session) -> None:
        await self.send(session, session.leg)

    async def send(self, session: Session, leg: str) -> None:
        """To the leg of that name."""
        try:
            await session.call.press(leg, self.keys, self.duration_ms)
        except MediaError as error:
            log.error("dtmf.failed", error=str(error), fault=error.fault.value, **session.log_ids)


def keys(what: str, key: str, value: object) -> str:
    """Keys to press."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_KEYS:
        raise VerbError(f"{what}: {key} must be 1 to {MAX_KEYS} keys")
    pressed = value.upper()
    if not _KEYS.issuperset(pressed):
        raise VerbError(f"{what}: {key} may hold 0-9, *, # and A-D")
    return pressed


def duration(what: str, key: str, value: object) -> int:
    """How long each is held."""
    if isinstance(value, bool) or not isinstance(value, int) or not MIN_MS <= value <= MAX_MS:
        raise VerbError(f"{what}: {key} must be a number of milliseconds, {MIN_MS} to {MAX_MS}")
    return value


VERB: Final[Shape[Verb]] = Shape(
    "dtmf",
    Dtmf,
    {**ANY, "dtmf": ("keys", keys), "duration": ("duration_ms", duration)},
    required="dtmf",
)
