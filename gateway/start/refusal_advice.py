"""What an operator enters at Retell so that a call is no longer refused at the door: pure.

Retell checks nothing when a number is imported, and shows a refused call as one that its provider
did not permit: these sentences are all that there is to go by.
"""

from typing import Final

from config.settings import Settings
from config.values import Transport
from config.workspace_settings import WorkspaceSettings
from gateway.calls.numbers import e164
from sip.softswitch.admission.refused_calls import Advice

#: Retell's own default first, and the name that the import has for it.
_TRANSPORTS: Final[dict[Transport, str]] = {"tcp": "TCP", "udp": "UDP", "tls": "TLS"}


def advice(settings: Settings) -> Advice:
    """The sentence for a refused call, by the trunk that it seems to be of, the reason, and the
    number that it came from; "" where there is none."""
    names = {one.name for one in settings.retell.every_workspace()}

    def advise(trunk: str | None, reason: str, caller: str) -> str:
        number = e164(caller, settings.outbound.default_country) or caller
        if trunk is None:
            return _unknown(settings, number) if reason == "unknown-source" else ""
        if trunk not in names:
            return ""
        workspace = settings.retell.workspace_of(number)
        if reason == "proof-missing":
            return _evidence(settings, workspace)
        if reason in ("no-credentials", "wrong-credentials"):
            return _login(settings, workspace, number, sent=reason == "wrong-credentials")
        return ""

    return advise


def entry_of(settings: Settings) -> tuple[str, str]:
    """Termination URI and transport of a number that is imported at Retell."""
    listeners = {one.address.transport: one for one in reversed(settings.sip.listen)}
    transport = next(one for one in _TRANSPORTS if one in listeners)
    listener = listeners[transport]
    host = listener.advertise or settings.sip.advertise or listener.address.host
    if host in ("0.0.0.0", "::") or host.startswith("stun:"):
        host = "THIS-GATEWAYS-PUBLIC-ADDRESS"
    written = f"[{host}]" if ":" in host else host
    return f"{written}:{listener.address.port}", _TRANSPORTS[transport]


def _login(settings: Settings, workspace: WorkspaceSettings, number: str, *, sent: bool) -> str:
    """With a login; what Retell calls the two differs between import and update."""
    uri, transport = entry_of(settings)
    key = _key(settings, workspace)
    whose = number or "the number that it calls from"
    login = workspace.login
    if login is None:
        return f"{key}.login is not set: set it, and enter it at {whose} in Retell"
    what = "correct" if sent else "set"
    return (
        f"at Retell, {what} for {whose}: SIP trunk user name {login.username}, password that of"
        f" {key}.login (sip_trunk_auth_username and sip_trunk_auth_password of import-phone-number,"
        f" auth_username and auth_password of update-phone-number); termination URI {uri},"
        f" transport {transport}"
    )


def _evidence(settings: Settings, workspace: WorkspaceSettings) -> str:
    evidence, key = workspace.evidence, _key(settings, workspace)
    if evidence is None:
        return ""
    return (
        f"put {evidence.header} with the value of {key}.evidence into custom_sip_headers of each"
        " call that is placed through Retell, and of its batch tasks and transfers"
    )


def _unknown(settings: Settings, number: str) -> str:
    """Nothing says that it was Retell, but the number may."""
    if not settings.is_own_number(number):
        return ""
    return (
        f"{number} is a number of yours: if Retell placed the call, its address is a new one, and"
        " belongs into retell.identify beside the others"
    )


def _key(settings: Settings, workspace: WorkspaceSettings) -> str:
    if workspace.name == settings.retell.trunk:
        return "retell"
    return f"retell.workspaces ({workspace.name})"
