"""The two faces between the driver and its verbs: what a verb is, and what it gets to work on."""

from collections.abc import Coroutine, Iterable
from typing import Any, Protocol

from sip.b2bua.call import Call
from sip.core.value import frozen
from sip.softswitch.dialling.dialler import Dialler
from sip.softswitch.jambonz.session_info import SessionInfo
from sip.softswitch.jambonz.sounds import Sounds

Json = dict[str, Any]


@frozen
class Dialled:
    """What the messages about a B-leg tell of its dial: the number, the caller that it is shown,
    and the application's tag of it."""

    number: str = ""
    caller_id: str = ""
    tag: Json | None = None


class Session(Protocol):
    """One call and its application, as a verb sees them."""

    call: Call
    dialler: Dialler
    info: SessionInfo
    #: what the application tagged the call with; every message after it brings it back
    customer_data: Json
    #: what is dialled, for the messages about the B-leg
    dialled: Dialled
    #: what can be played to it
    sounds: Sounds

    @property
    def log_ids(self) -> dict[str, str]:
        """The keys that every log line of this call has."""

    async def ask(self, hook: str, data: Json, *, kind: str = "verb:hook") -> None:
        """Call a hook with `data`; verbs in its ack take the place of those that are left.

        A hook that fails, or brings bad verbs, is logged, and the verbs that are left go on.
        """

    def tell(self, hook: str, data: Json) -> None:
        """Call a hook about something that is over: verbs in its ack are too late."""

    def listen_for_fax(self, hook: str) -> None:
        """Call a hook, once, if the caller is a fax machine: verbs in its ack take the place of
        what is being done and of those that are left."""

    def note_dropped(self, dropped: Iterable[tuple[str, str]]) -> None:
        """Log the name of each header that does not go on, and why: once a call."""


class Verb(Protocol):
    """What an application has us do. Each is a file in `verbs/`."""

    def run(self, session: Session) -> Coroutine[Any, Any, None] | None:
        """Do it. A verb that takes time gives a coroutine, which commands may cancel; one that is
        done at once gives None."""
