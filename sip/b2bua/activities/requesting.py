"""A leg's peer is sent a request that leaves the session as it is: INFO, MESSAGE and the like."""

from sip.b2bua.call_events import Disconnect, Event, Headers
from sip.b2bua.hub import Hub
from sip.b2bua.legs.leg import Leg
from sip.core.body import Body


class Requesting:
    """Sends one request in a leg's dialog. The outcome is its final status, None for none."""

    name = "requesting"

    def __init__(self, leg: str, method: str, *, body: Body | None, headers: Headers) -> None:
        """`leg` is the name of a leg that is there."""
        self.legs = (leg,)
        self._method = method
        self._body = body
        self._headers = headers

    def start(self, call: Hub) -> None:
        """Send it."""
        self._call = call
        self._leg = call.legs[self.legs[0]]
        sent = self._leg.send(
            self._method, body=self._body, headers=self._headers, told=self._answered
        )
        if not sent:
            self._answered(None)

    def on(self, leg: Leg, event: Event) -> bool:
        """A leg that is over answers no more."""
        if leg is self._leg and isinstance(event, Disconnect):
            self._answered(None)
        return False

    def stop(self) -> None:
        """What it answers later is of no interest."""

    def _answered(self, status: int | None) -> None:
        self._call.finish(self, status)
