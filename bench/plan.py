"""How long each part runs: the full plan (12 minutes at most) and the quick one (3 at most)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Durations in seconds, rates in calls a second."""

    name: str
    rounds: int
    """Runs of each system, taken in turn; medians are reported."""
    call_rate: int = 200
    peer_rates: tuple[int, ...] = (200, 150, 100, 75, 50)
    """The peer is measured at the first of these that it carries without failure."""
    hold_ms: int = 200
    """Between ACK and BYE."""
    signalling_s: float
    search_step_s: float
    search_steps: int
    """The search for the highest rate stops after this many steps. A failing step is repeated."""
    delay_rate: int = 50
    delay_s: float
    media_steps: tuple[int, ...]
    media_s: float
    media_warm_up_s: float
    memory_calls: int
    memory_rate: int = 100


FULL = Plan(
    name="full",
    rounds=3,
    signalling_s=5.0,
    search_step_s=3.0,
    search_steps=5,
    delay_s=6.0,
    media_steps=(100, 300, 500, 700, 900),
    media_s=6.0,
    media_warm_up_s=1.5,
    memory_calls=500,
)

QUICK = Plan(
    name="quick",
    rounds=1,
    signalling_s=4.0,
    search_step_s=2.0,
    search_steps=2,
    delay_s=5.0,
    media_steps=(300, 900),
    media_s=4.0,
    media_warm_up_s=1.0,
    memory_calls=200,
)
