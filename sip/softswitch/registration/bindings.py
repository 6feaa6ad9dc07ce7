"""Where the PBXs and phones are that registered with us (RFC 3261 10.3), until when.

Bindings belong to a trunk: its login proved them. They are kept in memory, and written to a store
so that a restart of the gateway does not lose the peers until their next REGISTER.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import structlog

from sip.clock import Clock, Timer
from sip.core.header_values import parse_name_addr
from sip.core.register_request import ContactWish
from sip.core.uri import Uri, same_uri
from sip.errors import Fault, ParseError, SipError
from sip.softswitch.shared import BindingRecord, BindingStore, MemoryStore
from sip.transport.address import is_address
from sip.transport.endpoint import DEFAULT_PORT, Endpoint, Flow, uri_transport

log = structlog.get_logger(__name__)


class OutOfOrderError(SipError):
    """A REGISTER that is older than what it would change (RFC 3261 10.3 steps 6 and 7)."""

    fault = Fault.PEER


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """One contact of one address of record.

    `contact` and `params` are as received. `source` is where the REGISTER came from, `path` the
    proxies it came by (RFC 3327), outermost for us first. `expires_at` is in seconds of the clock,
    `registered_at` in seconds since 1970.
    """

    trunk: str
    aor: str
    contact: str
    params: str
    q: float
    instance: str
    source: Endpoint
    path: tuple[str, ...]
    sip_call_id: str
    cseq: int
    user_agent: str
    registered_at: float
    expires_at: float

    @property
    def uri(self) -> Uri:
        """The Request-URI of requests for it."""
        return Uri.parse(self.contact)

    @property
    def next_hop(self) -> Uri:
        """Who gets them: the proxy next to us, or the contact itself."""
        return parse_name_addr(self.path[0]).uri if self.path else self.uri

    @property
    def behind_nat(self) -> bool:
        """Whether the next hop names an address that only its own network knows."""
        host = self.next_hop.host
        return is_address(host) and host != self.source.host

    @property
    def endpoint(self) -> Endpoint:
        """Where requests go: always to the host that the REGISTER came from.

        At the port that the next hop names, or behind NAT the one that its REGISTER came from. A
        name is not looked up: who registered can be reached where it did so, and can make us call
        nowhere else by it.
        """
        if self.behind_nat:
            return self.source
        hop = self.next_hop
        if hop.transport is None and hop.scheme == "sip":
            transport = self.source.transport
        else:
            transport = uri_transport(hop)
        return Endpoint(transport, self.source.host, hop.port or DEFAULT_PORT.get(transport, 5060))


@dataclass(frozen=True, slots=True)
class Location:
    """A way to a registered peer, for an INVITE.

    `uri` is its Contact, and `text` the same to the letter: the Request-URI (RFC 3261 16.5) that
    peers such as 3CX compare. `flow` is the connection that it registered over, if
    that is still there; otherwise, and over UDP, requests go to `endpoint`. `path` are the Route
    values (RFC 3327 5.3).
    """

    uri: Uri
    text: str
    flow: Flow | None
    endpoint: Endpoint
    path: tuple[str, ...]


class Bindings:
    """All bindings of all trunks."""

    def __init__(self, clock: Clock, store: BindingStore | None = None) -> None:
        self._clock = clock
        self._store: BindingStore = store if store is not None else MemoryStore()
        self._bindings: dict[tuple[str, str, str], Binding] = {}
        self._flows: dict[tuple[str, str, str], Flow] = {}
        self._from: dict[Endpoint, list[Binding]] = {}
        self._sweep: Timer | None = None

    # reading

    def of(self, trunk: str, now: float) -> list[Location]:
        """Where to find the peer of `trunk`: the preferred contact (q) first, then the newest.

        A peer behind NAT that registered over a connection which is gone is out of reach until it
        registers again, and left out.
        """
        found = [binding for binding in self.live(now) if binding.trunk == trunk]
        found.sort(key=lambda binding: (-binding.q, -binding.registered_at))
        return [place for binding in found if (place := self._location(binding)) is not None]

    def trunk_of(self, source: Endpoint, now: float) -> str | None:
        """The trunk whose peer is registered from exactly that address, port and transport.

        None also where peers of several trunks are: such must prove who they are.
        """
        found = {b.trunk for b in self._from.get(source, ()) if now < b.expires_at}
        return found.pop() if len(found) == 1 else None

    def live(self, now: float) -> Iterator[Binding]:
        """Every binding that holds."""
        return (binding for binding in self._bindings.values() if now < binding.expires_at)

    def at(self, trunk: str, aor: str, now: float) -> list[Binding]:
        """The bindings of one address of record."""
        return [b for b in self.live(now) if (b.trunk, b.aor) == (trunk, aor)]

    def of_user(self, user: str, host: str | None, now: float) -> dict[str, list[Location]]:
        """Where to find who registered as `user`, by trunk, best first as in `of`.

        `host` is that of its address of record; None is any.
        """
        found = [one for one in self.live(now) if _is_of(one, user, host)]
        found.sort(key=lambda binding: (-binding.q, -binding.registered_at))
        places: dict[str, list[Location]] = {}
        for binding in found:
            place = self._location(binding)
            if place is not None:
                places.setdefault(binding.trunk, []).append(place)
        return places

    def _location(self, binding: Binding) -> Location | None:
        flow = self._flows.get(_key(binding))
        if flow is not None and flow.closed:
            flow = None
        if flow is None and binding.behind_nat and binding.source.transport != "udp":
            return None
        return Location(binding.uri, binding.contact, flow, binding.endpoint, binding.path)

    # changing

    async def restore(self, trunks: Iterable[str]) -> int:
        """Take over what the last run left for these trunks; how many bindings that is."""
        wanted = set(trunks)
        for record in await self._store.load():
            binding = self._from_record(record)
            if binding is None or binding.trunk not in wanted:
                self._store.delete(*record.key)
            else:
                self._bindings[_key(binding)] = binding
        self._changed()
        return len(self._bindings)

    def bind(self, given: Binding, wished: list[ContactWish], flow: Flow, *, most: int) -> None:
        """Add, refresh and remove contacts of an address of record, all or none.

        `given` is what all of them share; `expires_s` of each wish is what it gets. Where there are
        more than `most` then, those go that were not refreshed for longest. Raises OutOfOrderError.
        """
        now = self._clock.now()
        before = self.at(given.trunk, given.aor, now)
        olds = [self._same(before, wish) for wish in wished]
        for old in olds:
            self._check_order(old, given)
        for wish, old in zip(wished, olds, strict=True):
            if old is not None and (not wish.expires_s or old.contact != wish.text):
                self._drop(old, "removed" if not wish.expires_s else None)
            if not wish.expires_s:
                continue
            binding = replace(
                given,
                contact=wish.text,
                params=wish.params,
                q=wish.q,
                instance=wish.instance,
                registered_at=self._clock.epoch(),
                expires_at=now + wish.expires_s,
            )
            self._drop_twins(before, binding)
            self._put(binding, flow, new=old is None)
        held = self.at(given.trunk, given.aor, now)
        for old in sorted(held, key=lambda b: b.registered_at)[: max(len(held) - most, 0)]:
            self._drop(old, "displaced")
        self._changed()

    def keep(self, trunks: Iterable[str]) -> None:
        """Remove every contact that is of none of these trunks."""
        wanted = set(trunks)
        for binding in [one for one in self._bindings.values() if one.trunk not in wanted]:
            self._drop(binding, "its trunk was taken out of the configuration")
        self._changed()

    def clear(self, given: Binding) -> None:
        """Remove every contact of an address of record (`Contact: *`). Raises OutOfOrderError."""
        before = self.at(given.trunk, given.aor, self._clock.now())
        for binding in before:
            self._check_order(binding, given)
        for binding in before:
            self._drop(binding, "removed")
        self._changed()

    def close(self) -> None:
        """Stop the timer; what is bound stays in the store."""
        if self._sweep is not None:
            self._sweep.cancel()

    @staticmethod
    def _same(bindings: list[Binding], wish: ContactWish) -> Binding | None:
        """RFC 3261 10.3 step 7: by the rules of URI comparison."""
        return next((b for b in bindings if same_uri(b.uri, wish.uri)), None)

    @staticmethod
    def _check_order(old: Binding | None, new: Binding) -> None:
        if old is not None and old.sip_call_id == new.sip_call_id and new.cseq <= old.cseq:
            raise OutOfOrderError

    def _drop_twins(self, before: list[Binding], new: Binding) -> None:
        """RFC 5626 6: a device that comes back from elsewhere replaces what it left behind."""
        for old in before:
            twin = new.instance and old.instance == new.instance and old.contact != new.contact
            if twin:
                self._drop(old, "replaced")

    def _put(self, binding: Binding, flow: Flow, *, new: bool) -> None:
        self._bindings[_key(binding)] = binding
        if flow.reliable:
            flow.keep()
            self._flows[_key(binding)] = flow
        self._store.save(self._to_record(binding))
        if new:
            log.info("contact.registered", **_shown(binding), user_agent=binding.user_agent)

    def _drop(self, binding: Binding, why: str | None) -> None:
        if self._bindings.pop(_key(binding), None) is None:
            return
        self._flows.pop(_key(binding), None)
        self._store.delete(*_key(binding))
        if why is not None:
            log.info("contact.gone", **_shown(binding), reason=why)

    def _changed(self) -> None:
        """Work out anew who is where, and when the next binding ends."""
        self._from = {}
        for binding in self._bindings.values():
            self._from.setdefault(binding.source, []).append(binding)
        self.close()
        if self._bindings:
            first = min(binding.expires_at for binding in self._bindings.values())
            delay_s = max(first - self._clock.now(), 0.0)
            self._sweep = self._clock.call_later(delay_s, self._expire)

    def _expire(self) -> None:
        now = self._clock.now()
        for binding in [b for b in self._bindings.values() if b.expires_at <= now]:
            self._drop(binding, "expired")
        self._changed()

    # records: the clock's seconds mean nothing to the next run, those since 1970 do

    def _to_record(self, binding: Binding) -> BindingRecord:
        left_s = binding.expires_at - self._clock.now()
        return BindingRecord(
            trunk=binding.trunk,
            aor=binding.aor,
            contact=binding.contact,
            params=binding.params,
            q=binding.q,
            instance=binding.instance,
            source=str(binding.source),
            path="\n".join(binding.path),
            sip_call_id=binding.sip_call_id,
            cseq=binding.cseq,
            user_agent=binding.user_agent,
            registered_ms=round(binding.registered_at * 1000),
            expires_ms=round((self._clock.epoch() + left_s) * 1000),
        )

    def _from_record(self, record: BindingRecord) -> Binding | None:
        """None for a record that has expired, or that a later version has written."""
        left_s = record.expires_ms / 1000 - self._clock.epoch()
        try:
            binding = Binding(
                trunk=record.trunk,
                aor=record.aor,
                contact=record.contact,
                params=record.params,
                q=record.q,
                instance=record.instance,
                source=Endpoint.parse(record.source),
                path=tuple(record.path.splitlines()),
                sip_call_id=record.sip_call_id,
                cseq=record.cseq,
                user_agent=record.user_agent,
                registered_at=record.registered_ms / 1000,
                expires_at=self._clock.now() + left_s,
            )
            _ = binding.endpoint
        except (ValueError, ParseError):
            return None
        return binding if left_s > 0 else None


def _is_of(binding: Binding, user: str, host: str | None) -> bool:
    name, _, at = binding.aor.rpartition("@")
    return name == user and (host is None or at == host.lower())


def _key(binding: Binding) -> tuple[str, str, str]:
    return binding.trunk, binding.aor, binding.contact


def _shown(binding: Binding) -> dict[str, str]:
    return {
        "trunk": binding.trunk,
        "aor": binding.aor,
        "contact": binding.contact,
        "source": str(binding.source),
    }
