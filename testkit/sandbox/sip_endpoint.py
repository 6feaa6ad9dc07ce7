"""The sandbox's SIP side: one user agent, its INVITEs in and out."""

import asyncio
from collections import OrderedDict

import structlog

from sip.b2bua.legs.inbound import InboundLeg
from sip.core.body import SDP
from sip.core.message import Request
from sip.transport.advertise import Public
from sip.transport.endpoint import Endpoint, Flow
from sip.ua.doorkeeper import OpenDoor
from sip.ua.refusals import ALLOW
from sip.ua.server_transaction import ServerTransaction
from sip.ua.user_agent import UserAgent
from testkit.sandbox.calls import Calls
from testkit.sandbox.errors import ListenError
from testkit.sandbox.faults import FaultBox, SipFault
from testkit.sandbox.inbound import InboundCall
from testkit.sandbox.outbound import OutboundCall
from testkit.sandbox.store import Call, Number
from testkit.sandbox.voices import Voices

log = structlog.get_logger(__name__)

#: Call-IDs that are met with silence.
MAX_SILENCED = 1000


class SipEndpoint:
    """Listens for calls and places them. `close` leaves nothing behind."""

    def __init__(self, calls: Calls, faults: FaultBox) -> None:
        settings = calls.settings
        self._calls = calls
        self._faults = faults
        self._voices = Voices(settings, calls.clock, calls.ids)
        self._ua = UserAgent(
            clock=calls.clock,
            ids=calls.ids,
            on_request=self._on_request,
            doorkeeper=_SilentDoor(faults),
            public=Public(settings.advertise),
            product="retell-sandbox",
        )
        self._dealings: set[InboundCall | OutboundCall] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> list[Endpoint]:
        """Open all listeners. Raises ListenError; what was opened before is closed by `close`."""
        for text in self._calls.settings.sip_listen:
            try:
                await self._ua.listen(Endpoint.parse(text))
            except OSError as error:
                raise ListenError("SIP", text, error) from error
        return self._ua.listening

    def dial(self, call: Call, number: Number) -> None:
        """Place `call` over the trunk of `number`."""
        self._look_after(OutboundCall(self._ua, self._calls, self._voices, call, number))

    @property
    def gauges(self) -> dict[str, int]:
        """What is open now: all zero when no call is."""
        return {
            **self._ua.gauges,
            "agents": len(self._voices.beat),
            "tasks": len(self._tasks),
        }

    async def close(self) -> None:
        """Hang up every call and close every socket."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for dealing in self._dealings:
            dealing.close()
        self._dealings.clear()
        await self._ua.close()

    def _look_after(self, dealing: InboundCall | OutboundCall) -> None:
        self._dealings = {known for known in self._dealings if not known.over}
        self._dealings.add(dealing)
        task = dealing.start()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_request(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        if request.method == "INVITE":
            self._on_invite(transaction)
        elif request.method == "OPTIONS":  # pings are answered (retell.com, avaya)
            headers = [("Allow", ALLOW), ("Accept", SDP)]
            transaction.respond(self._ua.response(request, 200, headers=headers))
        else:
            transaction.respond(self._ua.response(request, 481))

    def _on_invite(self, transaction: ServerTransaction) -> None:
        fault = self._faults.take_sip()
        if fault is None:
            self._look_after(InboundCall(self._ua, self._calls, self._voices, transaction))
        else:
            self._misbehave(fault, transaction)

    def _misbehave(self, fault: SipFault, transaction: ServerTransaction) -> None:
        leg = InboundLeg(self._ua, transaction, lambda *_: None)
        leg.start()
        log.info("sandbox.fault", kind=fault.kind, sip_call_id=leg.sip_call_id)
        if fault.status is not None:
            leg.reject(fault.status)
        else:
            leg.ring()


class _SilentDoor(OpenDoor):
    """Notices every request, but those of a dialog that a `silent` fault swallows whole."""

    def __init__(self, faults: FaultBox) -> None:
        self._faults = faults
        self._silenced: OrderedDict[str, None] = OrderedDict()

    def message(self, request: Request | None, flow: Flow) -> bool:
        if request is None:
            return True
        sip_call_id = request.call_id
        if sip_call_id in self._silenced:
            return False
        if request.method != "INVITE" or self._faults.next_sip != "silent":
            return True
        self._faults.take_sip()
        self._silenced[sip_call_id] = None
        if len(self._silenced) > MAX_SILENCED:
            self._silenced.popitem(last=False)
        return False
