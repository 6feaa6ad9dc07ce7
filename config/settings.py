"""The configuration as typed, frozen models; `load` is the only reader of the file and of env.

`docs/config.md` describes every key; a test keeps the two in step.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError

from config.checks.cross import cross_problems
from config.problems import ConfigError, model_problems
from config.reading import profiles
from config.reading.environment import read_environment, read_file
from config.reading.source import Source as ReadSource
from config.texts import (
    ApplicationUrl,
    Country,
    Engines,
    Folder,
    HeaderValue,
    HttpUrl,
    IpAddress,
    Name,
    NumberKey,
    Prefix,
    Processes,
    PublicAddress,
    ReadableFile,
    ReadableFolder,
    Secret,
    SipUri,
    SoundName,
    StorageUrl,
)
from config.trunk_settings import (
    CalledNumberSettings,
    CallerIdSettings,
    CredentialsSettings,
    HealthSettings,
    IdentityHeader,
    MediaTermsSettings,
    NumberFormat,
    PassHeaderSettings,
    PeerLogin,
    PeerSettings,
    RegistrationSettings,
    RetellTrunk,
    SessionTimerSettings,
    Srtp,
    TrunkSettings,
)
from config.values import (
    Address,
    ListenAddress,
    Listener,
    Model,
    PeerSource,
    PortRange,
    Positive,
    RtpPorts,
    Seconds,
    SipListener,
    Source,
)

__all__ = [
    "CalledNumberSettings",
    "CallerIdSettings",
    "ConfigError",
    "CredentialsSettings",
    "HealthSettings",
    "IdentityHeader",
    "MediaTermsSettings",
    "NumberFormat",
    "PassHeaderSettings",
    "PeerLogin",
    "PeerSettings",
    "RegistrationSettings",
    "SessionTimerSettings",
    "Settings",
    "TrunkSettings",
    "load",
    "read",
]

#: Everything on this machine: what runs where there is neither a file nor a key of Retell's.
SANDBOX_FILE: Final = Path(__file__).with_name("sandbox.yaml")

Method = Literal["trunk", "dial"]

#: What is known of the trunk to Retell; the keys of `retell` are laid over it.
RETELL_TRUNK: Final = profiles.retell().trunk


def _listeners(value: Any) -> Any:
    """A listener of which only the address is told may be written as that string alone."""
    if not isinstance(value, list | tuple):
        return value
    return [{"address": item} if isinstance(item, str) else item for item in value]


class Login(Model):
    """What Retell must prove to us by digest. Without a password only the name is recognised,
    because a jambonz SBC has checked the digest before."""

    username: Name
    password: Secret | None = None


class Fallback(Model):
    """Where a caller goes when Retell refuses, is down or stays silent."""

    trunk: Name
    to: Name


class FaxTarget(Fallback):
    """Where a caller goes that turns out to be a fax machine."""


class HttpTlsSettings(Model):
    """The certificate that the HTTP side shows, and its key."""

    certificate: ReadableFile
    key: ReadableFile


class MetricsSettings(Model):
    """Who may read /metrics: whoever reaches `listen`, where that is set, and has the `token`."""

    listen: ListenAddress | None = None
    token: Secret | None = None


class HttpSettings(Model):
    """`trusted_proxies` are those whose word on a client's address counts. `max_connections` are
    in all, `connections_per_address` and `requests_per_second` of each client."""

    listen: ListenAddress = Address("0.0.0.0", 8080)
    admin_token: Secret | None = None
    tls: HttpTlsSettings | None = None
    trusted_proxies: tuple[PeerSource, ...] = ()
    metrics: MetricsSettings = MetricsSettings()
    max_connections: Positive = 500
    connections_per_address: Positive = 50
    requests_per_second: Positive = 20


class TlsSettings(Model):
    """Our certificate, and the authorities that we trust, of every TLS listener and connection.

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
    strangers_per_second: Positive = 300
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
    advertise: PublicAddress | None = None
    realm: Name = "retell-sip-gateway"
    tls: TlsSettings = TlsSettings()
    auth: SipAuthSettings = SipAuthSettings()
    bans: BanSettings = BanSettings()
    registrar: RegistrarSettings = RegistrarSettings()
    keepalive_s: Seconds = 30
    tcp_above_bytes: Annotated[int, Field(ge=0)] = 1300


class RtpengineSettings(Model):
    dtmf_log: ListenAddress | None = None


class MediaSettings(Model):
    """`hold` is what somebody hears who is put on hold, where the holder sends nothing. A leg that
    talks may send no RTP for `timeout_s`, 0 for ever. `sounds` holds what can be played."""

    engine: Engines = ("builtin",)
    ports: RtpPorts = PortRange(20000, 29999)
    processes: Processes = 1
    advertise: PublicAddress | None = None
    rtpengine: RtpengineSettings = RtpengineSettings()
    hold: Literal["pass", "silence", "music"] = "pass"
    hold_music: ReadableFile | None = None
    timeout_s: Annotated[float, Field(ge=0)] = 900
    sounds: ReadableFolder | None = None
    ringback: Country | None = None


