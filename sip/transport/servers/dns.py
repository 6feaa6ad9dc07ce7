"""Questions to the name servers, with how long their answers hold; `…servers.resolver` asks.

The system's resolver is asked for addresses only where DNS has none: it knows the names of
containers and of the local network, but tells no TTL.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdata
import dns.rdtypes.IN.NAPTR
import dns.rdtypes.IN.SRV
import dns.resolver

from sip.errors import Fault, SipError
from sip.transport.address import version

#: Seconds that one server has for one try, and that a question may take with all its tries.
TRY_S = 1.0
QUESTION_S = 3.0
#: Seconds that an answer of the system's resolver holds, which tells no TTL.
SYSTEM_TTL_S = 30.0
#: That there is no such record is believed for no longer than this, in seconds (RFC 2308 5).
LONGEST_NEGATIVE_S = 60.0

_HOSTS = Path("/etc/hosts")
_RESOLV_CONF = Path("/etc/resolv.conf")

T = TypeVar("T")


class DnsError(SipError):
    """DNS failed: no server is there, or each refused to say. The text says which."""

    fault = Fault.OPERATOR


@dataclass(frozen=True, slots=True)
class DnsAnswer(Generic[T]):
    """The records found, () if there are none of the kind, and for how many seconds that holds."""

    records: tuple[T, ...]
    ttl_s: float


@dataclass(frozen=True, slots=True)
class Naptr:
    """RFC 3403: `service` (for instance SIP+D2T) is served by what the SRV record `name` says."""

    order: int
    preference: int
    service: str
    name: str


@dataclass(frozen=True, slots=True)
class Srv:
    """RFC 2782; `host` is "" where the service is decidedly not there."""

    priority: int
    weight: int
    port: int
    host: str


class Dns:
    """Asks the name servers of /etc/resolv.conf, or others."""

    def __init__(
        self, nameservers: Sequence[tuple[str, int]] | None = None, hosts: Path = _HOSTS
    ) -> None:
        """`nameservers` are addresses and ports, to be asked instead of the system's.

        `hosts` is a file of fixed names (hosts(5)).
        """
        self._given = nameservers
        self._hosts = _File(hosts)
        self._servers = _File(_RESOLV_CONF)
        self._fixed: dict[str, tuple[str, ...]] = {}
        self._resolver: dns.asyncresolver.Resolver | None = None

    def fixed(self, name: str) -> tuple[str, ...]:
        """The addresses that the hosts file gives `name`: the operator's word against DNS's."""
        text = self._hosts.changed()
        if text is not None:
            self._fixed = _read_hosts(text)
        return self._fixed.get(name.lower(), ())

    async def naptr(self, name: str) -> DnsAnswer[Naptr]:
        """The NAPTR records of `name` that lead to SRV records. Raises DnsError."""
        answer = await self._ask(name, "NAPTR")
        records = tuple(
            Naptr(one.order, one.preference, one.service.decode().upper(), _host(one.replacement))
            for one in cast(tuple[dns.rdtypes.IN.NAPTR.NAPTR, ...], answer.records)
            if one.flags.lower() == b"s" and not one.regexp
        )
        return DnsAnswer(records, answer.ttl_s)

    async def srv(self, name: str) -> DnsAnswer[Srv]:
        """The SRV records of `name`. Raises DnsError."""
        answer = await self._ask(name, "SRV")
        records = tuple(
            Srv(one.priority, one.weight, one.port, _host(one.target))
            for one in cast(tuple[dns.rdtypes.IN.SRV.SRV, ...], answer.records)
        )
        return DnsAnswer(records, answer.ttl_s)

    async def addresses(self, name: str) -> DnsAnswer[str]:
        """The IPv4 and IPv6 addresses of `name`: by DNS, else by the system. Raises DnsError."""
        if "." not in name.strip("."):
            return await self._system(name)  # a name of the local network
        found = await asyncio.gather(
            self._addresses(name, "A"), self._addresses(name, "AAAA"), return_exceptions=True
        )
        answers = [answer for answer in found if isinstance(answer, DnsAnswer) and answer.records]
        if answers:
            return DnsAnswer(
                tuple(record for answer in answers for record in answer.records),
                min(answer.ttl_s for answer in answers),
            )
        none: DnsAnswer[str] = DnsAnswer((), LONGEST_NEGATIVE_S)
        # whoever names the servers to ask wants no other to be asked
        by_system = none if self._given else await self._system(name)
        for answer in found:
            if not by_system.records and isinstance(answer, BaseException):
                raise answer
        return by_system

    async def _addresses(self, name: str, kind: str) -> DnsAnswer[str]:
        answer = await self._ask(name, kind)
        return DnsAnswer(tuple(one.to_text() for one in answer.records), answer.ttl_s)

    async def _ask(self, name: str, kind: str) -> DnsAnswer[dns.rdata.Rdata]:
        resolver = self._current()
        full = f"{name.rstrip('.')}."
        try:
            async with asyncio.timeout(QUESTION_S):
                answer = await resolver.resolve(
                    full, kind, raise_on_no_answer=False, search=False, lifetime=QUESTION_S
                )
            chain = answer.chaining_result
        except dns.resolver.NXDOMAIN as error:
            told = cast(Any, error).response(dns.name.from_text(full))
            chain = cast(dns.message.ChainingResult, told.resolve_chaining())
        except (TimeoutError, dns.resolver.LifetimeTimeout):
            raise DnsError(f"no name server answers ({_named(resolver)})") from None
        except dns.resolver.NoNameservers:
            raise DnsError(f"no name server could say ({_named(resolver)})") from None
        except (dns.exception.DNSException, UnicodeError, OSError) as error:
            raise DnsError(f"{type(error).__name__}: {error}") from None
        # the least TTL on the way to the records, aliases (CNAME) among them
        ttl_s = float(chain.minimum_ttl)
        if chain.answer is None:
            return DnsAnswer((), min(ttl_s, LONGEST_NEGATIVE_S))
        return DnsAnswer(tuple(chain.answer), ttl_s)

    async def _system(self, name: str) -> DnsAnswer[str]:
        """What the system resolver knows: hosts file, containers, local network."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(QUESTION_S):
                found = await loop.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError, TimeoutError):
            return DnsAnswer((), SYSTEM_TTL_S)
        hosts = dict.fromkeys(str(info[4][0]) for info in found)
        # a link-local address is of no use without its interface
        return DnsAnswer(tuple(host for host in hosts if "%" not in host), SYSTEM_TTL_S)

    def _current(self) -> dns.asyncresolver.Resolver:
        """A resolver with the name servers of now: they change when a lease is renewed."""
        if self._given is None:
            if self._servers.changed() is not None or self._resolver is None:
                self._resolver = _configured()
        elif self._resolver is None:
            self._resolver = dns.asyncresolver.Resolver(configure=False)
            self._resolver.nameservers = [
                dns.nameserver.Do53Nameserver(host, port) for host, port in self._given
            ]
        self._resolver.timeout = TRY_S
        return self._resolver


def _configured() -> dns.asyncresolver.Resolver:
    try:
        return dns.asyncresolver.Resolver()
    except dns.resolver.NoResolverConfiguration:
        return dns.asyncresolver.Resolver(configure=False)


def _host(name: dns.name.Name) -> str:
    """Without the dot at the end; "" for the root."""
    return name.to_text(omit_final_dot=True).removesuffix(".")


def _named(resolver: dns.asyncresolver.Resolver) -> str:
    return ", ".join(str(server) for server in resolver.nameservers) or "none is configured"


def _read_hosts(text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        try:
            ipaddress.ip_address(address)
        except ValueError:
            continue
        for name in names:
            found.setdefault(name.lower(), []).append(address)
    return {name: tuple(sorted(hosts, key=version)) for name, hosts in found.items()}


class _File:
    """A small text file that the operator may change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None

    def changed(self) -> str | None:
        """Its text, if it was not read yet or has changed since; "" when it is gone."""
        try:
            state = self._path.stat()
            seen = (state.st_mtime_ns, state.st_size)
            if seen == self._seen:
                return None
            text = self._path.read_text(errors="replace")
        except OSError:
            seen, text = (0, 0), ""
            if seen == self._seen:
                return None
        self._seen = seen
        return text
