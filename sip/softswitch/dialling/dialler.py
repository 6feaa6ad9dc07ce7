"""Places calls: from what an application wants to dial to the attempts of a trunk."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol
from urllib.parse import unquote

from sip.b2bua.call_events import Cause, Headers
from sip.core.digest_client import Credentials
from sip.core.header_values import parse_name_addr
from sip.core.sdp_crypto import Encryption
from sip.core.uri import Uri
from sip.errors import Fault, SipError
from sip.softswitch.dialling.attempts import Hop, InviteDetails, TrunkAttempts
from sip.softswitch.dialling.called_number import dialled_uri
from sip.softswitch.dialling.header_policy import NOTHING, Passed, outgoing_headers, passing
from sip.softswitch.dialling.identity import Caller
from sip.softswitch.dialling.numbers import dialling_problem
from sip.softswitch.dialling.targets import DialTarget, SipTarget, UserTarget
from sip.softswitch.trunks.health import AlwaysUp, Health
from sip.softswitch.trunks.limits import Slot, TrunkFullError, TrunkLimits
from sip.softswitch.trunks.trunk import Trunk, Trunks
from sip.transport.endpoint import Endpoint, Flow
from sip.ua.user_agent import UserAgent

#: Why no server could be tried, where the operator has to mend it.
_OURS = (Cause.NAME_NOT_RESOLVED, Cause.NO_LISTENER)
#: A URI that leads to no trunk of ours is called plainly.
_PLAIN = Trunk(name="")
_UDP = ("transport", "udp")
#: Peers that are not gateways of ours are tried whatever came of it before.
_UNWATCHED: Health = AlwaysUp()


class DialError(SipError):
    """Nothing can be dialled: `status` and `reason` say as much in SIP's words."""

    def __init__(self, status: int, reason: str, cause: Cause, fault: Fault) -> None:
        super().__init__(f"{status} {reason}", fault=fault)
        self.status = status
        self.reason = reason
        self.cause = cause


class RegisteredPeer(Protocol):
    """Where a peer registered with us: its Contact, the same to the letter, the connection it came
    by if that is still there, its address, and the Route values to it (RFC 3327 5.3)."""

    @property
    def uri(self) -> Uri: ...
    @property
    def text(self) -> str: ...
    @property
    def flow(self) -> Flow | None: ...
    @property
    def endpoint(self) -> Endpoint: ...
    @property
    def path(self) -> tuple[str, ...]: ...


def _nowhere(_: str) -> tuple[RegisteredPeer, ...]:
    """Default for `locations`: no peer registers with us."""
    return ()


def _nobody(_: str, __: str | None) -> Mapping[str, Sequence[RegisteredPeer]]:
    """Default for `users`."""
    return {}


def _direct(_: str) -> tuple[str, ...]:
    """Default for `service_route`: no registrar told us one."""
    return ()


