"""From a SIP URI to the servers to try, in order (RFC 3263)."""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from sip.clock import Clock
from sip.core.uri import Uri
from sip.errors import Fault, SipError
from sip.ids import Ids
from sip.transport.address import is_address
from sip.transport.endpoint import DEFAULT_PORT, Endpoint, Target, uri_transport
from sip.transport.servers.dns import Dns, DnsAnswer, DnsError, Naptr, Srv
from sip.transport.servers.srv_order import Server, in_order

#: Seconds until a name that could not be resolved is asked for again.
NEGATIVE_S = 10.0
#: Seconds that an answer is still used after its time when DNS fails (RFC 8767 5: days).
STALE_S = 86_400.0
#: Seconds until DNS that failed is asked again meanwhile, at the latest.
STALE_AGAIN_S = 30.0
#: Part of an answer's time after which it is asked for again while it is still used.
REFRESH_AFTER = 0.8
#: Seconds that the hosts file's word holds: it is looked at again, which costs nothing.
FIXED_S = 1.0
LONGEST_S = 86_400.0
MAX_CACHED = 1024
#: More servers than these of one name are not tried.
MAX_SERVERS = 16

#: RFC 3263 4.1: what a NAPTR service means, and the SRV name where there is no NAPTR.
_SERVICES = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}
_SRV_PREFIX = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}

T = TypeVar("T")


class ResolveError(SipError):
    """A host name that leads nowhere; the text names it."""

    fault = Fault.OPERATOR


@dataclass(frozen=True, slots=True)
class _Question:
    """What of a URI decides where it leads; None where it leaves that to DNS."""

    host: str
    port: int | None
    transport: str | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """An answer: servers, or why there are none. Times are the clock's."""

    servers: tuple[Server, ...]
    asked_at: float
    fresh_until: float
    problem: str = ""


