"""The order in which to try several servers of one name (RFC 2782, RFC 3263 4.2). Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sip.transport.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Server:
    """One SRV record and the addresses of its target; a lower `priority` comes first.

    `weight` is its share among servers of the same priority.
    """

    priority: int
    weight: int
    endpoints: tuple[Endpoint, ...]


def in_order(servers: Iterable[Server], below: Callable[[int], int]) -> list[Endpoint]:
    """All addresses of `servers`, the one to try first at the head.

    `below(n)` throws a number from 0 to n - 1. The addresses of one server take turns too, IPv4
    before IPv6, as media of carriers rarely speaks IPv6.
    """
    left = sorted(servers, key=lambda server: (server.priority, server.weight))
    ordered: list[Endpoint] = []
    while left:
        chosen = _draw([one for one in left if one.priority == left[0].priority], below)
        left.remove(chosen)
        for family in (4, 6):
            ordered += _turned([at for at in chosen.endpoints if at.version == family], below)
    return ordered


def _draw(rivals: list[Server], below: Callable[[int], int]) -> Server:
    """RFC 2782: a running sum over the weights, small ones first, and a number within it."""
    mark = below(sum(server.weight for server in rivals) + 1)
    for server in rivals:
        mark -= server.weight
        if mark <= 0:
            return server
    return rivals[-1]


def _turned(endpoints: list[Endpoint], below: Callable[[int], int]) -> list[Endpoint]:
    """The same ring of addresses, begun somewhere else."""
    if len(endpoints) < 2:
        return endpoints
    start = below(len(endpoints))
    return endpoints[start:] + endpoints[:start]