@dataclass(slots=True, kw_only=True)
class Dialler:
    """Knows the trunks and what is known of their peers just now.

    `locations(trunk)` are the places where a trunk's peer registered with us, `users(name, realm)`
    those where anybody registered as that user, by trunk, best first;
    `service_route(trunk)` is the Route that a registrar told us (RFC 3608).
    """

    ua: UserAgent
    trunks: Trunks
    limits: TrunkLimits = field(default_factory=TrunkLimits)
    health: Health = field(default_factory=AlwaysUp)
    locations: Callable[[str], Sequence[RegisteredPeer]] = _nowhere
    users: Callable[[str, str | None], Mapping[str, Sequence[RegisteredPeer]]] = _nobody
    service_route: Callable[[str], tuple[str, ...]] = _direct

    def trunk_of(self, target: DialTarget) -> Trunk:
        """The trunk that a target is dialled by; a URI may lead to one too. Raises DialError."""
        if isinstance(target, SipTarget):
            return self.trunks.at(target.uri) or _PLAIN
        name = target.trunk
        if isinstance(target, UserTarget):
            name = next(self._trunks_of(target), None)
            if name is None:
                raise _not_registered(target)
        if not name:
            raise DialError(404, "Dial Names No Trunk", Cause.NO_SUCH_TRUNK, Fault.APPLICATION)
        trunk = self.trunks.named(name)
        if trunk is None:
            raise DialError(
                404,
                f"There Is No Trunk Named {name}",
                Cause.NO_SUCH_TRUNK,
                Fault.APPLICATION,
            )
        return trunk

    def room(self, trunk: Trunk) -> Slot:
        """Room on the trunk while a block lasts. Raises DialError where there is none."""
        try:
            return self.limits.place(trunk, self.ua.clock.now())
        except TrunkFullError as error:
            raise DialError(503, str(error), Cause.OVER_LIMIT, error.fault) from None

    def headers(self, trunk: Trunk, target: DialTarget, caller: Caller, given: Headers) -> Passed:
        """Which of an application's headers may go to that trunk."""
        if isinstance(target, SipTarget):
            given = (*given, *_headers_of(target.uri))
        if not given:
            return NOTHING
        if trunk is _PLAIN:
            return passing(given, None)
        called = target.uri.user or "" if isinstance(target, SipTarget) else target.called
        return outgoing_headers(given, trunk, caller=caller.number, called=called)

    async def attempts(
        self,
        trunk: Trunk,
        target: DialTarget,
        caller: Caller,
        headers: Headers,
        *,
        encrypted: bool = False,
        sip_call_id: str | None = None,
    ) -> TrunkAttempts:
        """How to dial: at least one attempt. Raises DialError where nothing can be tried.

        `encrypted` demands encrypted media, whatever the trunk says of it; `sip_call_id` is the
        Call-ID of the first INVITE, where it is chosen already.
        """
        credentials = trunk.credentials
        if isinstance(target, SipTarget):
            uri = target.uri.replace(headers="")
            hops = [self._through(trunk, uri, trunk.gateway_at(uri))]
            if target.auth is not None:
                credentials = Credentials(*target.auth)
        elif isinstance(target, UserTarget):
            places = self.users(target.name, target.realm).get(trunk.name, ())
            hops = [*self._registered(places, lambda uri: uri.replace(user=target.name))]
            if not hops:
                raise _not_registered(target)
        else:
            number = target.number
            problem = dialling_problem(number)
            if problem is not None:
                raise DialError(484, problem, Cause.BAD_NUMBER, Fault.APPLICATION)
            places = self.locations(trunk.name) if trunk.registrar else ()
            hops = [*self._registered(places, lambda uri: dialled_uri(uri, number, trunk))]
            for gateway in trunk.gateways:
                hops.append(self._through(trunk, dialled_uri(gateway, number, trunk), gateway))
            if not hops:
                raise _no_way(trunk)
        options = trunk.leg
        if encrypted:
            options = replace(options, media=options.media.encrypted(Encryption.REQUIRED))
        details = InviteDetails(
            trunk=trunk,
            options=options,
            caller=caller,
            headers=headers,
            credentials=credentials,
            sip_call_id=sip_call_id,
        )
        attempts = TrunkAttempts(self.ua, details, hops)
        if not await attempts.begin():
            raise _nothing_to_try(attempts)
        return attempts

    def _through(self, trunk: Trunk, uri: Uri, gateway: Uri | None) -> Hop:
        """To one of a trunk's gateways, by way of its proxy and of its registrar's Route."""
        routes, hop = self.service_route(trunk.name) if trunk.registers else (), uri
        if routes:
            hop = parse_name_addr(routes[0]).uri
        proxy = trunk.outbound_proxy
        if proxy is not None and hop.host != proxy.host:
            routes = (f"<{proxy.with_param('lr')}>", *routes)
        plain = _without_udp(uri)
        health = _UNWATCHED if gateway is None else self.health
        return Hop(
            uri=str(plain),
            to=_as_callee(plain),
            next_hop=proxy or hop,
            routes=routes,
            usable=partial(health.usable, trunk.name, gateway or uri),
            note=partial(health.note, trunk.name, gateway or uri),
        )

    def _trunks_of(self, target: UserTarget) -> Iterator[str]:
        """Whose peer registered as that user, the newest first."""
        for trunk in self.users(target.name, target.realm):
            if target.trunk in (None, trunk):
                yield trunk

    @staticmethod
    def _registered(
        places: Iterable[RegisteredPeer], called: Callable[[Uri], Uri]
    ) -> Iterator[Hop]:
        """RFC 3261 16.5: the Request-URI is the registered Contact to the letter, since peers know
        their calls by its parameters; who is called stands in To."""
        for location in places:
            to = called(location.uri)
            yield Hop(
                uri=_request_uri(location, to),
                to=_as_callee(to),
                next_hop=location.uri,
                routes=location.path,
                flow=location.flow,
                endpoint=location.endpoint,
            )


def _headers_of(uri: Uri) -> Headers:
    """RFC 3261 19.1.1: what follows the `?` of a URI are headers of the request to make of it."""
    pairs = (item.partition("=") for item in uri.headers.split("&") if item)
    return tuple((unquote(name), unquote(value)) for name, _, value in pairs if name != "body")


def _request_uri(location: RegisteredPeer, number: Uri) -> str:
    """RFC 6140 7.2: a Contact with `bnc` stands for all numbers of the PBX."""
    contact = location.uri.replace(headers="")
    if not contact.has_param("bnc"):
        return str(contact) if location.uri.headers else location.text
    params = tuple(param for param in contact.params if param[0].lower() != "bnc")
    return str(contact.replace(user=number.user, params=params))


def _without_udp(uri: Uri) -> Uri:
    """RFC 3261 19.1.1: UDP is what a Request-URI means anyway."""
    if _UDP not in uri.params:
        return uri
    return uri.replace(params=tuple(param for param in uri.params if param != _UDP))


def _as_callee(uri: Uri) -> Uri:
    """As To has it (RFC 3261 19.1.1, table 1): a port and most parameters belong to the way there,
    `user` belongs to the number."""
    params = uri.params and tuple(param for param in uri.params if param[0] == "user")
    if uri.port is None and params == uri.params:
        return uri
    return uri.replace(params=params, port=None)


def _not_registered(target: UserTarget) -> DialError:
    reason = f"User {target.called} Is Not Registered"
    return DialError(480, reason, Cause.NOT_REGISTERED, Fault.PEER)


def _no_way(trunk: Trunk) -> DialError:
    reason, cause = f"Trunk {trunk.name} Has No Gateway", Cause.NO_GATEWAY
    if trunk.registrar:
        reason, cause = f"No Peer Is Registered For Trunk {trunk.name}", Cause.NOT_REGISTERED
    return DialError(503, reason, cause, Fault.OPERATOR)


def _nothing_to_try(attempts: TrunkAttempts) -> DialError:
    """All that was passed over; where there were several causes, one that can be mended here."""
    cause = next((one for one in _OURS if one in attempts.causes), Cause.GATEWAYS_DOWN)
    fault = Fault.OPERATOR if cause in _OURS else Fault.PEER
    return DialError(503, "; ".join(attempts.problems), cause, fault)
