"""The configuration as typed, frozen models; `load` is the only reader of the file and of env.

`docs/config.md` describes every key; a test keeps the two in step.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, SecretStr, ValidationError

from config.agent_settings import AgentSettings, Method
from config.callback_settings import CallbackSettings
from config.checks.cross import cross_problems
from config.directory_settings import ClosedSettings, EntrySettings
from config.guard_settings import GuardSettings
from config.jambonz_settings import JambonzSettings
from config.money_settings import (
    InboundSettings,
    NumberInboundSettings,
    RateSettings,
    RatesFile,
    SpendSettings,
)
from config.problems import ConfigError, model_problems
from config.provision_settings import ProvisionSettings
from config.queue_settings import QueueSettings
from config.rates_file import Listed, read_rates
from config.reading import profiles
from config.reading.environment import read_environment, read_file
from config.reading.source import Source as ReadSource
from config.retell_api_settings import BreakerSettings, ConcurrencySettings
from config.route_settings import RouteSettings
from config.schedule_settings import ScheduleSettings
from config.stream_settings import StreamSettings
from config.texts import (
    E164,
    ApplicationUrl,
    Country,
    Engines,
    Folder,
    HeaderValue,
    HttpUrl,
    IpAddress,
    Name,
    NumberKey,
    Processes,
    PublicAddress,
    PublicUrl,
    ReadableFile,
    ReadableFolder,
    Secret,
    SipUri,
    SoundName,
    StorageUrl,
)
from config.transfer_settings import TransferSettings
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
from config.twilio_settings import TwilioSettings
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
from config.webhook_settings import NumberWebhookSettings, WebhookSettings
from config.workspace_settings import (
    EvidenceSettings,
    Login,
    WorkspaceLimitSettings,
    WorkspaceSettings,
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

#: The name of `http.admin_token`.
ADMIN: Final = "admin"

#: What is known of the trunk to Retell; the keys of `retell` are laid over it.
RETELL_TRUNK: Final = profiles.retell().trunk


def _listeners(value: Any) -> Any:
    """A listener of which only the address is told may be written as that string alone."""
    if not isinstance(value, list | tuple):
        return value
    return [{"address": item} if isinstance(item, str) else item for item in value]


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


class TokenSettings(Model):
    """A token of the API. Its `name` is what log and audit say of who used it; `role` says what it
    may: look, also have calls and trunks do something, also stop and change the gateway."""

    name: Name
    token: Secret
    role: Literal["read", "operate", "admin"]
    requests_per_second: Positive = 100


class HttpSettings(Model):
    """`public_url` is how the world reaches us, whatever a request says. `trusted_proxies` are
    those whose word on a client's address counts. `max_connections` are in all,
    `connections_per_address` and `requests_per_second` of each client."""

    listen: ListenAddress = Address("0.0.0.0", 8080)
    public_url: PublicUrl | None = None
    admin_token: Secret | None = None
    tokens: tuple[TokenSettings, ...] = ()
    tls: HttpTlsSettings | None = None
    trusted_proxies: tuple[PeerSource, ...] = ()
    metrics: MetricsSettings = MetricsSettings()
    max_connections: Positive = 500
    connections_per_address: Positive = 50
    requests_per_second: Positive = 20

    @property
    def admin(self) -> SecretStr | None:
        """A token that may do everything: what the command line shows."""
        admins = (one.token for one in self.every_token() if one.role == "admin")
        return next(admins, None)

    def every_token(self) -> tuple[TokenSettings, ...]:
        """Those of `tokens`, and `admin_token` by the name of `admin`."""
        if self.admin_token is None:
            return self.tokens
        return (TokenSettings(name=ADMIN, token=self.admin_token, role="admin"), *self.tokens)


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


#: What becomes of a caller while Retell has no room for a call more.
WhenFull = Literal["ring", "fallback", "wait"]


class RetellSettings(Model):
    """The keys of the one workspace, or of the first of several: `workspaces` has the others."""

    api_key: Secret | None = None
    base_url: HttpUrl = "https://api.retellai.com"
    sip_uri: SipUri = RETELL_TRUNK["gateways"][0]
    trunk: Name = "retell"
    method: Method = "trunk"
    agent: Name | None = None
    login: Login | None = None
    evidence: EvidenceSettings | None = None
    limits: WorkspaceLimitSettings = WorkspaceLimitSettings()
    workspaces: tuple[WorkspaceSettings, ...] = ()
    identify: tuple[PeerSource, ...] = tuple(map(Source.parse, RETELL_TRUNK["identify"]))
    ring_timeout_s: Seconds = 45
    fallback: Fallback | None = None
    srtp: Srtp = "off"
    function_wait_s: Annotated[float, Field(gt=0, lt=100)] = 90
    breaker: BreakerSettings = BreakerSettings()
    concurrency: ConcurrencySettings = ConcurrencySettings()
    stop_after_s: Annotated[float, Field(ge=0, le=300)] = 5
    webhooks: WebhookSettings = WebhookSettings()
    when_full: WhenFull = "ring"
    wait_for_room_s: Seconds = 60
    waiting_music: SoundName | None = None

    def own_trunk(self) -> RetellTrunk:
        """The trunk to Retell, as it would stand among `trunks`. Calls of the first workspace come
        by it, and all calls to Retell go by it."""
        return self._trunk(self.every_workspace()[0], (self.sip_uri,))

    def own_trunks(self) -> tuple[RetellTrunk, ...]:
        """That one, and one for each further workspace, by which only its calls come."""
        others = (self._trunk(one, ()) for one in self.workspaces)
        return (self.own_trunk(), *others)

    def _trunk(self, workspace: WorkspaceSettings, gateways: tuple[str, ...]) -> RetellTrunk:
        login, evidence = workspace.login, workspace.evidence
        own = {
            "name": workspace.name,
            "gateways": gateways,
            "identify": self.identify,
            "identify_headers": {} if evidence is None else {evidence.header: evidence.value},
            "login": PeerLogin(username=login.username, password=login.password)
            if login is not None and login.password is not None
            else None,
            "media": {**RETELL_TRUNK.get("media", {}), "srtp": self.srtp},
        }
        return RetellTrunk.model_validate({**RETELL_TRUNK, **own})

    def every_workspace(self) -> tuple[WorkspaceSettings, ...]:
        """The first, which has the name of the trunk and the numbers that no other has; then those
        of `workspaces`."""
        first = WorkspaceSettings.model_construct(
            name=self.trunk,
            api_key=self.api_key,
            agent=self.agent,
            login=self.login,
            evidence=self.evidence,
            limits=self.limits,
        )
        return (first, *self.workspaces)

    def workspace_of(self, number: str) -> WorkspaceSettings:
        """The workspace in which a number (E.164) is imported; the first where none says so."""
        for one in self.workspaces:
            if number in one.numbers:
                return one
        return self.every_workspace()[0]

    def workspace_by(self, trunk: str, user: str) -> WorkspaceSettings | None:
        """The workspace that placed a call, by the trunk that it came by or the user name that its
        digest proved; None where it is not Retell's. It is asked of every call that comes."""
        if trunk == self.trunk or (self.login is not None and user == self.login.username):
            return self.every_workspace()[0]
        for one in self.workspaces:
            if trunk == one.name or (one.login is not None and user == one.login.username):
                return one
        return None

    def as_workspace(self, workspace: WorkspaceSettings) -> "RetellSettings":
        """The same Retell, with what that workspace has of its own."""
        own = {
            "api_key": workspace.api_key,
            "agent": workspace.agent,
            "login": workspace.login,
            "evidence": workspace.evidence,
        }
        return self.model_copy(update={**own, "workspaces": ()})


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
    """`ringing` is a file of `media.sounds` that the caller hears while the agent is called. Out of
    the hours of `schedule` calls go where `closed` says. `retell_number` is called at Retell in
    place of the number itself; without `agents` Retell's is the one agent."""

    record: bool | None = None
    agent: Name | None = None
    method: Method | None = None
    retell_number: E164 | None = None
    agents: tuple[AgentSettings, ...] = ()
    variables: dict[str, str] = Field(default={})
    fallback: Fallback | None = None
    fax: FaxTarget | None = None
    announcement: AnnouncementSettings | None = None
    ringing: SoundName | None = None
    srtp: Literal["required"] | None = None
    schedule: Name | None = None
    closed: ClosedSettings | None = None
    inbound: NumberInboundSettings | None = None
    webhook: NumberWebhookSettings | None = None


