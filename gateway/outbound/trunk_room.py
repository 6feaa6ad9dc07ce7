"""What our own trunks have room for, and accounts that place calls for us: calls at a time, and
calls that begin in a second."""

from collections import Counter
from collections.abc import Sequence

from config.settings import Settings
from config.twilio_settings import TWILIO, TwilioAccountSettings
from gateway.outbound.pace import SOON_S, Pace


def account_lane(account_sid: str) -> str:
    """The name of an account of Twilio's here; no trunk has such a one."""
    return f"{TWILIO}/{account_sid}"


class TrunkRoom:
    """The tries under way by trunk, within `trunks[].max_calls` and `calls_per_second`, and by
    account of `twilio`, within its `calls_per_second`."""

    def __init__(self, settings: Settings) -> None:
        self._up: Counter[str] = Counter()
        self._paces: dict[str, Pace] = {}
        self._most: dict[str, int] = {}
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Keep these limits from now on."""
        trunks = settings.every_trunk()
        self._most = {one.name: one.max_calls for one in trunks if one.max_calls is not None}
        limits = {one.name: one.calls_per_second for one in trunks}
        accounts = () if settings.twilio is None else settings.twilio.accounts()
        limits.update(map(_limit_of, accounts))
        kept = self._paces
        self._paces = {}
        for name, limit in limits.items():
            if limit is not None:
                pace = self._paces[name] = kept.get(name, Pace())
                pace.configure(limit)

    def when(self, trunks: Sequence[str], now: float) -> float | None:
        """From when on one of them, the first that can, takes a call; None: not before one of its
        calls is over. A call that goes by none of our trunks may begin now."""
        if not trunks:
            return now
        times = [self._when(trunk, now) for trunk in trunks]
        return min((at for at in times if at is not None), default=None)

    def take(self, trunks: Sequence[str], now: float) -> str | None:
        """A call begins; by which of them, None by none of ours."""
        if not trunks:
            return None
        soon = now + SOON_S
        able = (one for one in trunks if (at := self._when(one, now)) is not None and at <= soon)
        trunk = next(able, trunks[0])
        self._up[trunk] += 1
        if (pace := self._paces.get(trunk)) is not None:
            pace.take(now)
        return trunk

    def give_back(self, trunk: str | None) -> None:
        """A call that was taken by that trunk is over."""
        if trunk is None:
            return
        self._up[trunk] -= 1
        if self._up[trunk] <= 0:
            del self._up[trunk]

    def _when(self, trunk: str, now: float) -> float | None:
        most = self._most.get(trunk)
        if most is not None and self._up[trunk] >= most:
            return None
        pace = self._paces.get(trunk)
        return now if pace is None else max(now, pace.next_at())


def _limit_of(account: TwilioAccountSettings) -> tuple[str, int | None]:
    return account_lane(account.account_sid), account.calls_per_second
