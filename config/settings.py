"""The configuration as typed, frozen models; `load` is the only reader of the file and of env.

`docs/config.md` describes every key; a test keeps the two in step.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from config import profiles
from config.cross_checks import cross_problems
from config.environment import read_environment, read_file
from config.problems import ConfigError, model_problems
from config.values import (
    Address,
    Advertise,
    ApplicationUrl,
    Country,
    Dialled,
    Domain,
    Engines,
    HeaderName,
    HeaderPattern,
    HeaderValue,
    HostName,
    HttpUrl,
    IpAddress,
    ListenAddress,
    Listener,
    Name,
    NumberKey,
    Parameter,
    PeerSource,
    PortRange,
    Prefix,
    ReadableFile,
    RtpPorts,
    Secret,
    SipListener,
    SipUri,
    Source,
    StorageUrl,
    XHeaderName,
)

__all__ = ["ConfigError", "Settings", "load"]

Method = Literal["trunk", "dial"]
NumberFormat = Literal["+e164", "e164", "national", "as-is"]
IdentityHeader = Literal["from", "pai", "ppi", "rpid", "diversion"]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]

# Where Retell's own INVITEs come from, all regions (docs.retellai.com/deploy/custom-telephony).
RETELL_SOURCES: tuple[Source, ...] = (
    Source.parse("18.98.16.120/30"),
    Source.parse("3.42.144.0/23"),
    Source.parse("153.57.128.0/18"),
    Source.parse("143.223.88.0/21"),
    Source.parse("161.115.160.0/19"),
)


class Model(BaseModel):
    """Frozen, and strict about names: a key nobody reads is a typing error of the operator."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _listeners(value: Any) -> Any:
    """A listener of which only the address is told may be written as that string alone."""
    if not isinstance(value, list | tuple):
        return value
    return [{"address": item} if isinstance(item, str) else item for item in value]


class PeerLogin(Model):
    """A digest user name and password that a peer must prove to us."""

    username: Name
    password: Secret


class Credentials(Model):
    """A digest user name and password that we present; with a `realm`, to that realm alone."""

    username: Name
    password: Secret
    realm: Name | None = None


class Login(Model):
    """What Retell must prove to us by digest. Without a password only the name is recognised,
    because somebody else (a jambonz SBC) has checked the digest."""

    username: Name
    password: Secret | None = None


class Fallback(Model):
    """Where a caller goes when Retell refuses, is down or stays silent."""

    trunk: Name
    to: Name


class HttpSettings(Model):
    listen: ListenAddress = Address("0.0.0.0", 8080)
    public_url: HttpUrl | None = None
    admin_token: Secret | None = None


class TlsSettings(Model):
    """Our certificate and whom we believe. Every TLS listener and connection uses it.

    `ca` is a bundle of roots to verify servers with (default: the system's); `client_ca` the roots
    of client certificates, asked for where `client_certificates` is not off.
    """

    certificate: ReadableFile | None = None
    key: ReadableFile | None = None
    ca: ReadableFile | None = None
    client_ca: ReadableFile | None = None
    client_certificates: Literal["off", "optional", "required"] = "off"
    verify: bool = True


class ListenSettings(Model):
    """One SIP socket. Written as a string where nothing but the address is to be said.

    `certificate`, `key` and `advertise` override `sip.tls` and `sip.advertise` for it.
    """

    address: SipListener
    certificate: ReadableFile | None = None
    key: ReadableFile | None = None
    advertise: IpAddress | None = None


class BanSettings(Model):
    """Sources that nothing explains, or that fail their digest, are banned by and by.

    The first ban lasts `first_s`, each further one of the same source twice as long, up to
    `longest_s`. A configured trunk's address is never banned.
    """

    strangers: Positive = 20
    wrong_passwords: Positive = 3
    first_s: Seconds = 300
    longest_s: Seconds = 86_400
    packets_per_second: Positive = 200
    scanners: tuple[HeaderValue, ...] = (
        *("friendly-scanner", "sipvicious", "sundayddr", "sip-scan", "sipsak", "iwar"),
        *("sipcli", "VaxSIPUserAgent", "pplsip", "SIP Call", "scan"),
    )


class RegistrarSettings(Model):
    """For PBXs and phones that register with us (`trunks[].registrar`)."""

    min_expires_s: Positive = 60
    max_expires_s: Positive = 3600
    keepalive_s: Seconds = 25


