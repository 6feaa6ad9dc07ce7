"""The application of one call, as verbs reach it: hooks that are asked or told, and errors."""

from collections.abc import Iterable

import structlog

from sip.b2bua.call import Call
from sip.b2bua.hub import FIRST
from sip.softswitch.jambonz.link import AppError
from sip.softswitch.jambonz.session import Dialled, Verb
from sip.softswitch.jambonz.session_info import SessionInfo
from sip.softswitch.jambonz.socket import ACK_TIMEOUT_S, AppSocket, Json
from sip.softswitch.jambonz.verbs import parse_verbs
from sip.softswitch.jambonz.verbs.schema import VerbError

log = structlog.get_logger(__name__)

#: Characters of a header's name in the log.
MAX_SHOWN = 64


class Application:
    """What is said to one call's application and asked of it: each message has the call's tag."""

    def __init__(self, socket: AppSocket, call: Call, info: SessionInfo) -> None:
        self.socket = socket
        self.call = call
        self.info = info
        #: what the application tagged the call with
        self.customer_data: Json = {}
        #: who hears of a REFER, where the dial names nobody
        self.refer_hook: str | None = None
        self._dialled: dict[str, Dialled] = {}
        self._dropped: set[str] = set()

    @property
    def log_ids(self) -> dict[str, str]:
        """The keys that every log line of this call has."""
        status = self.call.status
        return {"call_sid": status.call_sid, "sip_call_id": status.sip_call_id}

    def read(self, data: object) -> list[Verb]:
        """The verbs of an ack or a command. Raises VerbError.

        The application hears what of them is taken although it is not done; the call goes on.
        """
        return parse_verbs(data, lambda text: self.socket.error(text, data, msg="NotSupported"))

    async def ask(
        self, hook: str, data: Json, *, kind: str = "verb:hook", within_s: float = ACK_TIMEOUT_S
    ) -> list[Verb] | None:
        """The verbs in a hook's ack, which may be none; None where it failed, which is logged."""
        told: object = None
        try:
            told = await self.socket.hook(hook, self.tagged(data), kind=kind, within_s=within_s)
            return self.read(told) if isinstance(told, list) else []
        except (AppError, VerbError) as error:
            event = "hook.failed"
            if isinstance(error, VerbError):
                event = "hook.bad-verbs"
                self.socket.error(str(error), told)
            log.warning(event, hook=hook, error=str(error), fault=error.fault.value, **self.log_ids)
            return None

    def tell(self, hook: str, data: Json) -> None:
        """Call a hook about something that is over: verbs in its ack are too late."""
        self.socket.tell_hook(hook, self.tagged(data))

    def tagged(self, data: Json) -> Json:
        """`data` with what the application tagged the call with."""
        if self.customer_data:
            data["customerData"] = self.customer_data
        return data

    def dials(self, leg: str, dialled: Dialled) -> None:
        """The leg of that name is of a dial of the application's."""
        self._dialled[leg] = dialled

    def dialled(self, call_sid: str) -> Dialled:
        """What is told of the dial that a leg is of."""
        for name, report in self.call.reports.items():
            if report.call_sid == call_sid:
                return self._dialled.get(name, Dialled())
        return Dialled()

    def trunk_of(self, leg: str) -> str:
        """The name of a leg's trunk; "" where it is none's."""
        return self.info.trunk if leg == FIRST else self._dialled.get(leg, Dialled()).trunk

    def note_dropped(self, dropped: Iterable[tuple[str, str]]) -> None:
        """Log the name of each header that does not go on, and why: once a call."""
        for name, why in dropped:
            if name.lower() not in self._dropped:
                self._dropped.add(name.lower())
                log.info("header.dropped", header=name[:MAX_SHOWN], reason=why, **self.log_ids)
