"""A leg is offered another session, and again while that cannot be (RFC 3261 14.1)."""

import asyncio
from typing import Final

from sip.b2bua.hub import Hub
from sip.b2bua.legs.leg import Leg

#: Seconds until a leg that cannot be offered its new media now, since an offer is open, is asked
#: again (RFC 3261 14.1).
OFFER_AGAIN_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)


async def ask_anew(call: Hub, leg: Leg, sdp: str) -> tuple[str | None, int]:
    """Offer `sdp` to `leg`, and again where another offer was open, its own or one of ours.

    A leg that has said 491 itself for longer than that is not asked again: it was often enough.
    """
    clock = call.ua.clock
    until = clock.now() + sum(OFFER_AGAIN_S)
    for wait_s in OFFER_AGAIN_S:
        answer, status = await call.ask(leg, sdp)
        if answer is not None or status != 491 or leg.gone or clock.now() > until:
            return answer, status
        waited = asyncio.Event()
        clock.call_later(wait_s, waited.set)
        await waited.wait()
    return await call.ask(leg, sdp)