class SipAuthSettings(Model):
    nonce_lifetime_s: Positive = 60
    algorithms: Annotated[tuple[Literal["SHA-256", "MD5"], ...], Field(min_length=1)] = ("MD5",)


Listeners = Annotated[tuple[ListenSettings, ...], BeforeValidator(_listeners)]


class SipSettings(Model):
    """`listen: []` switches the softswitch off: the application serves a real jambonz."""

    listen: Listeners = (
        ListenSettings(address=Listener("udp", "0.0.0.0", 5060)),
        ListenSettings(address=Listener("tcp", "0.0.0.0", 5060)),
    )
    advertise: IpAddress | None = None
    realm: Name = "retell-sip-gateway"
    tls: TlsSettings = TlsSettings()
    auth: SipAuthSettings = SipAuthSettings()
    bans: BanSettings = BanSettings()
    registrar: RegistrarSettings = RegistrarSettings()
    keepalive_s: Seconds = 30
    tcp_above_bytes: Annotated[int, Field(ge=0)] = 1300


class MediaSettings(Model):
    engine: Engines = ("builtin",)
    ports: RtpPorts = PortRange(20000, 29999)


class ApplicationSettings(Model):
    """Which jambonz application the softswitch asks. Username and password are HTTP Basic:
    the softswitch presents them, our own application demands them."""

    url: ApplicationUrl = "builtin"
    username: Name | None = None
    password: Secret | None = None


class StorageSettings(Model):
    url: StorageUrl = SecretStr("sqlite:///gateway.db")


class RetellSettings(Model):
    api_key: Secret | None = None
    base_url: HttpUrl = "https://api.retellai.com"
    sip_uri: SipUri = "sip:sip.retellai.com;transport=tcp"
    trunk: Name = "retell"
    method: Method = "trunk"
    agent: Name | None = None
    login: Login | None = None
    identify: tuple[PeerSource, ...] = RETELL_SOURCES
    ring_timeout_s: Seconds = 45
    fallback: Fallback | None = None


class RegistrationSettings(Model):
    """How we register with a trunk that wants it (`trunks[].register`).

    `registrar` is where REGISTER goes (default: the first gateway), `aor` the address of record
    (default: credentials' user name at the registrar's host).
    """

    registrar: SipUri | None = None
    aor: SipUri | None = None
    contact_user: Name | None = None
    contact_params: dict[Parameter, Parameter] = {}
    expires_s: Positive = 3600


class SessionTimerSettings(Model):
    """RFC 4028, on this trunk's legs. `accept` takes part where the peer asks; `request` asks;
    `always` refreshes even towards a peer that knows no session timers."""

    mode: Literal["off", "accept", "request", "always"] = "request"
    expires_s: Annotated[int, Field(ge=90, le=86_400)] = 1800
    min_se_s: Annotated[int, Field(ge=90, le=86_400)] = 90

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.min_se_s > self.expires_s:
            reason = f"min_se_s ({self.min_se_s}) must not be above expires_s ({self.expires_s})"
            raise ValueError(reason)
        return self


class HealthSettings(Model):
    """Whether a trunk's gateways are alive: by OPTIONS where it is welcome, and by their calls.

    `failures` in a row open the circuit; after `cool_down_s` one call or OPTIONS tries again.
    """

    options: bool = False
    interval_s: Annotated[float, Field(ge=5, le=3600)] = 60
    failures: Positive = 3
    cool_down_s: Seconds = 60


class CallerIdSettings(Model):
    """Which headers carry the caller's number.

    `accept`: inbound, the first header of this list that is there and valid. `send`: outbound,
    every header named gets the number; without `from` in it, From carries `from_user`.
    """

    accept: Annotated[tuple[IdentityHeader, ...], Field(min_length=1)] = ("pai", "from")
    send: Annotated[tuple[IdentityHeader, ...], Field(min_length=1)] = ("from",)
    from_user: Name | None = None
    from_domain: Domain | None = None
    format: NumberFormat = "+e164"
    user_phone: bool = False
    privacy: bool = True


class CalledNumberSettings(Model):
    """Where the called number stands inbound, and how it is written outbound.

    `strip` and `prefix` are taken off an inbound number and put before an outbound one.
    """

    accept: Literal["request-uri", "to", "p-called-party-id", "diversion"] = "request-uri"
    format: NumberFormat = "+e164"
    prefix: Dialled = ""
    strip: Dialled = ""


