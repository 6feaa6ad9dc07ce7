"""One gateway a database: two would mark each other's live calls as interrupted.

The lease `gateway` says who uses it. A gateway that was killed leaves its lease behind; the next
one on the same machine sees that the process is gone and takes over at once, one on another
machine (or in a new container) when the lease is not renewed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from gateway.storage.errors import InUseError, as_storage_error, plain
from gateway.storage.process import Process
from sip.softswitch.shared import Lease, Leases

log = structlog.get_logger(__name__)

ROLE: Final = "gateway"
#: Seconds that the lease of a dead process stands where its death cannot be seen from here.
LASTS_S: Final = 6.0
RENEW_S: Final = 2.0
#: How often a lease that may be a dead process's is looked at, in seconds.
LOOK_S: Final = 0.2


@asynccontextmanager
async def sole_use(leases: Leases) -> AsyncIterator[None]:
    """While entered, no other gateway can use the database.

    Raises InUseError while one does, StorageError when the lease cannot be written.
    """
    me = str(Process.own())
    with as_storage_error():
        lease = await _take(leases, me)
    task = asyncio.create_task(_renew_forever(leases, me), name="sole-use")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        try:
            await leases.release(lease)
        except Exception as error:
            log.warning("storage.lease-kept", error=plain(error))


async def user_of(leases: Leases) -> str | None:
    """The gateway that uses the database now, for a message; None if there is none.

    Raises SQLAlchemyError.
    """
    lease = await leases.holder(ROLE)
    if lease is None or _is_dead(lease):
        return None
    return _shown(lease)


async def _take(leases: Leases, me: str) -> Lease:
    seen = await leases.holder(ROLE)
    held = seen
    clock = asyncio.get_running_loop().time
    # not by the lease's own time: the machine's may have been set back since
    give_up_at = clock() + LASTS_S
    while True:
        dead = held if held is not None and (_is_dead(held) or clock() > give_up_at) else None
        lease = await leases.take(ROLE, me, LASTS_S, instead_of=dead)
        if lease is not None:
            return lease
        held = await leases.holder(ROLE)
        if held is not None and (_is_alive(held) or _was_renewed(seen, held)):
            raise InUseError(
                f"another gateway uses this database: {_shown(held)}; stop it, or give this one a"
                " storage.url of its own (docs/storage.md)"
            )
        seen = seen or held
        await asyncio.sleep(LOOK_S)


async def _renew_forever(leases: Leases, me: str) -> None:
    ours = True
    while True:
        await asyncio.sleep(RENEW_S)
        try:
            had, ours = ours, await leases.take(ROLE, me, LASTS_S) is not None
            if had and not ours:
                log.error("storage.lease-lost", to=await user_of(leases))
        except Exception as error:
            log.warning("storage.lease-not-renewed", error=plain(error))


def _was_renewed(seen: Lease | None, held: Lease) -> bool:
    return seen is not None and held.expires_ms != seen.expires_ms


def _process(lease: Lease) -> Process | None:
    try:
        return Process.parse(lease.owner)
    except ValueError:
        return None


def _is_dead(lease: Lease) -> bool:
    process = _process(lease)
    return process is not None and process.is_visible() and not process.is_alive()


def _is_alive(lease: Lease) -> bool:
    process = _process(lease)
    return process is not None and process.is_visible() and process.is_alive()


def _shown(lease: Lease) -> str:
    process = _process(lease)
    return lease.owner if process is None else f"process {process.pid} on {process.host}"
