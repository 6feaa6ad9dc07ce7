"""Addresses that are never banned nor slowed: the configured ones, our own, those we deal with.

A source address over UDP can be forged. Who could make us ban a carrier by forging its address
would have cut us off from it.
"""

from collections import OrderedDict
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address

#: Seconds that a host is known after our last request to it, or its last proof.
KNOWN_S = 3600.0
#: Hosts known by our dealings; the oldest are forgotten first.
MAX_MET = 10_000
_LOOPBACK = ("127.0.0.1", "::1")


class Peers:
    """Tells peers from strangers by address alone."""

    def __init__(
        self, configured: Iterable[IPv4Network | IPv6Network], own: Iterable[str] = ()
    ) -> None:
        """`configured` are the networks that trunks are identified by, whatever the port;
        `own` our addresses: what seems to come from there is forged, or from this machine."""
        self.configure(configured)
        self._own = frozenset((*own, *_LOOPBACK))
        self._met: OrderedDict[str, float] = OrderedDict()

    def configure(self, networks: Iterable[IPv4Network | IPv6Network]) -> None:
        """Other networks are configured from now on; who was met stays known."""
        self._networks = tuple(dict.fromkeys(networks))

    def configured(self, host: str) -> bool:
        """Whether `host` is an address of a trunk, or of ours."""
        if host in self._own:
            return True
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:  # a socket without a peer's address
            return False
        return any(address in network for network in self._networks)

    def met(self, host: str, now: float) -> bool:
        """Whether we had dealings with `host` lately."""
        return self._met.get(host, now) > now

    def meet(self, host: str, now: float) -> None:
        """We send `host` a request of ours, or it has proved itself."""
        if host not in self._met and len(self._met) >= MAX_MET:
            self._met.popitem(last=False)
        self._met[host] = now + KNOWN_S
        self._met.move_to_end(host)
