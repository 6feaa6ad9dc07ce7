"""What HTTP shows of the softswitch, which starts after it."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from gateway.start.drain import Drain
from sip.media.plane import MediaError
from sip.media.pool.pool import EnginePool
from sip.softswitch.operator_view import OperatorView
from sip.softswitch.softswitch import Softswitch
from sip.trace import Trace

#: Gauges of /metrics by the softswitch's own names.
_OPEN = {
    "open_calls": "calls",
    "open_legs": "dialogs",
    "open_transactions": "transactions",
    "open_sip_connections": "connections",
}


class Shown:
    """The softswitch as /readyz, /metrics and the API see it, from before it is there.

    It is told of the media engine by `media`, and of the softswitch by `takes_calls`; before that
    it says "not yet". Where no softswitch is `expected`, a jambonz elsewhere does the SIP.
    """

    def __init__(self, *, expected: bool, drain: Drain, trace: Trace | None = None) -> None:
        self._expected = expected
        #: how the gateway stops
        self.drain = drain
        #: the SIP messages of late
        self.trace = trace or Trace()
        #: the engines, once they run
        self.media: EnginePool | None = None
        #: what an operator may ask and do, once calls are taken
        self.report: OperatorView | None = None
        self._switch: Softswitch | None = None

    def takes_calls(self, switch: Softswitch, report: OperatorView) -> None:
        """The softswitch listens."""
        self._switch = switch
        self.report = report
        self.drain.add(switch)

    async def ready(self) -> dict[str, bool]:
        """The checks of /readyz beyond the application's own."""
        takes_calls = {"takes_calls": not self.drain.begun}
        if not self._expected:
            return takes_calls
        sip, media = self._switch is not None, await self._media_answers()
        return takes_calls | {"sip": sip, "media": media}

    async def _media_answers(self) -> bool:
        try:
            if self.media is not None:
                await self.media.ping()
        except MediaError:
            return False
        return self.media is not None

    def ladder(self, sip_call_ids: Iterable[str]) -> list[dict[str, Any]]:
        """The SIP messages of these dialogs, for the API."""
        return [
            {
                "at": traced.at,
                "direction": traced.direction,
                "peer": traced.peer,
                "local": traced.local,
                "summary": traced.summary,
                "sip_call_id": traced.sip_call_id,
                "message": traced.message,
                "left_out": traced.left_out,
            }
            for traced in self.trace.ladder(sip_call_ids)
        ]

    def forget(self, sip_call_ids: Iterable[str]) -> None:
        """The messages of these dialogs are stored."""
        self.trace.forget(sip_call_ids)

    def gauges(self) -> dict[str, Callable[[], float]]:
        """What /metrics shows of what is open now."""

        def gauge(read: Callable[[Softswitch], float]) -> Callable[[], float]:
            return lambda: float(read(self._switch)) if self._switch is not None else 0.0

        def is_open(name: str) -> Callable[[], float]:
            return gauge(lambda switch: switch.gauges[name])

        def ports(which: int) -> float:
            known = self.media.ports if self.media is not None else None
            return math.nan if known is None else float(known[which])

        return {
            **{shown: is_open(name) for shown, name in _OPEN.items()},
            "spare_application_sockets": gauge(lambda switch: switch.spare_sockets),
            "media_ports_in_use": lambda: ports(0),
            "media_ports": lambda: ports(1),
        }
