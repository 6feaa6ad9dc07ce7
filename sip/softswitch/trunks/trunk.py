"""Trunks: the peers that we exchange calls with, and what each wants of SIP.

A carrier's or PBX's quirks are values here, never code: they come from its entry in the
configuration, laid over its profile.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from config.settings import (
    CalledNumberSettings,
    CallerIdSettings,
    HealthSettings,
    MediaSettings,
    MediaTermsSettings,
    PassHeaderSettings,
    PeerSettings,
    RegistrationSettings,
    Settings,
)
from config.transfer_settings import TrunkTransferSettings
from config.values import Source
from sip.b2bua.call_events import Headers
from sip.b2bua.legs.options import DEFAULT, LegOptions, Reliable
from sip.b2bua.legs.outbound import NO_RESPONSE_S, POST_DIAL_S
from sip.core.digest_client import Credentials
from sip.core.header_values import canonical
from sip.core.sdp_codecs import Codecs
from sip.core.sdp_crypto import Encryption
from sip.core.session_timer import Mode, Policy
from sip.core.uri import Uri
from sip.media.terms import PASSED_HOLD, HoldTerms, KeyForm, MediaTerms
from sip.transport.endpoint import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """A peer that we exchange calls with, as the SIP side needs it.

    `login` is the user name and password that the peer must prove, `credentials` are ours.
    `secret_headers` (lower-case name to value) prove the peer and stay hidden.
    `force_rport` answers its requests at the port that they came from (RFC 3581), asked or not.
    `country` (ISO 3166) is what a number without a country code is taken for. `max_calls` counts
    both directions, `calls_per_second` what we place, `accept_per_second` what it brings; None is
    no limit of its own.
    """

    name: str
    gateways: tuple[Uri, ...] = ()
    outbound_proxy: Uri | None = None
    sources: tuple[Source, ...] = ()
    certificates: tuple[str, ...] = ()
    secret_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    login: tuple[str, str] | None = field(default=None, repr=False)
    credentials: Credentials | None = None
    registers: bool = False
    registration: RegistrationSettings = field(default_factory=RegistrationSettings)
    registrar: bool = False
    no_response_s: float = NO_RESPONSE_S
    force_rport: bool = False
    post_dial_s: float = POST_DIAL_S
    leg: LegOptions = DEFAULT
    follows_redirects: bool = False
    health: HealthSettings = field(default_factory=HealthSettings)
    country: str | None = None
    caller_id: CallerIdSettings = field(default_factory=CallerIdSettings)
    called_number: CalledNumberSettings = field(default_factory=CalledNumberSettings)
    headers: Headers = ()
    pass_headers: PassHeaderSettings = field(default_factory=PassHeaderSettings)
    transfer: TrunkTransferSettings = field(default_factory=TrunkTransferSettings)
    max_calls: int | None = None
    calls_per_second: int | None = None
    accept_per_second: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "leg", replace(self.leg, trunk=self.name))

    @classmethod
    def of(
        cls,
        settings: PeerSettings,
        *,
        default_country: str | None = None,
        hold: HoldTerms = PASSED_HOLD,
    ) -> "Trunk":
        """The trunk that the configuration describes."""
        proxy, login, ours = settings.outbound_proxy, settings.login, settings.credentials
        gateways = settings.gateways
        if not gateways and settings.registers and settings.registration.registrar:
            gateways = (settings.registration.registrar,)
        return cls(
            name=settings.name,
            gateways=tuple(Uri.parse(gateway) for gateway in gateways),
            outbound_proxy=Uri.parse(proxy) if proxy else None,
            sources=settings.identify,
            certificates=settings.identify_certificates,
            secret_headers={
                canonical(name): value.get_secret_value()
                for name, value in settings.identify_headers.items()
            },
            login=(login.username, login.password.get_secret_value()) if login else None,
            credentials=Credentials(ours.username, ours.password.get_secret_value(), ours.realm)
            if ours
            else None,
            registers=settings.registers,
            registration=settings.registration,
            registrar=settings.registrar,
            no_response_s=settings.no_response_s,
            force_rport=_force_rport(settings),
            post_dial_s=settings.post_dial_s,
            leg=_leg_options(settings, hold),
            follows_redirects=settings.redirects == "follow",
            health=settings.health,
            country=settings.country or default_country,
            caller_id=settings.caller_id,
            called_number=settings.called_number,
            headers=tuple(settings.headers.items()),
            pass_headers=settings.pass_headers,
            transfer=settings.transfer,
            max_calls=settings.max_calls,
            calls_per_second=settings.calls_per_second,
            accept_per_second=settings.accept_per_second,
        )

    @property
    def own_users(self) -> frozenset[str]:
        """The user parts by which the peer knows us rather than the number it calls.

        A registrar sends its INVITE to the Contact that we registered (RFC 3261 16.5), so that
        the number stands in To alone.
        """
        if not self.registers:
            return frozenset()
        users = {self.registration.contact_user}
        if self.credentials is not None:
            users |= {self.credentials.username, self.credentials.username.partition("@")[0]}
        if self.registration.aor is not None:
            users.add(Uri.parse(self.registration.aor).user)
        return frozenset(user for user in users if user)

    @property
    def redirect_hosts(self) -> frozenset[str]:
        """Where a 3xx may lead, in lower case: this trunk's own hosts; empty if it may not."""
        if not self.follows_redirects:
            return frozenset()
        return frozenset(gateway.host.lower() for gateway in self.gateways)

    def gateway_at(self, uri: Uri) -> Uri | None:
        """The gateway that `uri` leads to, by host and port."""
        there = (uri.host.lower(), uri.port)
        return next((g for g in self.gateways if (g.host.lower(), g.port) == there), None)

    def matches(self, source: Endpoint) -> bool:
        """Whether a request from `source` is this trunk's by its address."""
        address = ip_address(source.host)
        return any(allowed.matches(address, source.port) for allowed in self.sources)


