"""How the sandbox must be set to play Retell for one configuration of the gateway.

Everything follows from the configuration's `retell` part, so that the two cannot disagree.
"""

import re
from urllib.parse import urlsplit

from config.choices import choices
from config.settings import Settings
from config.workspace_settings import Login
from testkit.sandbox.settings import Agent, PresetNumber, Refer, SandboxSettings

_SIP_URI = re.compile(r"sips?:(?:[^@]*@)?(?P<host>\[[^\]]+\]|[^:;?]+)(?::(?P<port>\d+))?")


class StandInError(Exception):
    """The configuration has no place for the sandbox; one line for the operator."""


def stand_in(settings: Settings, refer_to: str | None = None) -> SandboxSettings:
    """Retell's stand-in where the configuration expects Retell. Raises StandInError.

    With `refer_to` its agents transfer every caller there, by REFER, after their greeting.
    """
    retell = settings.retell
    rest, sip = urlsplit(retell.base_url), _SIP_URI.match(retell.sip_uri)
    if sip is None or not _is_here(sip["host"]) or not _is_here(rest.hostname or ""):
        raise StandInError(
            f"the configuration points to Retell itself ({retell.base_url}, {retell.sip_uri});"
            " the sandbox can only stand in on a loopback address"
        )
    if not settings.sip.listen:
        raise StandInError(
            "sip.listen is empty, so a jambonz does the SIP: the sandbox can only call a gateway"
            " that listens itself. Give sip.listen an address, such as udp:127.0.0.1:5060"
        )
    host, port = sip["host"].strip("[]"), int(sip["port"] or 5060)
    listen = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    gateway = _gateway(settings)
    numbers = tuple(
        _preset(number, gateway, retell.workspace_of(number).login)
        for number in _imported(settings)
    )
    defaults = SandboxSettings()
    return SandboxSettings(
        http_host=rest.hostname or "127.0.0.1",
        http_port=rest.port or 80,
        sip_listen=(f"udp:{listen}", f"tcp:{listen}"),
        api_key=retell.api_key.get_secret_value() if retell.api_key else defaults.api_key,
        webhook_url=f"{_reachable(settings)}/webhooks/retell/events",
        preset_numbers=numbers,
        agent=Agent(tool=None if refer_to is None else Refer(refer_to=refer_to)),
    )


def _preset(number: str, gateway: str, login: Login | None) -> PresetNumber:
    """A number as it is imported in its workspace."""
    return PresetNumber(
        phone_number=number,
        termination_uri=gateway,
        auth_username=login.username if login else None,
        auth_password=login.password.get_secret_value() if login and login.password else None,
    )


def _imported(settings: Settings) -> dict[str, None]:
    """The numbers by which the gateway calls Retell, each once."""
    every = (
        choice
        for number, entry in settings.numbers.items()
        for choice in choices(settings, number.rpartition("/")[2], entry)
    )
    return dict.fromkeys(choice.to for choice in every if choice.method == "trunk")


def _gateway(settings: Settings) -> str:
    """Where Retell's own calls go: our first listener."""
    listener = settings.sip.listen[0].address
    host = "127.0.0.1" if listener.host == "0.0.0.0" else listener.host
    return f"{host}:{listener.port}"


def _reachable(settings: Settings) -> str:
    """Where our HTTP side listens, as this machine reaches it."""
    scheme = "http" if settings.http.tls is None else "https"
    listen = settings.http.listen
    host = "127.0.0.1" if listen.host == "0.0.0.0" else listen.host
    return f"{scheme}://{host}:{listen.port}"


def _is_here(host: str) -> bool:
    return host == "localhost" or host.strip("[]") == "::1" or host.startswith("127.")
