"""Starts the softswitch."""

import asyncio
import secrets
from contextlib import AsyncExitStack

import structlog
from sqlalchemy.exc import SQLAlchemyError

from config.settings import Settings
from gateway.start.errors import StartupError, cannot_listen
from gateway.start.shown import Shown
from gateway.start.tls import read_client_tls
from gateway.storage.shared_state import SharedState
from sip import collector
from sip.clock import LoopClock
from sip.ids import Ids
from sip.media.plane import MediaPlane
from sip.softswitch.admission.gatekeeper import Gatekeeper
from sip.softswitch.jambonz.link import AppLink
from sip.softswitch.listeners import listeners
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
) -> None:
    """Take calls, and show it. Raises StartupError."""
    trunks = Trunks.of(settings)
    clock = LoopClock()
    gatekeeper = Gatekeeper(
        clock,
        trunks,
        settings.sip.realm,
        secrets.token_bytes(32),
        settings.sip.auth,
        settings.sip.bans,
        own=_own_addresses(settings),
    )
    switch = Softswitch(
        clock=clock,
        ids=Ids(),
        media=media,
        trunks=trunks,
        gatekeeper=gatekeeper,
        link=link,
        limits=settings.limits,
        sip=settings.sip,
        trace=shown.trace,
        tls=read_client_tls(settings.sip),
        binding_store=shared.bindings,
    )
    stack.push_async_callback(switch.close)
    try:
        await switch.registrar.restore()
        if banned := await gatekeeper.bans.restore(shared.bans, clock):
            log.info("bans.restored", bans=banned)
    except SQLAlchemyError as error:
        raise StartupError(f"storage.url: {error}") from None
    certificates = await _listen(switch, settings)
    switch.start()
    report = OperatorView(
        settings,
        trunks,
        clock=clock,
        health=switch.health,
        registrations=switch.registrations,
        bindings=switch.bindings,
        bans=gatekeeper.bans,
        refused=gatekeeper.refused,
        turned_away=lambda: switch.turned_away,
        certificates=certificates,
        calls=switch.dialler.limits.calls,
    )
    shown.takes_calls(switch, report)
    _start_collector(switch, stack)


async def _listen(switch: Softswitch, settings: Settings) -> dict[str, ServerTls]:
    """The certificates of the listeners that have one."""
    certificates: dict[str, ServerTls] = {}
    for listening in listeners(settings.sip):
        try:
            await switch.listen([listening])
        except TlsError as error:
            raise StartupError(f"sip.tls: {error}") from None
        except OSError as error:
            reason = cannot_listen(listening.endpoint, error)
            raise StartupError(f"sip.listen: {reason}") from None
        if listening.tls is not None:
            certificates[str(listening.endpoint)] = listening.tls
    return certificates


def _start_collector(switch: Softswitch, stack: AsyncExitStack) -> None:
    """Garbage is collected while no call waits for it."""
    quiet = collector.collect_when_quiet(lambda: switch.gauges["calls"] > 0)
    task = asyncio.create_task(quiet, name="collector")

    async def stop() -> None:
        task.cancel()
        await asyncio.wait([task])

    stack.push_async_callback(stop)


def _own_addresses(settings: Settings) -> set[str]:
    """Addresses that are ours: only a forger sends from there."""
    ours = {listening.address.host for listening in settings.sip.listen}
    ours |= {str(listening.advertise) for listening in settings.sip.listen if listening.advertise}
    return ours | ({str(settings.sip.advertise)} if settings.sip.advertise else set())
