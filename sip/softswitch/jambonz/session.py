"""The two faces between the driver and its verbs: what a verb is, and what it gets to work on."""

from collections.abc import Coroutine, Iterable
from typing import Any, Protocol

from sip.b2bua.call import Call
from sip.b2bua.call_events import Headers
from sip.core.value import frozen
from sip.softswitch.dialling.dialler import Dialler
from sip.softswitch.jambonz.amd import Amd
from sip.softswitch.jambonz.session_info import SessionInfo
from sip.softswitch.jambonz.sounds import Sounds

Json = dict[str, Any]


@frozen
class Dialled:
    """What the messages about a B-leg tell of its dial: the number, the caller that it is shown,
    and the application's tag of it; and by which trunk it goes."""

    number: str = ""
    caller_id: str = ""
    tag: Json | None = None
    trunk: str = ""


class Session(Protocol):
    """One call and its application, as a verb sees them."""

    dialler: Dialler
    #: what the application tagged the call with; every message after it brings it back
    customer_data: Json
    #: what can be played to it
    sounds: Sounds

    @property
    def call(self) -> Call: ...

    @property
    def leg(self) -> str:
        """The leg that verbs are about: the call's first, one that is transferred, or a callee that
        is asked whether it accepts."""

    @property
    def trunk(self) -> str:
        """The name of that leg's trunk."""

    @property
    def info(self) -> SessionInfo: ...

    @property
    def log_ids(self) -> dict[str, str]:
        """The keys that every log line of this call has."""

    async def ask(self, hook: str, data: Json, *, kind: str = "verb:hook") -> None:
        """Call a hook with `data`; verbs in its ack take the place of those that are left.

        A hook that fails, or brings bad verbs, is logged, and the verbs that are left go on.
        """

    def tell(self, hook: str, data: Json) -> None:
        """Call a hook about something that is over: verbs in its ack are too late."""

    def detect(self, amd: Amd, leg: str | None) -> None:
        """Tell a hook who the peer of a leg is, from its answer on; without a name, of the leg that
        the call lasts as long as. Verbs in its acks take the place of what is being done and of
        those that are left."""

    def about_leg(self) -> Json:
        """What a hook is told of that leg."""

    def about_callee(self, leg: str) -> Json:
        """What a hook is told of a leg that a dial of the application's has placed."""

    def hang_up(self, headers: Headers) -> None:
        """Hang that leg up; with the first the call ends."""

    async def confirm(self, leg: str, hook: str) -> bool:
        """Ask a hook what a callee is to hear that has answered; whether it takes the call."""

    def dials(self, leg: str, dialled: Dialled, refer_hook: str | None) -> None:
        """The leg of that name is being dialled; `dialled` is for the messages about it, and
        `refer_hook` hears of a REFER while the dial lasts."""

    def replacing(self, trunk: str) -> Headers:
        """The Replaces of an INVITE to that trunk, where it asked for one (RFC 3891): it has the
        call that it wants to end with ours."""

    def hear_of_refers(self, hook: str) -> None:
        """Have a hook hear of each REFER for which a dial names none."""

    def note_outcome(self, status: int, reason: str) -> None:
        """What comes of trying to transfer the caller: provisional statuses, then a final one."""

    def note_dropped(self, dropped: Iterable[tuple[str, str]]) -> None:
        """Log the name of each header that does not go on, and why: once a call."""


class Verb(Protocol):
    """What an application has us do. Each is a file in `verbs/`."""

    def run(self, session: Session) -> Coroutine[Any, Any, None] | None:
        """Do it. A verb that takes time gives a coroutine, which commands may cancel; one that is
        done at once gives None."""
