"""Workspaces at Retell: who placed a call that comes from there, and how many of them may be up."""

from config.texts import E164, Name, Secret, XHeaderName
from config.values import Model, Positive


class Login(Model):
    """What Retell must prove to us by digest. Without a password only the name is recognised,
    because a jambonz SBC has checked the digest before."""

    username: Name
    password: Secret | None = None


class EvidenceSettings(Model):
    """A header that every call of a workspace bears (`custom_sip_headers`), with a secret value
    that nobody else knows."""

    header: XHeaderName
    value: Secret


class PlacedSettings(Model):
    """Calls that Retell places: at the same time, and new ones in any second."""

    calls: Positive | None = None
    calls_per_second: Positive | None = None


class WorkspaceLimitSettings(PlacedSettings):
    """Of all calls that a workspace places, and of those from each of its numbers."""

    number: PlacedSettings = PlacedSettings()


class WorkspaceSettings(Model):
    """A workspace beside that of `retell` itself. `numbers` are those that are imported there, by
    which `api_key` and `agent` are chosen; its calls are known by `login` or `evidence`."""

    name: Name
    api_key: Secret | None = None
    agent: Name | None = None
    login: Login | None = None
    evidence: EvidenceSettings | None = None
    numbers: tuple[E164, ...] = ()
    limits: WorkspaceLimitSettings = WorkspaceLimitSettings()