class PassHeaderSettings(Model):
    """Headers carried over from one leg to the other, by name; a `*` at the end stands for any."""

    inbound: tuple[HeaderPattern, ...] = ("X-*", "User-to-User", "Diversion", "History-Info")
    outbound: tuple[HeaderPattern, ...] = ("X-*", "User-to-User")


class TrunkSettings(Model):
    name: Name
    kind: Literal["carrier", "pbx"] = "carrier"
    profile: Name | None = None
    gateways: tuple[SipUri, ...] = ()
    outbound_proxy: SipUri | None = None
    identify: tuple[PeerSource, ...] = ()
    identify_headers: dict[HeaderName, Secret] = {}
    identify_certificates: tuple[Name, ...] = ()
    credentials: Credentials | None = None
    login: PeerLogin | None = None
    registers: bool = Field(default=False, alias="register")
    registration: RegistrationSettings = RegistrationSettings()
    registrar: bool = False
    srtp: Literal["off", "optional", "required"] = "off"
    transfer: Literal["refer", "bridge", "auto"] = "auto"
    no_response_s: Seconds = 8.0
    advertise: Advertise = "auto"
    contact_domain: HostName | None = None
    reliable: Literal["off", "accept", "offer", "require"] = "accept"
    session_timer: SessionTimerSettings = SessionTimerSettings()
    redirects: Literal["refuse", "follow"] = "refuse"
    health: HealthSettings = HealthSettings()
    country: Country | None = None
    caller_id: CallerIdSettings = CallerIdSettings()
    called_number: CalledNumberSettings = CalledNumberSettings()
    headers: dict[XHeaderName, HeaderValue] = Field(default={}, repr=False)
    pass_headers: PassHeaderSettings = PassHeaderSettings()
    max_calls: Positive | None = None
    calls_per_second: Positive | None = None


class NumberSettings(Model):
    agent: Name | None = None
    method: Method | None = None
    variables: dict[str, str] = {}
    fallback: Fallback | None = None


class RouteSettings(Model):
    prefix: Prefix = ""
    trunks: Annotated[tuple[Name, ...], Field(min_length=1)]


class OutboundSettings(Model):
    default_country: Country | None = None
    caller_id: Name | None = None
    ring_timeout_s: Seconds = 60
    routes: tuple[RouteSettings, ...] = ()


class LimitSettings(Model):
    calls: Positive = 500
    calls_per_second: Positive = 20


class LogSettings(Model):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Settings(Model):
    """The whole configuration. Read-only: a reload makes a new one."""

    http: HttpSettings = HttpSettings()
    sip: SipSettings = SipSettings()
    media: MediaSettings = MediaSettings()
    application: ApplicationSettings = ApplicationSettings()
    storage: StorageSettings = StorageSettings()
    retell: RetellSettings = RetellSettings()
    trunks: tuple[TrunkSettings, ...] = ()
    numbers: dict[NumberKey, NumberSettings] = {}
    outbound: OutboundSettings = OutboundSettings()
    limits: LimitSettings = LimitSettings()
    log: LogSettings = LogSettings()

    def trunk(self, name: str) -> TrunkSettings | None:
        """The trunk of that name; None for Retell's own (`retell.trunk`), which is no entry."""
        return next((trunk for trunk in self.trunks if trunk.name == name), None)

    def number(self, e164: str) -> NumberSettings | None:
        """What is configured for a dialled number, else for `"*"`, else None."""
        return self.numbers.get(e164) or self.numbers.get("*")


def load(path: Path | None, env: Mapping[str, str]) -> Settings:
    """Read, check and freeze the configuration.

    `path` None means the environment alone: the jambonz Retell example's variables, for an
    application that serves a real jambonz. With a file those variables are laid over it, and the
    profiles that its trunks name under them.
    Raises ConfigError with every problem found, one line each.
    """
    source = read_environment(env) if path is None else read_file(path, env)
    profiles.lay_under(source)
    problems = list(source.problems)
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(source.data, context={"directory": source.directory})
    except ValidationError as error:
        problems += model_problems(Settings, error)
    problems += (replace(problem, between=True) for problem in cross_problems(source.data))
    if problems or settings is None:
        raise ConfigError(source.lines(problems))
    return settings