class ApplicationSettings(Model):
    """Which jambonz application the softswitch asks, and whether a jambonz may ask ours. Username
    and password are HTTP Basic: the softswitch presents them, our own application demands them."""

    url: ApplicationUrl = "builtin"
    serve: bool | None = None
    username: Name | None = None
    password: Secret | None = None


class StorageSettings(Model):
    """`spool` is the folder for what the database does not take; records are kept for `keep_days`
    days and no more than `keep_calls` of them, 0 for all."""

    url: StorageUrl = SecretStr("sqlite:///gateway.db")
    spool: Folder | None = None
    keep_days: Annotated[int, Field(ge=0)] = 365
    keep_calls: Annotated[int, Field(ge=0)] = 0


class RetellSettings(Model):
    api_key: Secret | None = None
    base_url: HttpUrl = "https://api.retellai.com"
    sip_uri: SipUri = RETELL_TRUNK["gateways"][0]
    trunk: Name = "retell"
    method: Method = "trunk"
    agent: Name | None = None
    login: Login | None = None
    identify: tuple[PeerSource, ...] = tuple(map(Source.parse, RETELL_TRUNK["identify"]))
    ring_timeout_s: Seconds = 45
    fallback: Fallback | None = None
    srtp: Srtp = "off"

    def own_trunk(self) -> RetellTrunk:
        """The trunk to Retell, as it would stand among `trunks`."""
        login = self.login
        own = {
            "name": self.trunk,
            "gateways": (self.sip_uri,),
            "identify": self.identify,
            "login": PeerLogin(username=login.username, password=login.password)
            if login is not None and login.password is not None
            else None,
            "media": {**RETELL_TRUNK.get("media", {}), "srtp": self.srtp},
        }
        return RetellTrunk.model_validate({**RETELL_TRUNK, **own})


class AnnouncementSettings(Model):
    """A file of `media.sounds` that a caller hears first: before the call is answered, which costs
    the caller nothing, or answered and before the agent is called."""

    file: SoundName
    before: Literal["answer", "agent"] = "agent"


class RecordingSettings(Model):
    """Calls are recorded into `directory`, encrypted with the first key of `key_file`: `all` of
    them, or those of the numbers that say so. Recordings are kept for `keep_days` days and
    `max_mb` megabytes, 0 for ever and for any."""

    directory: Folder
    key_file: ReadableFile
    all: bool = False
    keep_days: Annotated[int, Field(ge=0)] = 30
    max_mb: Annotated[int, Field(ge=0)] = 0


class NumberSettings(Model):
    """`ringing` is a file of `media.sounds` that the caller hears while the agent is called."""

    record: bool | None = None
    agent: Name | None = None
    method: Method | None = None
    variables: dict[str, str] = Field(default={})
    fallback: Fallback | None = None
    fax: FaxTarget | None = None
    announcement: AnnouncementSettings | None = None
    ringing: SoundName | None = None
    srtp: Literal["required"] | None = None


class RouteSettings(Model):
    prefix: Prefix = ""
    trunks: Annotated[tuple[Name, ...], Field(min_length=1)]


class OutboundSettings(Model):
    default_country: Country | None = None
    caller_id: Name | None = None
    ring_timeout_s: Seconds = 60
    routes: tuple[RouteSettings, ...] = ()


class LimitSettings(Model):
    """`trunk_share` is the part of `calls` that one trunk may take; what is left of both is for
    each of the others, whatever that one does."""

    calls: Positive = 500
    calls_per_second: Positive = 50
    trunk_share: Annotated[float, Field(gt=0, le=1)] = 0.8
    drain_s: Seconds = 60


class LadderSettings(Model):
    memory_mb: Annotated[int, Field(ge=0)] = 32
    leg_kb: Positive = 32
    stored: Annotated[int, Field(ge=0)] = 10_000


class LogSettings(Model):
    """`watch` holds numbers, names of trunks and ids of calls: all is logged of such a call."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    sip: bool = False
    watch: tuple[Name, ...] = ()


class Settings(Model):
    """The whole configuration. Read-only: a reload makes a new one."""

    http: HttpSettings = HttpSettings()
    sip: SipSettings = SipSettings()
    media: MediaSettings = MediaSettings()
    application: ApplicationSettings = ApplicationSettings()
    storage: StorageSettings = StorageSettings()
    recording: RecordingSettings | None = None
    retell: RetellSettings = RetellSettings()
    trunks: tuple[TrunkSettings, ...] = ()
    numbers: dict[NumberKey, NumberSettings] = Field(default={})
    outbound: OutboundSettings = OutboundSettings()
    limits: LimitSettings = LimitSettings()
    ladders: LadderSettings = LadderSettings()
    log: LogSettings = LogSettings()

    @property
    def serves_jambonz(self) -> bool:
        """Whether a jambonz may connect to our application: by default where we do no SIP."""
        serve = self.application.serve
        return not self.sip.listen if serve is None else serve

    def every_trunk(self) -> tuple[PeerSettings, ...]:
        """The trunk to Retell first, then those of the configuration."""
        return (self.retell.own_trunk(), *self.trunks)

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
    return read(path, env)[0]


def read(path: Path | None, env: Mapping[str, str]) -> tuple[Settings, ReadSource]:
    """As `load`, and where every key of it stands. Raises ConfigError."""
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
        raise ConfigError(source.placed(problems))
    return settings, source
