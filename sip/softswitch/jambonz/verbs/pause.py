"""`pause`: waits, while the caller is attended to, before the next verb."""

import asyncio
from contextlib import suppress
from typing import Final

from sip.core.value import frozen
from sip.softswitch.jambonz.session import Session, Verb
from sip.softswitch.jambonz.verbs.schema import ANY, Shape, VerbError


@frozen(kw_only=True)
class Pause:
    """A caller who hangs up ends it. A call that is not answered stays so meanwhile."""

    length_s: float

    async def run(self, session: Session) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.length_s):
                await session.call.idle()


def _length(what: str, key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise VerbError(f"{what}: {key} must be a number of seconds")
    return float(value)


VERB: Final[Shape[Verb]] = Shape(
    "pause", Pause, {**ANY, "length": ("length_s", _length)}, required="length"
)
