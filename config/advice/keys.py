"""Keys of encrypted media that would travel where everybody on the way can read them."""

from collections.abc import Iterator

from config.advice.peers import place_of, trunks
from config.findings import Finding, Level
from config.problems import KeyPath
from config.settings import Settings
from config.trunk_settings import PeerSettings


def key_findings(settings: Settings) -> Iterator[Finding]:
    """Everything about where keys go: SDES has them in SIP messages (RFC 4568 8)."""
    if not settings.sip.listen:
        return
    retell = settings.retell
    if retell.srtp != "off":
        yield from _exposed(settings, ("retell", "srtp"), retell.own_trunk())
    for path, trunk in trunks(settings):
        if trunk.media.srtp != "off":
            yield from _exposed(settings, (*path, "media", "srtp"), trunk)
    for number, entry in settings.numbers.items():
        if entry.srtp is not None and retell.srtp == "off":
            yield from _exposed(settings, ("numbers", number, "srtp"), retell.own_trunk())


def _exposed(settings: Settings, path: KeyPath, trunk: PeerSettings) -> Iterator[Finding]:
    open_to_all = next((uri for uri in trunk.gateways if place_of(uri).transport != "tls"), None)
    if open_to_all is not None:
        text = f"trunk {trunk.name} is called by {open_to_all}, which is not TLS"
    elif not trunk.gateways and not _listens_by_tls(settings):
        text = f"trunk {trunk.name} calls us, and no sip.listen is TLS"
    else:
        return
    yield Finding(
        code="keys-in-the-clear",
        level=Level.WARNING,
        path=path,
        text=f"{text}: the keys of its media can be read on the way",
        fix="use TLS for its signalling too: ;transport=tls in its gateways, a tls: listener",
    )


def _listens_by_tls(settings: Settings) -> bool:
    return any(listener.address.transport == "tls" for listener in settings.sip.listen)
