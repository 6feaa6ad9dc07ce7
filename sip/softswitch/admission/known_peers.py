"""Addresses that are never banned nor slowed: the configured ones, our own, those we deal with.

A source address over UDP can be forged. Who could make us ban a carrier by forging its address
would have cut us off from it.
"""

from collections import OrderedDict
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address
from socket import inet_aton

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
        self._networks: tuple[IPv6Network, ...] = ()
        #: IPv4, by the number of host bits: a flood asks for each packet
        self._prefixes: dict[int, set[int]] = {}
        self.configure(configured)
        self.own(own)
        self._met: OrderedDict[str, float] = OrderedDict()

    def own(self, addresses: Iterable[str]) -> None:
        """Other addresses are ours from now on."""
        self._own = frozenset((*addresses, *_LOOPBACK))

    def configure(self, configured: Iterable[IPv4Network | IPv6Network]) -> None:
        """Other networks are configured from now on; who was met stays known."""
        networks = tuple(configured)
        self._networks = tuple({one for one in networks if isinstance(one, IPv6Network)})
        self._prefixes = {}
        for network in networks:
            if isinstance(network, IPv4Network):
                bits = 32 - network.prefixlen
                prefix = int(network.network_address) >> bits
                self._prefixes.setdefault(bits, set()).add(prefix)

    def configured(self, host: str) -> bool:
        """Whether `host` is an address of a trunk, or of ours."""
        if host in self._own:
            return True
        if ":" not in host:
            try:
                number = int.from_bytes(inet_aton(host))
            except OSError:  # a socket without a peer's address
                return False
            return any(number >> bits in known for bits, known in self._prefixes.items())
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
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
