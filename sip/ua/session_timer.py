"""The session timer of one leg: refresh in time, and notice when neither side did (RFC 4028 10)."""

from collections.abc import Callable

from sip.clock import Clock
from sip.core.session_timer import Agreement, Refresher


class SessionTimer:
    """Runs what one request and its 2xx agreed on; the next refresh, from either side, has its own.

    `agreement` is what it runs.
    """

    def __init__(
        self,
        clock: Clock,
        agreement: Agreement,
        *,
        refresh: Callable[[], None],
        expired: Callable[[], None],
    ) -> None:
        """`refresh()` is called when it is ours to refresh, `expired()` when it is over."""
        self.agreement = agreement
        self._clock = clock
        self._refresh = refresh
        self._timers = [clock.call_later(agreement.expires_after_s, expired)]
        if agreement.refresher is Refresher.US:
            self.again(agreement.refresh_after_s)

    def again(self, delay_s: float) -> None:
        """A refresh could not be made now: try in `delay_s` seconds, if there is still time."""
        self._timers.append(self._clock.call_later(delay_s, self._refresh))

    def stop(self) -> None:
        """Another agreement takes its place, or the leg is leaving."""
        for timer in self._timers:
            timer.cancel()
