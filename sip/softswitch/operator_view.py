"""The SIP edge as an operator sees it: trunks, registrations, bans, as plain data without secrets.

What it says of a trunk is put together from those who know: its gateways' health, our
registration, its contacts, its calls.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

from config.settings import PeerSettings, Settings
from sip.clock import Clock
from sip.media.plane import MediaError, MediaStats
from sip.media.session import by_leg
from sip.softswitch.admission.bans import Bans
from sip.softswitch.admission.refused_calls import Refused
from sip.softswitch.registration.registration import RegistrationView
from sip.softswitch.trunks.circuit import CircuitState
from sip.softswitch.trunks.health import GatewayState
from sip.softswitch.trunks.trunk import Trunk, Trunks
from sip.transport.endpoint import Endpoint

Json: TypeAlias = dict[str, Any]

#: An operator asks whether calls go there, not what a circuit is.
_SHOWN: Final = {
    CircuitState.CLOSED: "up",
    CircuitState.OPEN: "down",
    CircuitState.HALF_OPEN: "trying",
    CircuitState.TRYING: "trying",
}


class Gateways(Protocol):
    """`sip.softswitch.trunks.health.TrunkHealth`."""

    def states(self) -> Iterable[GatewayState]: ...


class ShownRegistrations(Protocol):
    """`sip.softswitch.registration.registrations.Registrations`."""

    def states(self) -> Iterable[RegistrationView]: ...
    async def refresh(self, trunk: str) -> RegistrationView | None: ...


class Contact(Protocol):
    """`sip.softswitch.registration.bindings.Binding`."""

    @property
    def trunk(self) -> str: ...
    @property
    def aor(self) -> str: ...
    @property
    def contact(self) -> str: ...
    @property
    def source(self) -> Endpoint: ...
    @property
    def user_agent(self) -> str: ...
    @property
    def expires_at(self) -> float: ...


class Contacts(Protocol):
    """`sip.softswitch.registration.bindings.Bindings`."""

    def live(self, now: float) -> Iterable[Contact]: ...


class Certificate(Protocol):
    """`sip.transport.tls.contexts.ServerTls`."""

    @property
    def expires_at(self) -> float | None: ...


class OperatorView:
    """Reads the parts of one softswitch; nothing is kept here."""

    def __init__(
        self,
        settings: Settings,
        trunks: Trunks,
        *,
        clock: Clock,
        health: Gateways,
        bans: Bans,
        refused: Refused,
        turned_away: Callable[[], Mapping[str, Mapping[str, int]]] = dict,
        certificates: Mapping[str, Certificate] = MappingProxyType({}),
        calls: Callable[[str], int],
        media: Callable[[str], Awaitable[MediaStats | None]],
        registrations: ShownRegistrations | None = None,
        bindings: Contacts | None = None,
    ) -> None:
        """`calls` counts a trunk's calls now, `media(call_sid)` is a call's counters (it may raise
        MediaError), `turned_away` what went nowhere, by kind and reason;
        `certificates` are those of listeners; without `registrations` no trunk registers."""
        self._configured = {trunk.name: trunk for trunk in settings.every_trunk()}
        self._trunks = trunks
        self._clock = clock
        self._health = health
        self._registrations = registrations
        self._bindings = bindings
        self._bans = bans
        self._refused = refused
        self._turned_away = turned_away
        self._certificates = certificates
        self._calls = calls
        self._media = media

    def trunks(self) -> list[Json]:
        """Every trunk, in the order of the configuration."""
        gateways: dict[str, list[GatewayState]] = {}
        for state in self._health.states():
            gateways.setdefault(state.trunk, []).append(state)
        states = self._registrations.states() if self._registrations else ()
        registrations = {state.trunk: state for state in states}
        contacts: dict[str, list[Json]] = {}
        now = self._clock.now()
        for binding in self._bindings.live(now) if self._bindings else ():
            contacts.setdefault(binding.trunk, []).append(_contact(binding, now))
        return [
            self._trunk(
                trunk,
                gateways.get(trunk.name, []),
                registrations.get(trunk.name),
                contacts.get(trunk.name, []) if trunk.registrar else None,
            )
            for trunk in self._trunks
        ]

    async def register_now(self, trunk: str) -> Json | None:
        """Ask that trunk's registrar at once; the registration once it has answered.

        None for a trunk that we do not register with.
        """
        if self._registrations is None:
            return None
        state = await self._registrations.refresh(trunk)
        return None if state is None else self._registration(state)

    async def media(self, call_sid: str) -> Json | None:
        """The media counters of a call in progress, by leg; None where there are none."""
        try:
            stats = await self._media(call_sid)
        except MediaError:
            return None
        if stats is None:
            return None
        return {leg: asdict(party) for leg, party in by_leg(stats).items()}

    def bans(self) -> list[Json]:
        """The bans that hold, oldest first."""
        now, epoch = self._clock.now(), self._clock.epoch()
        return [
            {
                "address": ban.address,
                "since": _iso(epoch + ban.since - now),
                "until": _iso(epoch + ban.until - now),
                "reason": ban.reason,
                "strikes": ban.strikes,
            }
            for ban in self._bans.list(now)
        ]

    def unban(self, address: str) -> bool:
        """End a ban; False if there was none."""
        return self._bans.lift(address)

    def refused(self) -> list[Json]:
        """Calls that were refused before any application heard of them, the latest first."""
        return [
            {
                "source": entry.source,
                "trunk": entry.trunk,
                "from": entry.caller,
                "to": entry.number,
                "reason": entry.reason,
                "detail": entry.detail,
                "fix": entry.fix or None,
                "fault": entry.fault.value,
                "sip_status": entry.status,
                "count": entry.count,
                "first_at": _iso(entry.first),
                "last_at": _iso(entry.last),
            }
            for entry in self._refused.list()
        ]

    @property
    def refused_total(self) -> Mapping[str, int]:
        """How many there were since the start, by reason."""
        return self._refused.counts

    @property
    def turned_away(self) -> Mapping[str, Mapping[str, int]]:
        """What went nowhere since the start: how many by kind, and by reason."""
        return self._turned_away()

    @property
    def certificate_ends(self) -> Mapping[str, float]:
        """When each listener's certificate ends, in seconds since 1970."""
        ends = {name: one.expires_at for name, one in self._certificates.items()}
        return {name: at for name, at in ends.items() if at is not None}

    @property
    def bans_total(self) -> int:
        """Bans since the start."""
        return self._bans.counts.total()

    # parts

    def _trunk(
        self,
        trunk: Trunk,
        gateways: list[GatewayState],
        registration: RegistrationView | None,
        bindings: list[Json] | None,
    ) -> Json:
        configured = self._configured[trunk.name]
        up = None  # it calls us, and is never called
        if gateways or trunk.registrar:
            some_up = any(gateway.state is not CircuitState.OPEN for gateway in gateways)
            up = some_up or bool(bindings)
        return {
            "name": trunk.name,
            "kind": configured.kind,
            "profile": configured.profile,
            "up": up,
            "gateways": [_gateway(gateway) for gateway in gateways],
            "registration": registration and self._registration(registration),
            "bindings": bindings,
            "calls": {"now": self._calls(trunk.name), "limit": trunk.max_calls},
            "identify": _identify(trunk, configured),
        }

    def _registration(self, state: RegistrationView) -> Json:
        expires_in_s = None
        if state.expires_at is not None:
            expires_in_s = max(0, round(state.expires_at - self._clock.epoch()))
        return {
            "state": state.state,
            "registrar": state.registrar,
            "aor": state.aor,
            "since": _iso(state.since),
            "expires_in_s": expires_in_s,
            "last_status": state.last_status,
            "last_error": state.last_error,
        }


