"""Starts the softswitch."""

import secrets
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack

import structlog

from config.advice.keys import key_findings
from config.problems import key_text
from config.settings import Settings, SipSettings
from gateway.start.addresses import OurAddresses
from gateway.start.errors import StartupError, cannot_listen
from gateway.start.refusal_advice import advice
from gateway.start.reload import Reloader
from gateway.start.shown import Shown
from gateway.start.sounds import check_sounds
from gateway.start.tls import read_client_tls
from gateway.start.trace import redaction_of
from gateway.storage.errors import StorageError
from gateway.storage.shared_state import SharedState
from sip.clock import LoopClock
from sip.ids import Ids
from sip.media.plane import MediaPlane
from sip.message_log import MessageLog
from sip.softswitch.admission.gatekeeper import Gatekeeper
from sip.softswitch.jambonz.link import AppLink
from sip.softswitch.jambonz.sounds import Sounds
from sip.softswitch.listeners import ListenerSpec, listeners
from sip.softswitch.operator_view import OperatorView
from sip.softswitch.softswitch import Softswitch
from sip.softswitch.trunks.trunk import Trunks
from sip.transport.tls.contexts import ServerTls, TlsError

log = structlog.get_logger(__name__)


async def start_softswitch(
    settings: Settings,
    shown: Shown,
    stack: AsyncExitStack,
    *,
    shared: SharedState,
    media: MediaPlane,
    link: AppLink,
    addresses: OurAddresses,
    reloader: Reloader,
) -> Softswitch:
    """Take calls, and show it. Raises StartupError."""
    check_sounds(settings)
    trunks = Trunks.of(settings)
    tls = _Tls(settings.sip)
    clock = LoopClock()
    gatekeeper = Gatekeeper(
        clock,
        trunks,
        settings.sip.realm,
        secrets.token_bytes(32),
        settings.sip.auth,
        settings.sip.bans,
        own=addresses.own,
    )
    gatekeeper.refused.advise = advice(settings)
    switch = Softswitch(
        clock=clock,
        ids=Ids(),
        media=media,
        trunks=trunks,
        gatekeeper=gatekeeper,
        link=link,
        limits=settings.limits,
        sip=settings.sip,
        public=addresses.public,
        trace=shown.trace,
        tls=tls.client,
        binding_store=shared.bindings,
        sounds=Sounds.of(settings),
        rtp_timeout_s=settings.media.timeout_s or None,
    )
    switch.ua.message_log = _message_log(settings)
    stack.push_async_callback(switch.close)
    addresses.on_change = lambda: switch.address_changed(addresses.own)
    try:
        await switch.registrar.restore()
        if banned := await gatekeeper.bans.restore(shared.bans, clock):
            log.info("bans.restored", bans=banned)
    except StorageError as error:
        raise StartupError(f"storage.url: {error}") from None
    await _listen(switch, tls.listeners)
    switch.start()
    _warn_of_keys(settings)

    def report(settings: Settings, trunks: Trunks) -> OperatorView:
        return OperatorView(
            settings,
            trunks,
            clock=clock,
            health=switch.health,
            registrations=switch.registrations,
            bindings=switch.bindings,
            bans=gatekeeper.bans,
            refused=gatekeeper.refused,
            turned_away=lambda: switch.turned_away,
            certificates=tls.certificates,
            calls=switch.dialler.limits.calls,
            media=switch.media_counters,
        )

    def prepare(settings: Settings) -> Callable[[], Awaitable[None]]:
        check_sounds(settings)
        trunks, other = Trunks.of(settings), _Tls(settings.sip)

        async def take() -> None:
            switch.configure(
                trunks,
                settings.limits,
                sounds=Sounds.of(settings),
                rtp_timeout_s=settings.media.timeout_s or None,
            )
            switch.ua.message_log = _message_log(settings)
            shown.trace.redaction = redaction_of(settings)
            tls.use(other)
            gatekeeper.refused.advise = advice(settings)
            _warn_of_keys(settings)
            shown.report = report(settings, trunks)

        return take

    reloader.add(prepare)
    shown.takes_calls(switch, report(settings, trunks))
    return switch


def _warn_of_keys(settings: Settings) -> None:
    """An operator who does not run `check` is to know who can listen."""
    for found in key_findings(settings):
        log.warning("media.keys-in-the-clear", key=key_text(found.path), reason=found.text)


def _message_log(settings: Settings) -> MessageLog:
    message_log = MessageLog(redaction_of(settings))
    message_log.configure(every=settings.log.sip, watching=bool(settings.log.watch))
    return message_log


class _Tls:
    """The certificates of the SIP side. Raises StartupError for unusable files."""

    def __init__(self, sip: SipSettings) -> None:
        self.client = read_client_tls(sip)
        try:
            self.listeners = tuple(listeners(sip))
        except TlsError as error:
            raise StartupError(f"sip.tls: {error}") from None

    @property
    def certificates(self) -> dict[str, ServerTls]:
        """Those of our listeners."""
        return {str(one.endpoint): one.tls for one in self.listeners if one.tls is not None}

    def use(self, other: "_Tls") -> None:
        """Begin connections with the other's, of the same listeners."""
        self.client.use(other.client)
        for ours, theirs in zip(self.listeners, other.listeners, strict=True):
            if ours.tls is not None and theirs.tls is not None:
                ours.tls.use(theirs.tls)


async def _listen(switch: Softswitch, wanted: Iterable[ListenerSpec]) -> None:
    for listening in wanted:
        try:
            await switch.listen([listening])
        except OSError as error:
            reason = cannot_listen(listening.endpoint, error)
            raise StartupError(f"sip.listen: {reason}") from None
