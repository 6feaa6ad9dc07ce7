"""How the sandbox must be set to play Retell for one configuration of the gateway.

Everything follows from the configuration's `retell` part, so that the two cannot disagree.
"""

import re
from urllib.parse import urlsplit

from config.settings import Settings
from testkit.sandbox.settings import PresetNumber, SandboxSettings

_SIP_URI = re.compile(r"sips?:(?:[^@]*@)?(?P<host>\[[^\]]+\]|[^:;?]+)(?::(?P<port>\d+))?")


class StandInError(Exception):
    """The configuration has no place for the sandbox; one line for the operator."""


def stand_in(settings: Settings) -> SandboxSettings:
    """Retell's stand-in where the configuration expects Retell. Raises StandInError."""
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
    login = retell.login
    gateway = _gateway(settings)
    numbers = tuple(
        PresetNumber(
            phone_number=number,
            termination_uri=gateway,
            auth_username=login.username if login else None,
            auth_password=login.password.get_secret_value() if login and login.password else None,
        )
        for number, one in settings.numbers.items()
        if (one.method or retell.method) == "trunk"
    )
    defaults = SandboxSettings()
    return SandboxSettings(
        http_host=rest.hostname or "127.0.0.1",
        http_port=rest.port or 80,
        sip_listen=(f"udp:{listen}", f"tcp:{listen}"),
        api_key=retell.api_key.get_secret_value() if retell.api_key else defaults.api_key,
        webhook_url=f"{_reachable(settings)}/webhooks/retell/events",
        preset_numbers=numbers,
    )


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
