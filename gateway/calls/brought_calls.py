"""Calls whose person another house has called for us, and brings to our own SIP side: each is then
known as the call that it is, and gets the agent that was wanted for it."""

from collections.abc import Callable

from gateway.calls.live_call import LiveCall
from gateway.calls.routing import Dialling
from gateway.jambonz.messages import NewCall
from gateway.value import frozen


@frozen(kw_only=True)
class Brought:
    """One that is awaited: it is known by `value` of `header`, which only we and that house know.

    `plan` calls the agent; it was made for this call alone. `came` is called when it is here,
    before anything becomes of it, and `watch` hears of each change after that.
    """

    header: str
    value: str
    call_id: str
    plan: Dialling
    came: Callable[[LiveCall], None]
    watch: Callable[[LiveCall], None]


class BroughtCalls:
    """Those that are awaited."""

    def __init__(self) -> None:
        self._awaited: dict[tuple[str, str], Brought] = {}

    def expect(self, one: Brought) -> None:
        """It may be here any moment."""
        self._awaited[one.header.lower(), one.value] = one

    def forget(self, header: str, value: str) -> None:
        """It comes no more."""
        self._awaited.pop((header.lower(), value), None)

    def claim(self, new: NewCall) -> Brought | None:
        """Which of them a call is, once; None where it is another one."""
        if not self._awaited:
            return None
        named = ((name.lower(), value) for name, value in new.headers.items())
        return next((one for key in named if (one := self._awaited.pop(key, None))), None)
