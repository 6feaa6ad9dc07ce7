"""The attempts of one dial: the hops to a trunk, and the servers of each, one after another.

What comes later is looked up, and connected to, only when what came before has failed.
"""

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from sip.b2bua.call_events import Cause, Headers
from sip.b2bua.hunt import Attempt
from sip.b2bua.legs.options import LegOptions
from sip.core.digest_client import Credentials
from sip.core.header_values import NameAddr
from sip.core.uri import Uri
from sip.core.value import frozen
from sip.softswitch.dialling.header_policy import with_ours
from sip.softswitch.dialling.identity import Caller, outbound_identity
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint, Flow, Target
from sip.transport.servers.resolver import ResolveError
from sip.ua.user_agent import UserAgent


def _always() -> bool:
    return True


def _ignore(_: int | None, __: str | None) -> None:
    """Default for `note`: this hop is not watched."""


@frozen(kw_only=True)
class Hop:
    """One way to the callee: Request-URI, To, Route, and where the INVITE is sent.

    That is the connection `flow` if it is still there, else `endpoint`, else the servers of the
    URI `next_hop` (RFC 3263). `usable` is asked when its turn comes; `note` gets what came of
    it: a final status, or None for no answer and perhaps why.
    """

    uri: str
    to: Uri
    next_hop: Uri
    routes: tuple[str, ...] = ()
    flow: Flow | None = None
    endpoint: Endpoint | None = None
    usable: Callable[[], bool] = _always
    note: Callable[[int | None, str | None], None] = _ignore


@frozen(kw_only=True)
class InviteDetails:
    """What every INVITE of a dial says. `headers` are the application's, as far as they pass.

    `options` are the trunk's manners, as far as the application does not say otherwise;
    `sip_call_id` is the Call-ID of the first INVITE, where somebody has been told it already.
    """

    trunk: Trunk
    options: LegOptions
    caller: Caller
    headers: Headers
    credentials: Credentials | None
    sip_call_id: str | None = None


class TrunkAttempts:
    """Makes each attempt when its turn comes."""

    def __init__(self, ua: UserAgent, details: InviteDetails, hops: Iterable[Hop]) -> None:
        self._ua = ua
        self._details = details
        self._hops = deque(hops)
        self._hop: Hop | None = None
        self._targets: deque[Target] = deque()
        self._first: Attempt | None = None
        self._sip_call_id = details.sip_call_id
        #: why what was passed over could not be tried
        self.problems: list[str] = []
        self.causes: set[Cause] = set()

    async def begin(self) -> bool:
        """Whether there is anything to try. Call it first."""
        self._first = await self._find()
        return self._first is not None

    async def next(self) -> Attempt | None:
        """The attempt to make now; None where all were made."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await self._find()

    async def _find(self) -> Attempt | None:
        while True:
            try:
                if self._hop is not None and self._targets:
                    target = self._targets.popleft()
                    flow = self._ua.flow_at(target)
                    return self._attempt(self._hop, flow, target, last=not self._targets)
                if not self._hops:
                    return None
                self._hop = hop = self._hops.popleft()
                if not hop.usable():
                    self._pass_over(Cause.GATEWAYS_DOWN, f"{hop.next_hop.hostport} is down")
                elif hop.flow is not None and not hop.flow.closed:
                    return self._attempt(hop, hop.flow, None, last=True)
                else:
                    self._targets.extend(await self._servers(hop))
            except OSError as error:  # no listener of its transport, no address of ours
                self._pass_over(Cause.NO_LISTENER, str(error))

    def _pass_over(self, cause: Cause, problem: str) -> None:
        self.causes.add(cause)
        self.problems.append(problem)

    async def _servers(self, hop: Hop) -> tuple[Target, ...]:
        if hop.endpoint is not None:
            return (Target(hop.endpoint, hop.next_hop.host),)
        try:
            return await self._ua.resolver.resolve(hop.next_hop)
        except ResolveError as error:
            self._pass_over(Cause.NAME_NOT_RESOLVED, str(error))
            hop.note(None, str(error))
            return ()

    def _attempt(self, hop: Hop, flow: Flow, target: Target | None, *, last: bool) -> Attempt:
        details, trunk = self._details, self._details.trunk
        ours = self._ua.host(flow, trunk.leg.advertise)
        caller, identity = outbound_identity(trunk, details.caller, ours)
        sip_call_id, self._sip_call_id = self._sip_call_id, None
        return Attempt(
            uri=hop.uri,
            flow=flow,
            caller=caller,
            callee=NameAddr(None, hop.to),
            headers=with_ours(details.headers, identity, trunk.headers),
            routes=hop.routes,
            credentials=details.credentials,
            no_response_s=trunk.no_response_s,
            post_dial_s=trunk.post_dial_s,
            media_address=self._ua.media_host(flow, trunk.leg.advertise),
            options=details.options,
            target=target,
            redirect_hosts=trunk.redirect_hosts,
            on_outcome=partial(_note, hop, last),
            sip_call_id=sip_call_id,
        )


def _note(hop: Hop, last: bool, status: int | None, why: str | None) -> None:
    """A gateway has failed when the last of its servers has."""
    if last or status not in (None, 503):
        hop.note(status, why)
