"""The configuration as typed, frozen models; `load` is the only reader of the file and of env.

`docs/config.md` describes every key; a test keeps the two in step.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from config.cross_checks import cross_problems
from config.environment import read_environment, read_file
from config.problems import ConfigError, model_problems
from config.values import (
    Address,
    ApplicationUrl,
    Country,
    Engines,
    HeaderValue,
    HttpUrl,
    IpAddress,
    ListenAddress,
    Listener,
    Name,
    NumberKey,
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


class Credentials(Model):
    """A digest user name and password that we present."""

    username: Name
    password: Secret


class Login(Model):
    """What a peer must prove to us by digest. Without a password only the name is recognised,
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


class TlsFiles(Model):
    certificate: ReadableFile
    key: ReadableFile


class SipAuthSettings(Model):
    nonce_lifetime_s: Positive = 60
    algorithms: Annotated[tuple[Literal["SHA-256", "MD5"], ...], Field(min_length=1)] = ("MD5",)
    failures_before_silence: Positive = 3
    silence_s: Seconds = 300


class SipSettings(Model):
    """`listen: []` switches the softswitch off: the application serves a real jambonz."""

    listen: tuple[SipListener, ...] = (
        Listener("udp", "0.0.0.0", 5060),
        Listener("tcp", "0.0.0.0", 5060),
    )
    advertise: IpAddress | None = None
    realm: Name = "retell-sip-gateway"
    tls: TlsFiles | None = None
    auth: SipAuthSettings = SipAuthSettings()


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


class TrunkSettings(Model):
    name: Name
    kind: Literal["carrier", "pbx"] = "carrier"
    profile: Name | None = None
    gateways: tuple[SipUri, ...] = ()
    identify: tuple[PeerSource, ...] = ()
    credentials: Credentials | None = None
    login: Credentials | None = None
    registers: bool = Field(default=False, alias="register")
    srtp: Literal["off", "optional", "required"] = "off"
    transfer: Literal["refer", "bridge", "auto"] = "auto"
    no_response_s: Seconds = 8.0
    advertise: IpAddress | None = None
    from_domain: Name | None = None
    headers: dict[XHeaderName, HeaderValue] = {}
    number_format: Literal["+e164", "e164"] = "+e164"


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
    application that serves a real jambonz. With a file those variables are laid over it.
    Raises ConfigError with every problem found, one line each.
    """
    source = read_environment(env) if path is None else read_file(path, env)
    problems = list(source.problems)
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(source.data, context={"directory": source.directory})
    except ValidationError as error:
        problems += model_problems(Settings, error)
    problems += cross_problems(source.data)
    if problems or settings is None:
        raise ConfigError(source.lines(problems))
    return settings