class Resolver:
    """Resolves URIs, remembers the answers as long as DNS says, and which servers failed lately."""

    def __init__(
        self,
        clock: Clock,
        ids: Ids,
        *,
        nameservers: Sequence[tuple[str, int]] | None = None,
        hosts: Path = Path("/etc/hosts"),
    ) -> None:
        """`nameservers` (address, port) stand in for the system's, `hosts` for its hosts file."""
        #: whether we can send over this transport and address family (4 or 6)
        self.reaches: Callable[[str, int], bool] = lambda *_: True
        #: whether this transport may be chosen where a URI leaves it open
        self.serves: Callable[[str], bool] = lambda _: True
        self._clock = clock
        self._ids = ids
        self._dns = Dns(nameservers, hosts)
        self._plans: dict[_Question, _Plan] = {}
        self._asking: dict[_Question, asyncio.Task[_Plan]] = {}
        self._penalties: dict[Endpoint, float] = {}

    def known(self, uri: Uri) -> tuple[Target, ...] | None:
        """The servers of `uri` where no lookup is needed: an address, or a name known of late.

        None where a resolver must be asked, or had nothing to say last time.
        """
        numeric = _numeric(uri.host, uri.port, uri_transport(uri))
        if numeric is not None:
            return numeric
        try:
            question = _question(uri)
        except ResolveError:
            return None
        plan = self._plans.get(question)
        now = self._clock.now()
        if plan is None or now >= plan.fresh_until or not plan.servers:
            return None
        if now > plan.asked_at + REFRESH_AFTER * (plan.fresh_until - plan.asked_at):
            self._ask(question)  # so that no call has to wait for it
        return self._targets(plan, uri.host) or None

    async def resolve(self, uri: Uri) -> tuple[Target, ...]:
        """The servers of `uri`, in the order to try them: at least one. Raises ResolveError."""
        known = self.known(uri)
        if known is not None:
            return known
        question = _question(uri)
        plan = self._plans.get(question)
        if plan is None or self._clock.now() >= plan.fresh_until:
            plan = await asyncio.shield(self._ask(question))
        if not plan.servers:
            raise ResolveError(plan.problem)
        targets = self._targets(plan, uri.host)
        if not targets:
            raise ResolveError(f"{uri.host} has no address of a family and transport we listen on")
        return targets

    def penalize(self, endpoint: Endpoint, seconds: float) -> None:
        """Put a server that failed after all others of its name for a while."""
        now = self._clock.now()
        self._penalties = {at: until for at, until in self._penalties.items() if until > now}
        self._penalties[endpoint] = now + seconds

    def forgive(self, endpoint: Endpoint) -> None:
        """A server that works again."""
        self._penalties.pop(endpoint, None)

    def penalized(self, endpoint: Endpoint) -> bool:
        """Whether this server has failed of late."""
        return self._penalties.get(endpoint, 0.0) > self._clock.now()

    def close(self) -> None:
        """Stop every lookup; those who wait are cancelled."""
        for task in self._asking.values():
            task.cancel()

    def _targets(self, plan: _Plan, name: str) -> tuple[Target, ...]:
        found = in_order(plan.servers, self._ids.below)
        usable = [at for at in found if self.reaches(at.transport, at.version)]
        if self._penalties:
            usable.sort(key=self.penalized)
        return tuple(Target(endpoint, name) for endpoint in usable)

    def _ask(self, question: _Question) -> asyncio.Task[_Plan]:
        """Look `question` up; those who ask for the same meanwhile share the answer."""
        task = self._asking.get(question)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._look_up(question))
            self._asking[question] = task
            task.add_done_callback(lambda _: self._asking.pop(question, None))
        return task

    async def _look_up(self, question: _Question) -> _Plan:
        try:
            servers, ttl_s = await self._servers(question)
            problem = "" if servers else f"DNS does not know {question.host}"
            plan = self._plan(servers, ttl_s if servers else NEGATIVE_S, problem)
        except DnsError as error:
            plan = self._plan((), NEGATIVE_S, f"DNS gave no answer for {question.host}: {error}")
            old = self._plans.get(question)
            if old is not None and self._clock.now() < old.asked_at + STALE_S:
                # better than no server at all
                plan = replace(old, fresh_until=self._clock.now() + STALE_AGAIN_S)
        if question not in self._plans and len(self._plans) >= MAX_CACHED:
            self._plans.clear()
        self._plans[question] = plan
        return plan

    def _plan(self, servers: tuple[Server, ...], ttl_s: float, problem: str) -> _Plan:
        now = self._clock.now()
        return _Plan(servers, now, now + ttl_s, problem)

    async def _servers(self, question: _Question) -> tuple[tuple[Server, ...], float]:
        """RFC 3263 4.1 and 4.2; with the seconds that the answer holds. Raises DnsError."""
        host = question.host
        default = question.transport or "udp"
        port = question.port or DEFAULT_PORT[default]
        fixed = self._dns.fixed(host)
        if fixed:
            return _as_server(fixed, default, port), FIXED_S
        by_address = asyncio.ensure_future(self._dns.addresses(host))
        by_address.add_done_callback(_look_at)
        longest_s = LONGEST_S
        try:
            if question.port is None and "." in host:
                servers, longest_s = await self._by_service(question)
                if servers is not None:
                    return servers, longest_s
            found = await by_address
        finally:
            by_address.cancel()
        return _as_server(found.records, default, port), min(longest_s, found.ttl_s)

    async def _by_service(self, question: _Question) -> tuple[tuple[Server, ...] | None, float]:
        """By SRV records, which NAPTR records may name; None where there are none.

        All is asked at once, as most domains have no NAPTR and many no SRV either. A record without
        a host says that the service is decidedly not there (RFC 2782).
        """
        if question.transport is None:  # UDP first, as it is the default of SIP
            naptr = asyncio.ensure_future(_quietly(self._dns.naptr(question.host)))
            guessed = [via for via in ("udp", "tcp", "tls") if self.serves(via)]
        else:
            naptr = None
            guessed = [question.transport]
        names = [(via, f"{_SRV_PREFIX[via]}.{question.host}") for via in guessed]
        answers = await self._ask_for(names)
        ttl_s = LONGEST_S
        if naptr is not None:
            said = await naptr
            ttl_s = said.ttl_s
            told = [(via, name) for via, name in _preferred(said.records) if self.serves(via)]
            if told:
                names, answers = told, await self._ask_for(told, answers)
        ttl_s = min([ttl_s, *(answers[name].ttl_s for _, name in names)])
        for transport, name in names:
            if any(record.host for record in answers[name].records):
                servers, least_s = await self._located(transport, answers[name].records)
                return servers, min(ttl_s, least_s)
        return (() if any(answers[name].records for _, name in names) else None), ttl_s

    async def _ask_for(
        self, names: list[tuple[str, str]], known: dict[str, DnsAnswer[Srv]] | None = None
    ) -> dict[str, DnsAnswer[Srv]]:
        """The SRV records of each name that is not `known` yet, and those that are."""
        found = dict(known or {})
        wanted = [name for _, name in names if name not in found]
        answers = await asyncio.gather(*(_quietly(self._dns.srv(name)) for name in wanted))
        return found | dict(zip(wanted, answers, strict=True))

    async def _located(
        self, transport: str, records: tuple[Srv, ...]
    ) -> tuple[tuple[Server, ...], float]:
        """The addresses of the hosts that SRV records name. Raises DnsError if none has any."""
        records = tuple(sorted(records, key=lambda one: one.priority))[:MAX_SERVERS]
        wanted = [record for record in records if record.host]
        found = await asyncio.gather(
            *(self._dns.addresses(record.host) for record in wanted), return_exceptions=True
        )
        servers: list[Server] = []
        least_s = LONGEST_S
        for record, answer in zip(wanted, found, strict=True):
            if isinstance(answer, BaseException) and not isinstance(answer, DnsError):
                raise answer
            if isinstance(answer, DnsAnswer) and answer.records:
                endpoints = tuple(Endpoint(transport, at, record.port) for at in answer.records)
                servers.append(Server(record.priority, record.weight, endpoints))
                least_s = min(least_s, answer.ttl_s)
        if not servers:
            raise DnsError(f"its SRV records name {wanted[0].host}, which has no address")
        return tuple(servers), least_s


