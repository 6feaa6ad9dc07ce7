"""A trunk's part of the configuration: a carrier's or PBX's entry in `trunks`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.texts import (
    Advertise,
    CodecName,
    Country,
    Dialled,
    Domain,
    HeaderName,
    HeaderPattern,
    HeaderValue,
    HostName,
    Name,
    Parameter,
    Secret,
    SipUri,
    XHeaderName,
)
from config.transfer_settings import TrunkTransferSettings
from config.values import Model, PacketTime, PeerSource, Positive, Seconds

NumberFormat = Literal["+e164", "e164", "national", "as-is"]
Srtp = Literal["off", "optional", "required"]
IdentityHeader = Literal["from", "pai", "ppi", "rpid", "diversion"]


class PeerLogin(Model):
    """A digest user name and password that a peer must prove to us."""

    username: Name
    password: Secret


class CredentialsSettings(Model):
    """A digest user name and password that we present; with a `realm`, to that realm alone."""

    username: Name
    password: Secret
    realm: Name | None = None


class RegistrationSettings(Model):
    """How we register with a trunk that wants it (`trunks[].register`).

    `registrar` is where REGISTER goes (default: the first gateway), `aor` the address of record
    (default: credentials' user name at the registrar's host).
    """

    registrar: SipUri | None = None
    aor: SipUri | None = None
    contact_user: Name | None = None
    contact_params: dict[Parameter, Parameter] = Field(default={})
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
    interval_s: Annotated[float, Field(ge=10, le=3600)] = 60
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


class MediaTermsSettings(Model):
    """How a trunk wants its media (`trunks[].media`).

    `reinvite` is whether it takes a re-INVITE with another session description, `t38` whether it
    takes fax by T.38 (RFC 3362), `srtp` is encryption by SDES (RFC 4568).
    """

    reinvite: bool = True
    t38: bool = True
    srtp: Srtp = "off"

    dtmf: Literal["auto", "rfc4733", "info", "info-dtmf", "inband"] = "auto"
    codecs: tuple[CodecName, ...] = ()
    codec_order: Literal["listed", "offered"] = "listed"
    packet_time_ms: PacketTime | None = None


class PeerSettings(Model):
    """What may be said of any peer that we exchange calls with."""

    name: Name
    kind: str
    profile: Name | None = None
    gateways: tuple[SipUri, ...] = ()
    outbound_proxy: SipUri | None = None
    identify: tuple[PeerSource, ...] = ()
    identify_headers: dict[HeaderName, Secret] = Field(default={})
    identify_certificates: tuple[Name, ...] = ()
    credentials: CredentialsSettings | None = None
    login: PeerLogin | None = None
    registers: bool = Field(default=False, alias="register")
    registration: RegistrationSettings = RegistrationSettings()
    registrar: bool = False
    no_response_s: Seconds = 8.0
    force_rport: bool | None = None
    post_dial_s: Seconds = 8.0
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
    media: MediaTermsSettings = MediaTermsSettings()
    transfer: TrunkTransferSettings = TrunkTransferSettings()
    max_calls: Positive | None = None
    calls_per_second: Positive | None = None
    accept_per_second: Positive | None = None


class TrunkSettings(PeerSettings):
    """A carrier or PBX: an entry of `trunks`."""

    kind: Literal["carrier", "pbx"] = "carrier"


class RetellTrunk(PeerSettings):
    """The trunk to Retell, made of its profile and of `retell`."""

    kind: Literal["retell"] = "retell"
