"""All registrations of ours, with the carriers and PBXs that want them (`trunks[].register`)."""

import asyncio
from collections.abc import Iterable

from sip.core.message import Request
from sip.core.uri import Uri
from sip.errors import ParseError
from sip.softswitch.registration.account import Account
from sip.softswitch.registration.registration import Registration, RegistrationView
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint, Flow
from sip.ua.user_agent import UserAgent

#: What unregistering may take when the switch closes, in seconds.
CLOSE_TIMEOUT_S = 2.0


class Registrations:
    """Starts, watches and ends one registration a trunk."""

    def __init__(self, ua: UserAgent, trunks: Iterable[Trunk], keepalive_s: float | None) -> None:
        """Trunks that do not register are left out. `keepalive_s` is `sip.keepalive_s`, None to
        keep nothing awake.

        Raises ValueError for a trunk that names no registrar.
        """
        self._ua = ua
        self._keepalive_s = keepalive_s
        self._of = {
            name: Registration(ua, account, keepalive_s)
            for name, account in _accounts(trunks).items()
        }
        #: what is being taken back, since the configuration has it no more
        self._leaving: set[asyncio.Task[None]] = set()
        ua.watch_flows(self._flow_lost)

    def start(self) -> None:
        """Register everywhere; the listeners must be open."""
        for registration in self._of.values():
            registration.start()

    def configure(self, trunks: Iterable[Trunk]) -> None:
        """Be registered with these from now on. One that stays as it is is left alone; another
        password takes the binding over, without a gap."""
        before, self._of = self._of, {}
        for name, account in _accounts(trunks).items():
            registration = before.get(name)
            if registration is None or not registration.account.same_binding(account):
                registration = Registration(self._ua, account, self._keepalive_s)
                registration.start()
            else:
                del before[name]
                if registration.account != account:
                    registration.use(account)
            self._of[name] = registration
        for gone in before.values():
            task = asyncio.get_running_loop().create_task(gone.close(CLOSE_TIMEOUT_S))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def renew(self) -> None:
        """Register everywhere now, as our address is another."""
        for registration in self._of.values():
            registration.renew()

    async def close(self) -> None:
        """Take every binding back, waiting a moment for the responses."""
        closing = (registration.close(CLOSE_TIMEOUT_S) for registration in self._of.values())
        await asyncio.gather(*closing, *self._leaving)

    def states(self) -> list[RegistrationView]:
        """One for each registering trunk, in the order of the configuration."""
        return [registration.state for registration in self._of.values()]

    async def refresh(self, trunk: str) -> RegistrationView | None:
        """Register now; the state once the registrar has answered. None for a trunk that does
        not register."""
        registration = self._of.get(trunk)
        return None if registration is None else await registration.refresh()

    def route(self, trunk: str) -> tuple[str, ...]:
        """The Service-Route for requests through that trunk (RFC 3608 6), () without one."""
        registration = self._of.get(trunk)
        return () if registration is None else registration.service_route

    def trunk_of(
        self, request: Request | None, source: Endpoint, *, configured: bool = False
    ) -> str | None:
        """The trunk that a request from a registrar belongs to; None when it belongs to none.

        A server where we are registered is believed; so is another port of its address, if what it
        calls is our Contact. Where several trunks are registered there, the Request-URI is the
        Contact of one of them (by a parameter, or by its user), or To its address of record:
        carriers put the called number in place of either. What none of these tells is the first
        trunk's. Without a `request`, whether there may be one from that address at all.

        Where `identify` of some trunk holds the `source` (it is `configured`), only a call to our
        Contact is taken for a registration's: all else goes by what was configured.
        """
        near = [one for one in self._of.values() if one.is_host(source)]
        if not near or request is None:
            return near[0].account.trunk if near else None
        called, to = _uris(request)

        def likeness(one: Registration) -> int:
            account = one.account
            if account.is_called(called):
                return 0
            if called.user == account.contact_user:
                return 1
            return 2 if to.user == account.aor.user else 3

        found = [
            one for one in near if likeness(one) <= 1 or (one.is_server(source) and not configured)
        ]
        return min(found, key=likeness).account.trunk if found else None

    def _flow_lost(self, flow: Flow) -> None:
        for registration in self._of.values():
            registration.flow_lost(flow)


def _accounts(trunks: Iterable[Trunk]) -> dict[str, Account]:
    """Raises ValueError for a trunk that names no registrar."""
    return {trunk.name: Account.of(trunk) for trunk in trunks if trunk.registers}


def _uris(request: Request) -> tuple[Uri, Uri]:
    try:
        return request.request_uri, request.to.uri
    except ParseError:
        nothing = Uri("sip")
        return nothing, nothing
