"""How a number or a URI is dialled: the attempts that a B-leg makes one after another."""

from dataclasses import dataclass

from sip.b2bua.attempt import Attempt
from sip.b2bua.call_events import Headers
from sip.b2bua.outbound_leg import NO_RESPONSE_S
from sip.core.headers import NameAddr
from sip.core.uri import Uri
from sip.softswitch.trunks import Trunk
from sip.transport.resolver import ResolveError
from sip.ua.user_agent import UserAgent


class DialError(Exception):
    """Nothing can be dialled: `status` and `reason` say as much in SIP's words."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who the B-leg's From shows."""

    number: str
    name: str | None = None


async def attempts_by_trunk(
    ua: UserAgent, trunk: Trunk, number: str, caller: Caller, headers: Headers
) -> list[Attempt]:
    """One attempt a gateway of `trunk`, in the configured order. Raises DialError."""
    if not trunk.gateways:
        raise DialError(503, f"Trunk {trunk.name} has no gateway")
    user = _written(number, trunk)
    found: list[Attempt] = []
    problems: list[str] = []
    for gateway in trunk.gateways:
        uri = gateway.replace(user=user, params=_transport_only(gateway))
        try:
            found.append(await _attempt(ua, uri, trunk, caller, headers))
        except (ResolveError, OSError) as error:
            problems.append(str(error))
    if not found:
        raise DialError(503, "; ".join(problems))
    return found


async def attempt_by_uri(ua: UserAgent, uri: Uri, caller: Caller, headers: Headers) -> Attempt:
    """The one attempt of a SIP URI. Raises DialError."""
    try:
        return await _attempt(ua, uri, None, caller, headers)
    except (ResolveError, OSError) as error:
        raise DialError(503, str(error)) from None


async def _attempt(
    ua: UserAgent, uri: Uri, trunk: Trunk | None, caller: Caller, headers: Headers
) -> Attempt:
    flow = await ua.flow_to(uri)
    ours = ua.host(flow)
    domain = (trunk.caller_id.from_domain if trunk else None) or ours
    number = _written(caller.number, trunk) if trunk else caller.number
    request_uri = uri.replace(params=()) if uri.params == (("transport", "udp"),) else uri
    return Attempt(
        uri=str(request_uri),
        flow=flow,
        caller=NameAddr(caller.name, Uri.parse(f"sip:{domain}").replace(user=number), ()),
        callee=NameAddr(None, uri.replace(params=()), ()),
        headers=(*headers, *(trunk.headers if trunk else ())),
        credentials=trunk.credentials if trunk else None,
        no_response_s=trunk.no_response_s if trunk else NO_RESPONSE_S,
        media_address=(trunk.advertise if trunk else None) or ours,
    )


def _transport_only(uri: Uri) -> tuple[tuple[str, str | None], ...]:
    return tuple(param for param in uri.params if param[0].lower() == "transport")


def _written(number: str, trunk: Trunk) -> str:
    """`number` as this trunk wants it: with or without the plus of E.164."""
    return number if trunk.called_number.format == "+e164" else number.removeprefix("+")
