"""Trunks: whose a request is, and how a number or URI is dialled through one."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from config.settings import Settings, TrunkSettings
from config.values import Source
from sip.b2bua.call import Attempt
from sip.b2bua.call_events import Headers
from sip.b2bua.outbound_leg import NO_RESPONSE_S
from sip.core.headers import NameAddr
from sip.core.uri import Uri
from sip.transport.endpoint import Endpoint
from sip.transport.resolver import ResolveError
from sip.ua.credentials import Credentials
from sip.ua.user_agent import UserAgent


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """A carrier, a PBX or Retell, as the SIP side needs it.

    `login` is the user name and password that the peer must prove; `credentials` are ours.
    """

    name: str
    gateways: tuple[Uri, ...]
    sources: tuple[Source, ...] = ()
    login: tuple[str, str] | None = None
    credentials: Credentials | None = None
    no_response_s: float = NO_RESPONSE_S
    advertise: str | None = None
    from_domain: str | None = None
    headers: Headers = ()
    plus: bool = True

    @classmethod
    def of(cls, settings: TrunkSettings) -> "Trunk":
        """The trunk that the configuration describes."""
        login, ours = settings.login, settings.credentials
        return cls(
            name=settings.name,
            gateways=tuple(Uri.parse(gateway) for gateway in settings.gateways),
            sources=settings.identify,
            login=(login.username, login.password.get_secret_value()) if login else None,
            credentials=Credentials(ours.username, ours.password.get_secret_value())
            if ours
            else None,
            no_response_s=settings.no_response_s,
            advertise=settings.advertise if settings.advertise[0].isdigit() else None,
            from_domain=settings.caller_id.from_domain,
            headers=tuple(settings.headers.items()),
            plus=settings.called_number.format == "+e164",
        )

    def matches(self, source: Endpoint) -> bool:
        """Whether a request from `source` is this trunk's by its address."""
        address = ip_address(source.host)
        return any(allowed.matches(address, source.port) for allowed in self.sources)

    def number(self, number: str) -> str:
        """`number` as this trunk wants it: with or without the plus of E.164."""
        return number if self.plus else number.removeprefix("+")


class Trunks:
    """All trunks of a configuration, Retell's among them."""

    def __init__(self, trunks: Iterable[Trunk]) -> None:
        self._by_name: Mapping[str, Trunk] = {trunk.name: trunk for trunk in trunks}
        # Asked for every request, by the same few peers, and by scanners: cached, bounded.
        self.from_source = functools.lru_cache(maxsize=4096)(self._from_source)

    @classmethod
    def of(cls, settings: Settings) -> "Trunks":
        """Retell's own trunk first, then the configured ones."""
        retell = settings.retell
        login = None
        if retell.login is not None and retell.login.password is not None:
            login = (retell.login.username, retell.login.password.get_secret_value())
        own = Trunk(
            name=retell.trunk,
            gateways=(Uri.parse(retell.sip_uri),),
            sources=retell.identify,
            login=login,
        )
        return cls([own, *(Trunk.of(trunk) for trunk in settings.trunks)])

    def __iter__(self) -> Iterator[Trunk]:
        return iter(self._by_name.values())

    def named(self, name: str) -> Trunk | None:
        return self._by_name.get(name)

    def _from_source(self, source: Endpoint) -> tuple[Trunk, ...]:
        """The trunks that send from `source`, Retell's first."""
        return tuple(trunk for trunk in self._by_name.values() if trunk.matches(source))

    def by_login(self, username: str) -> Trunk | None:
        """The trunk whose peer proves itself as `username`."""
        for trunk in self._by_name.values():
            if trunk.login is not None and trunk.login[0] == username:
                return trunk
        return None


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
    user = trunk.number(number)
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
    domain = (trunk.from_domain if trunk else None) or ours
    number = trunk.number(caller.number) if trunk else caller.number
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