def _look_at(asked: asyncio.Future[DnsAnswer[str]]) -> None:
    """Look at an answer that is needed no more: it may be a failure, which asyncio would log."""
    if not asked.cancelled():
        asked.exception()


async def _quietly(asked: Coroutine[None, None, DnsAnswer[T]]) -> DnsAnswer[T]:
    """No answer is as good as none such: the host's addresses are still to be asked for."""
    try:
        return await asked
    except DnsError:
        return DnsAnswer((), NEGATIVE_S)


def _question(uri: Uri) -> _Question:
    """Raises ResolveError for a transport that we do not speak."""
    transport = "tls" if uri.scheme == "sips" else uri.transport
    if transport is not None and transport not in DEFAULT_PORT:
        raise ResolveError(f"{uri.host} is to be reached over {transport}, which we do not speak")
    return _Question(uri.host.lower(), uri.port, transport)


def _preferred(naptrs: tuple[Naptr, ...]) -> list[tuple[str, str]]:
    """(transport, SRV name) of each service, the server's favourite first."""
    ranked = sorted((one.order, one.preference, one.service, one.name) for one in naptrs)
    return [(_SERVICES[service], name) for *_, service, name in ranked if service in _SERVICES]


def _as_server(addresses: tuple[str, ...], transport: str, port: int) -> tuple[Server, ...]:
    """Addresses alone, as if one SRV record had named them all."""
    endpoints = tuple(Endpoint(transport, at, port) for at in addresses[:MAX_SERVERS])
    return (Server(0, 0, endpoints),) if endpoints else ()


@functools.lru_cache(maxsize=4096)
def _numeric(host: str, port: int | None, transport: str) -> tuple[Target, ...] | None:
    """The one server that a host which is an address means."""
    if not is_address(host):
        return None
    return (Target(Endpoint(transport, host, port or DEFAULT_PORT.get(transport, 5060)), host),)
