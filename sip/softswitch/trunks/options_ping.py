"""OPTIONS outside a dialog (RFC 3261 11): is that peer there, and how far away is it?"""

import asyncio
from dataclasses import dataclass

from sip.core.body import SDP
from sip.core.header_values import NameAddr
from sip.core.message import Headers, Request, Response
from sip.core.uri import Uri, at_domain
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Flow
from sip.ua.refusals import ALLOW
from sip.ua.transaction import Failure
from sip.ua.user_agent import UserAgent

#: Statuses of a peer that is there, but of no use: a proxy in front of a dead
#: server says 408, one that is overloaded or going down 503 (RFC 3263 4.3).
DEAD = frozenset({408, 503})


@dataclass(frozen=True, slots=True, kw_only=True)
class PingOutcome:
    """What came back: a status with its round trip, or an error in a few words.

    `silent` where the request went out and nothing came: dead, or deaf to OPTIONS.
    """

    status: int | None = None
    error: str | None = None
    round_trip_s: float | None = None
    silent: bool = False

    @property
    def alive(self) -> bool:
        """Any answer proves a living peer, a refusal (404, 405, 481, 483, 501) too."""
        return self.status is not None and self.status not in DEAD


async def ping(ua: UserAgent, trunk: Trunk, gateway: Uri, flow: Flow) -> PingOutcome:
    """Ask `gateway` of `trunk` over `flow`; the wait is no longer than a call's would be."""
    answered: asyncio.Future[Response | Failure] = asyncio.get_running_loop().create_future()

    def settle(outcome: Response | Failure) -> None:
        if not answered.done() and (isinstance(outcome, Failure) or outcome.status >= 200):
            answered.set_result(outcome)

    host = trunk.leg.contact_domain or ua.host(flow, trunk.leg.advertise)
    request = _options(ua, trunk, gateway, flow, host)
    begun = ua.clock.now()
    try:
        transaction = ua.send(request, flow, settle, settle, host=host)
    except OSError as error:
        return PingOutcome(error=error.strerror or str(error))
    try:
        async with asyncio.timeout(trunk.no_response_s):
            outcome = await answered
    except TimeoutError:
        outcome = Failure.TIMEOUT
    finally:
        if not answered.done() or answered.cancelled():
            ua.forget(transaction)  # else it would be sent again until timer F
    if outcome is Failure.TIMEOUT:
        return PingOutcome(error=f"no answer in {trunk.no_response_s:g} s", silent=True)
    if isinstance(outcome, Failure):
        problem = transaction.problem or transaction.flow.error
        return PingOutcome(error=problem or f"{flow.remote} cannot be reached")
    return PingOutcome(
        status=outcome.status,
        error=f"{outcome.status} {outcome.reason}" if outcome.status in DEAD else None,
        round_trip_s=ua.clock.now() - begun,
    )


def _options(ua: UserAgent, trunk: Trunk, gateway: Uri, flow: Flow, host: str) -> Request:
    """The request. It has no user part anywhere: it asks the server itself, and Teams refuses it
    otherwise."""
    server = gateway.replace(user=None, password=None, params=(), headers="")
    transport = gateway.transport
    asked = server.with_param("transport", transport) if transport not in (None, "udp") else server
    ours = at_domain(trunk.caller_id.from_domain or host)
    fields = Headers()
    proxy = trunk.outbound_proxy
    if proxy is not None and proxy.host != gateway.host:  # as calls have it
        fields.add("route", f"<{proxy.with_param('lr')}>")
    fields.add("max-forwards", "70")
    fields.add("from", str(NameAddr(None, ours, ()).with_param("tag", ua.ids.tag())))
    fields.add("to", str(NameAddr(None, server.replace(port=None), ())))  # RFC 3261 19.1.1
    fields.add("call-id", ua.ids.sip_call_id())
    fields.add("cseq", f"{ua.ids.cseq()} OPTIONS")
    fields.add("contact", ua.contact(flow, host))
    fields.add("accept", SDP)
    fields.add("allow", ALLOW)
    fields.add("supported", trunk.leg.supported)
    return Request("OPTIONS", str(asked), fields)
