"""The elastic trunk and the numbers that Twilio shall have, as the configuration describes them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from config.provision_settings import termination_name
from config.settings import Settings
from config.texts import is_e164
from config.trunk_settings import TrunkSettings
from gateway.provisioning.sip_uris import OwnUri

#: The lowest priority is called first; those between are free for an operator's own.
_PRIORITY_STEP: Final = 10
_WEIGHT: Final = 10


@dataclass(frozen=True, slots=True)
class Origination:
    """Where the trunk sends calls that come in. `secrets` are parts of `url`."""

    name: str
    url: str
    priority: int
    secrets: tuple[str, ...]

    def properties(self) -> dict[str, Any]:
        """As the API tells and takes them."""
        return {
            "sip_url": self.url,
            "priority": self.priority,
            "weight": _WEIGHT,
            "enabled": True,
        }


@dataclass(frozen=True, slots=True)
class WantedTrunk:
    """A trunk by its name at Twilio; `username` and `password` are those of its termination."""

    name: str
    domain: str
    secure: bool
    transfer_mode: str
    transfer_caller_id: str
    username: str
    password: str
    originations: tuple[Origination, ...]

    def properties(self) -> dict[str, Any]:
        """As the API tells and takes them (twilio.com/docs/sip-trunking/api/trunk-resource)."""
        return {
            "domain_name": self.domain,
            "secure": self.secure,
            "transfer_mode": self.transfer_mode,
            "transfer_caller_id": self.transfer_caller_id,
        }


@dataclass(frozen=True, slots=True)
class WantedNumbers:
    """How numbers are bound: to the trunk, or by properties of their own (`voice`); one or the
    other, since a trunk silences a number's URL (twilio.com/docs/phone-numbers/api)."""

    numbers: tuple[str, ...]
    by_trunk: bool
    voice: Mapping[str, Mapping[str, Any]]


def wanted_trunk(settings: Settings, trunk: TrunkSettings) -> WantedTrunk:
    """What an entry of `trunks` says; the configuration's checks hold what it must have."""
    provision, credentials = settings.provision, trunk.credentials
    domain = next(filter(None, map(termination_name, trunk.gateways)), None)
    assert credentials is not None, "checked with the configuration"
    assert domain is not None, "checked with the configuration"
    return WantedTrunk(
        name=f"{provision.mark} {trunk.name}",
        domain=domain,
        secure=trunk.media.srtp == "required",
        # it asks for REFER to the telephone network, or for none at all
        transfer_mode="disable-all" if trunk.transfer.policy == "bridge" else "enable-all",
        transfer_caller_id=provision.twilio.transfer_caller_id,
        username=credentials.username,
        password=credentials.password.get_secret_value(),
        originations=tuple(_originations(settings, trunk)),
    )


def _originations(settings: Settings, trunk: TrunkSettings) -> Iterator[Origination]:
    """Our URIs, with the headers by which we know the trunk: its addresses are everybody's."""
    named = {name: secret.get_secret_value() for name, secret in trunk.identify_headers.items()}
    headers = "&".join(f"{name}={quote(value, safe='')}" for name, value in named.items())
    secrets = tuple(quote(value, safe="") for value in named.values())
    for place, written in enumerate(settings.provision.sip_uris, 1):
        uri = OwnUri.of(written)
        url = f"sip:{uri.host_port}"
        if uri.transport != "udp":
            url += f";transport={uri.transport}"
        if headers:
            url += f"?{headers}"
        name = f"{settings.provision.mark} {place}"
        yield Origination(name, url, place * _PRIORITY_STEP, secrets)


def used_numbers(settings: Settings) -> frozenset[str]:
    """All that the configuration calls, is called at, or imports at Retell."""
    own = {settings.outbound.caller_id, *settings.numbers, *settings.provision.retell.numbers}
    if settings.twilio is not None:
        own.add(settings.twilio.fallback.dial)
    for workspace in settings.retell.workspaces:
        own.update(workspace.numbers)
    return frozenset(one for one in own if one is not None)


def our_urls(settings: Settings) -> str | None:
    """How the URLs of our webhooks begin; None without `http.public_url`."""
    base = settings.http.public_url
    return None if base is None else f"{base}/webhooks/twilio/"


def wanted_numbers(settings: Settings) -> WantedNumbers:
    """Every number of `numbers`; which of them are Twilio's only the account knows."""
    numbers = tuple(sorted(key for key in settings.numbers if is_e164(key)))
    base = our_urls(settings)
    voice = {} if base is None else {number: _voice(base, number) for number in numbers}
    return WantedNumbers(numbers, settings.provision.twilio.bind == "trunk", voice)


def _voice(base: str, number: str) -> dict[str, Any]:
    """What a number tells us of its calls: that they come, and that they are over."""
    return {
        "voice_url": f"{base}voice/{number}",
        "voice_method": "POST",
        "status_callback": f"{base}status",
        "status_callback_method": "POST",
    }