class Trunks:
    """All trunks of a configuration."""

    def __init__(self, trunks: Iterable[Trunk]) -> None:
        self._by_name: Mapping[str, Trunk] = {trunk.name: trunk for trunk in trunks}
        # Asked for every request, by the same few peers, and by scanners: cached, bounded.
        self.from_source = functools.lru_cache(maxsize=4096)(self._from_source)

    @classmethod
    def of(cls, settings: Settings) -> "Trunks":
        """Every trunk of the configuration, in its order."""
        country = settings.outbound.default_country
        hold = _hold_terms(settings.media)
        trunks = settings.every_trunk()
        return cls(Trunk.of(one, default_country=country, hold=hold) for one in trunks)

    def __iter__(self) -> Iterator[Trunk]:
        return iter(self._by_name.values())

    def named(self, name: str) -> Trunk | None:
        return self._by_name.get(name)

    def at(self, uri: Uri) -> Trunk | None:
        """The trunk that `uri` leads to; None where no trunk or several would fit."""
        found = [trunk for trunk in self if trunk.gateway_at(uri) is not None]
        return found[0] if len(found) == 1 else None

    def _from_source(self, source: Endpoint) -> tuple[Trunk, ...]:
        """The trunks that send from `source`, in the order of the configuration."""
        return tuple(trunk for trunk in self._by_name.values() if trunk.matches(source))

    def by_login(self, username: str) -> Trunk | None:
        """The trunk whose peer proves itself as `username`."""
        for trunk in self._by_name.values():
            if trunk.login is not None and trunk.login[0] == username:
                return trunk
        return None


def _force_rport(settings: PeerSettings) -> bool:
    """PBXs stand behind NAT, carriers do not."""
    said = settings.force_rport
    return settings.kind == "pbx" if said is None else said


def _hold_terms(media: MediaSettings) -> HoldTerms:
    return HoldTerms(passed=media.hold == "pass", music=media.hold_music)


def _leg_options(settings: PeerSettings, hold: HoldTerms) -> LegOptions:
    timer = settings.session_timer
    return LegOptions(
        advertise=settings.advertise,
        contact_domain=settings.contact_domain,
        reliable=Reliable(settings.reliable),
        session_timer=Policy(
            mode=Mode(timer.mode), expires_s=timer.expires_s, min_se_s=timer.min_se_s
        ),
        # who registers with us is reached the way it came, through whatever NAT it sits behind
        symmetric=settings.registrar,
        media=_media_terms(settings.media, hold),
        reinvites=settings.media.reinvite,
        takes_refer=settings.transfer.accepts(settings.kind),
    )


def _media_terms(settings: MediaTermsSettings, hold: HoldTerms) -> MediaTerms:
    return MediaTerms(
        dtmf=KeyForm(settings.dtmf),
        encryption=Encryption(settings.srtp),
        codecs=Codecs(settings.codecs, ordered=settings.codec_order == "listed"),
        packet_time_ms=settings.packet_time_ms,
        t38=settings.t38,
        hold=hold,
    )
