"""Our public addresses: found before calls are taken, and looked at again while they are."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final, Literal

import structlog

from config.settings import Settings
from gateway.start.errors import StartupError
from sip.log_throttle import Throttle
from sip.transport.address import is_address, version
from sip.transport.advertise import Public
from sip.transport.public_address import AddressError, find_address
from sip.transport.servers.dns import Dns

log = structlog.get_logger(__name__)

#: Seconds between two looks: a NAT that came back with another address leaves calls without audio
#: for so long.
LOOK_EVERY_S: Final = 30.0

_Key = Literal["sip", "media"]


class OurAddresses:
    """What `sip.advertise` and `media.advertise` mean now."""

    def __init__(self, settings: Settings, dns: Dns | None = None) -> None:
        self.public = Public()
        #: told after each change
        self.on_change: Callable[[], None] = lambda: None
        #: what is configured, by group
        self.told: dict[_Key, str] = {}
        if settings.sip.advertise is not None:
            self.told["sip"] = settings.sip.advertise
        if settings.media.advertise is not None:
            self.told["media"] = settings.media.advertise
        self._listeners = {listening.address.host for listening in settings.sip.listen}
        self._listeners |= {one.advertise for one in settings.sip.listen if one.advertise}
        self._family = family_of(settings)
        self._dns = dns or Dns()
        self._throttle = Throttle()

    @property
    def own(self) -> set[str]:
        """Addresses that are ours: only a forger sends from there."""
        told = {self.public.sip, self.public.media}
        return self._listeners | {address for address in told if address is not None}

    async def start(self, stack: AsyncExitStack) -> None:
        """Find them, and go on looking where they may change. Raises StartupError."""
        for key in self.told:
            found, error = await self.ask(key)
            if error:
                raise StartupError(f"{key}.advertise: {error}")
            setattr(self.public, key, found)
        if all(map(is_address, self.told.values())):
            return
        task = asyncio.create_task(self._watch(), name="our-addresses")

        async def stop() -> None:
            task.cancel()
            await asyncio.wait([task])

        stack.push_async_callback(stop)

    async def look(self) -> None:
        """Look again; one that cannot be found now stays as it was."""
        changed = False
        for key, told in self.told.items():
            before = getattr(self.public, key)
            now, error = await self.ask(key)
            if error:
                self._cannot(key, error, before)
                continue
            self._throttle.forget(key)
            if now != before:
                setattr(self.public, key, now)
                changed = True
                log.warning(
                    "advertise.changed", key=f"{key}.advertise", by=told, before=before, now=now
                )
        if changed:
            self.on_change()

    def _cannot(self, key: _Key, error: str, before: str) -> None:
        if self._throttle.is_new(key, error, asyncio.get_running_loop().time()):
            log.warning("advertise.failed", key=f"{key}.advertise", error=error, kept=before)

    async def ask(self, key: _Key) -> tuple[str, str]:
        """What it means now, and "", or "" and why that cannot be said."""
        try:
            return await find_address(self.told[key], self._family, self._dns), ""
        except AddressError as error:
            return "", str(error)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except Exception:
                # Ours; the address that is known goes on being told.
                log.exception("advertise.broke")


def family_of(settings: Settings) -> int:
    """4, unless every listener of ours is IPv6's."""
    hosts = [listening.address.host for listening in settings.sip.listen]
    return 6 if hosts and all(version(host) == 6 for host in hosts) else 4
