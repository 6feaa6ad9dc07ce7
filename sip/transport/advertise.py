"""The address of ours that a peer gets to see, in Via, Contact and SDP."""

from dataclasses import dataclass

import structlog

from sip.clock import Clock
from sip.log_throttle import Throttle
from sip.transport.address import is_loopback, is_private, version
from sip.transport.endpoint import Flow
from sip.transport.interfaces import interface_address
from sip.transport.source_address import Routes

log = structlog.get_logger(__name__)

#: Seconds that an interface's address is used again: it may get another one at any time.
INTERFACE_CACHE_S = 5.0


@dataclass(slots=True)
class Public:
    """Our addresses as peers outside see them, which may change while calls are up.

    `sip` is `sip.advertise`, `media` is `media.advertise`: None where nothing is told, and then
    media is where SIP is.
    """

    sip: str | None = None
    media: str | None = None


class Advertiser:
    """Chooses our address towards a peer. `public` may be changed at any time."""

    def __init__(self, public: Public, clock: Clock) -> None:
        self._public = public
        self._clock = clock
        self._routes = Routes(clock)
        self._interfaces: dict[tuple[str, int], tuple[float, str | None]] = {}
        self._throttle = Throttle()

    def address(self, policy: str, flow: Flow) -> str:
        """Our address for the peer of `flow`, by the policy of its trunk.

        `private` is our own address on the route to it, `public` is `sip.advertise`,
        `interface:NAME` that interface's first address, and an address is itself. `auto` tells
        peers on this machine and, where the public address is one, on our own network our own
        address, and all others the listener's `advertise`, else `sip.advertise`.

        An address of the other family than the flow's would mix IPv4 and IPv6 in one dialog
        (RFC 6157): our own stands in for it, as for what is not configured, and for an interface
        that is not there.
        """
        if policy == "auto":
            public = self._public.sip if flow.advertise is None else flow.advertise
            chosen = self._auto(flow, public)
        elif policy == "public":
            chosen = self._public.sip
        elif policy == "private":
            chosen = None
        elif policy.startswith("interface:"):
            chosen = self._of_interface(policy.removeprefix("interface:"), flow.remote.version)
        else:
            chosen = policy
        return self._fitting(chosen, flow)

    def media_address(self, policy: str, flow: Flow) -> str:
        """The same for session descriptions: where `address` would tell a public address, it is
        `media.advertise`, if there is one."""
        public = self._public.media
        if public is None or policy not in ("auto", "public"):
            return self.address(policy, flow)
        return self._fitting(self._auto(flow, public) if policy == "auto" else public, flow)

    def _fitting(self, chosen: str | None, flow: Flow) -> str:
        if chosen is None or version(chosen) != flow.remote.version:
            return self.own(flow)
        return chosen

    def own(self, flow: Flow) -> str:
        """Our address as this host knows it, before any NAT."""
        host = flow.local.host
        if host not in ("0.0.0.0", "::"):
            return host
        try:
            return self._routes.source(flow.remote)
        except OSError:  # no route: nothing will arrive there, whatever it says
            return "::1" if flow.remote.version == 6 else "127.0.0.1"

    def _of_interface(self, name: str, family: int) -> str | None:
        now = self._clock.now()
        until, address = self._interfaces.get((name, family), (0.0, None))
        if now < until:
            return address
        try:
            address = interface_address(name, family)
        except OSError as error:
            address = None
            if self._throttle.is_new(name, str(error), now):
                log.warning("advertise.failed", interface=name, error=str(error))
        self._interfaces[name, family] = (now + INTERFACE_CACHE_S, address)
        return address

    def _auto(self, flow: Flow, public: str | None) -> str | None:
        peer = flow.remote.host
        if public is None or is_loopback(peer) or is_loopback(self.own(flow)):
            return None
        return None if is_private(peer) and not is_private(public) else public
