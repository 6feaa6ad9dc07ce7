"""Our own softswitch as whoever places calls for the application."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.calls.switch import NotPlacedError
from sip.softswitch.placing import PlaceError
from sip.softswitch.softswitch import Softswitch

#: When a trunk that has no room may have some again, in seconds.
NO_ROOM_S: Final = 1.0


class OwnSwitch:
    """A `Switch` of this process."""

    def __init__(self, softswitch: Softswitch) -> None:
        self._softswitch = softswitch

    async def place(self, body: Mapping[str, Any], call_sid: str) -> str:
        """As `Switch.place`."""
        try:
            return self._softswitch.place(body, call_sid=call_sid).call_sid
        except PlaceError as error:
            if error.status == 503:
                raise NotPlacedError(
                    str(error), code=503, cause="over-limit", retry_after_s=NO_ROOM_S
                ) from None
            raise NotPlacedError(str(error), code=500, cause="not-placed") from None

    async def give_up(self, call_sid: str) -> None:
        """As `Switch.give_up`."""
        self._softswitch.give_up(call_sid)
