"""A jambonz elsewhere as whoever places calls for the application."""

from collections.abc import Mapping
from typing import Any, Final

import structlog

from gateway.calls.switch import NotPlacedError
from gateway.jambonz.rest import JambonzRest, JambonzRestError, RestFailure

log = structlog.get_logger(__name__)

#: When to ask again whoever could not place a call now, in seconds.
AGAIN_S: Final = 5.0
#: Failures that pass by themselves, before any INVITE.
_PASSING: Final = frozenset({RestFailure.NO_SERVER, RestFailure.UNREACHABLE})
#: The SIP status that each comes to. After 5xx another carrier is tried: by the same jambonz, and
#: after what is uncertain that might be a second call.
_CODES: Final[Mapping[RestFailure, int]] = {
    RestFailure.UNAUTHORIZED: 403,
    RestFailure.REFUSED: 480,
    RestFailure.NO_SERVER: 503,
    RestFailure.UNREACHABLE: 503,
    RestFailure.UNCERTAIN: 480,
}


class JambonzSwitch:
    """A `Switch` by jambonz's REST API, which chooses the ids of calls itself."""

    def __init__(self, rest: JambonzRest) -> None:
        self._rest = rest

    async def place(self, body: Mapping[str, Any], call_sid: str) -> str:
        """As `Switch.place`."""
        try:
            return await self._rest.place(body)
        except JambonzRestError as error:
            raise NotPlacedError(
                str(error),
                code=_CODES[error.failure],
                cause=error.failure.value,
                retry_after_s=AGAIN_S if error.failure in _PASSING else None,
            ) from None

    async def give_up(self, call_sid: str) -> None:
        """As `Switch.give_up`."""
        try:
            await self._rest.give_up(call_sid)
        except JambonzRestError as error:
            log.warning("jambonz.not-given-up", call_sid=call_sid, error=str(error))