def _gateway(state: GatewayState) -> Json:
    shown = _SHOWN[state.state]
    if shown == "up" and not state.heard:
        shown = "unknown"
    trip = state.round_trip_s
    return {
        "uri": str(state.gateway),
        "state": shown,
        "since": _iso(state.since),
        "watched_by": "options" if state.by_options else "calls",
        "last_status": state.last_status,
        "last_error": state.last_error,
        "round_trip_ms": None if trip is None else round(1000 * trip, 1),
    }


def _contact(binding: Contact, now: float) -> Json:
    return {
        "contact": binding.contact,
        "aor": binding.aor,
        "source": str(binding.source),
        "expires_in_s": max(0, round(binding.expires_at - now)),
        "user_agent": binding.user_agent or None,
    }


def _identify(trunk: Trunk, configured: PeerSettings) -> Json:
    """What proves a request to be this trunk's: names only, never what they stand for."""
    return {
        "addresses": [
            str(source).removesuffix("/32").removesuffix("/128") for source in trunk.sources
        ],
        "login": trunk.login[0] if trunk.login else None,
        "certificates": list(trunk.certificates),
        "headers": list(configured.identify_headers),
        "registration": trunk.registrar,
    }


def _iso(epoch: float) -> str:
    """ISO 8601 in UTC, as the calls' records have it."""
    moment = datetime.fromtimestamp(epoch, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
