"""The session timer of one leg: refresh in time, and notice when nobody did (RFC 4028 10)."""

from collections.abc import Callable

from sip.clock import Clock, Timer
from sip.core.session_timer import Agreement, Refresher


class SessionTimer:
    """Runs what a leg and its peer agreed on; every refresh, from either side, starts it anew."""

    def __init__(
        self, clock: Clock, *, refresh: Callable[[], None], expired: Callable[[], None]
    ) -> None:
        """`refresh()` is called when it is ours to refresh, `expired()` when it is over."""
        self.agreement: Agreement | None = None
        self._clock = clock
        self._refresh = refresh
        self._expired = expired
        self._timers: list[Timer] = []

    def agree(self, agreement: Agreement | None) -> None:
        """A request and its 2xx agreed; None: on no timer at all."""
        self.stop()
        self.agreement = agreement
        if agreement is None:
            return
        later = self._clock.call_later
        self._timers.append(later(agreement.expires_after_s, self._expired))
        if agreement.refresher is Refresher.US:
            self._timers.append(later(agreement.refresh_after_s, self._refresh))

    def again(self, delay_s: float) -> None:
        """A refresh could not be made now: try in so many seconds, if there is still time."""
        if self.agreement is not None:
            self._timers.append(self._clock.call_later(delay_s, self._refresh))

    def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def close(self) -> None:
        """Stop for good, and let go of who was to be called."""
        self.stop()
        self._refresh = self._expired = _nobody


def _nobody() -> None:
    """Whom a closed timer calls."""
