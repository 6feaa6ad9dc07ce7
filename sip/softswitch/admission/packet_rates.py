"""How many packets a second one source may send, counted before anything is parsed."""

from sip.softswitch.admission.bans import banned_as

#: Sources counted at a time, before those that are quiet are forgotten.
MAX_SOURCES = 10_000
#: Seconds' worth of packets that a source may send at once after it was quiet.
BURST_S = 1.0
_ROUNDING_S = 1e-6


class Rates:
    """A token bucket a source, each kept as one number: when it will be full again.

    That is the generic cell rate algorithm (ITU-T I.371): a source may run ahead of its rate by
    `BURST_S`. A full bucket is the same as none, so quiet sources cost no memory.
    """

    def __init__(self, packets_per_second: float) -> None:
        self._interval_s = 1.0 / packets_per_second
        self._full_at: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, host: str, now: float) -> bool:
        """Whether one more packet of `host` is within its rate; it is counted if it is."""
        key = banned_as(host) if ":" in host else host
        full_at = max(self._full_at.get(key, now), now) + self._interval_s
        if full_at - now > BURST_S + _ROUNDING_S:
            return False
        self._full_at[key] = full_at
        if len(self._full_at) > MAX_SOURCES:
            self._forget(now)
        return True

    def _forget(self, now: float) -> None:
        self._full_at = {host: at for host, at in self._full_at.items() if at > now}
        if len(self._full_at) > MAX_SOURCES:  # more busy sources than this are forged
            self._full_at.clear()
