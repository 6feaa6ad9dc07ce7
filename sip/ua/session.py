"""The session timer of one leg: refresh in time, and notice when nobody did (RFC 4028 10)."""

from collections.abc import Callable

from sip.clock import Clock, Timer
from sip.core.session_timer import Agreement, Refresher


class SessionTimer:
    """Runs what a leg and its peer agreed on; every refresh, from either side, starts it anew."""

    def __init__(self, clock: Clock) -> None:
        self.agreement: Agreement | None = None
        self._clock = clock
        self._timers: list[Timer] = []

    def agree(
        self,
        agreement: Agreement | None,
        *,
        refresh: Callable[[], None],
        expired: Callable[[], None],
    ) -> None:
        """A request and its 2xx agreed; None: on no timer at all.

        `refresh()` is called when it is ours to refresh, `expired()` when it is over.
        """
        self.stop()
        self.agreement = agreement
        if agreement is None:
            return
        self._timers.append(self._clock.call_later(agreement.expires_after_s, expired))
        if agreement.refresher is Refresher.US:
            self.again(agreement.refresh_after_s, refresh)

    def again(self, delay_s: float, refresh: Callable[[], None]) -> None:
        """Call `refresh()` in so many seconds, if there is still time."""
        if self.agreement is not None:
            self._timers.append(self._clock.call_later(delay_s, refresh))

    def stop(self) -> None:
        """The leg is leaving: nothing is called any more."""
        self.agreement = None
        if self._timers:
            for timer in self._timers:
                timer.cancel()
            self._timers.clear()