class OutboundSettings(Model):
    default_country: Country | None = None
    caller_id: Name | None = None
    ring_timeout_s: Seconds = 60
    routes: tuple[RouteSettings, ...] = ()
    guard: GuardSettings = GuardSettings()
    queue: QueueSettings = QueueSettings()
    callbacks: CallbackSettings = CallbackSettings()
    rates: tuple[RateSettings, ...] = ()
    rates_file: RatesFile | None = None
    spend: SpendSettings = SpendSettings()
    #: what `rates_file` held when the configuration was read
    _of_file: tuple[Listed, ...] = PrivateAttr(default=())

    def model_post_init(self, _: Any) -> None:
        """Read the file once, so that all of the program goes by the same rates."""
        if self.rates_file is not None:
            self._of_file = read_rates(self.rates_file)

    def every_rate(self) -> tuple[RateSettings | Listed, ...]:
        """Those of `rates`, and then those of the file."""
        return (*self.rates, *self._of_file)


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
    jambonz: JambonzSettings | None = None
    streams: StreamSettings = StreamSettings()
    twilio: TwilioSettings | None = None
    provision: ProvisionSettings = ProvisionSettings()
    trunks: tuple[TrunkSettings, ...] = ()
    numbers: dict[NumberKey, NumberSettings] = Field(default={})
    outbound: OutboundSettings = OutboundSettings()
    inbound: InboundSettings = InboundSettings()
    transfer: TransferSettings = TransferSettings()
    directory: dict[Name, EntrySettings] = Field(default={})
    schedules: dict[Name, ScheduleSettings] = Field(default={})
    limits: LimitSettings = LimitSettings()
    ladders: LadderSettings = LadderSettings()
    log: LogSettings = LogSettings()

    @property
    def serves_jambonz(self) -> bool:
        """Whether a jambonz may connect to our application: by default where we do no SIP."""
        serve = self.application.serve
        return not self.sip.listen if serve is None else serve

    def every_trunk(self) -> tuple[PeerSettings, ...]:
        """The trunk to Retell and those of its workspaces, then those of the configuration."""
        return (*self.retell.own_trunks(), *self.trunks)

    def trunk(self, name: str) -> TrunkSettings | None:
        """The trunk of that name; None for Retell's own (`retell.trunk`), which is no entry."""
        return next((trunk for trunk in self.trunks if trunk.name == name), None)

    def is_own_number(self, e164: str) -> bool:
        """Whether a number is ours, as callers dial it or as it is imported at Retell."""
        return (
            e164 in self.numbers
            or any(e164 in workspace.numbers for workspace in self.retell.workspaces)
            or any(entry.retell_number == e164 for entry in self.numbers.values())
        )

    def number(self, e164: str) -> NumberSettings | None:
        """What is configured for a number, as callers dial it or as it is imported at Retell
        (`retell_number`), else for `"*"`, else None."""
        found = self.numbers.get(e164)
        if found is None:
            found = next((one for one in self.numbers.values() if one.retell_number == e164), None)
        return found or self.numbers.get("*")


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
