"""How long each part runs: the full plan (22 minutes at most) and the quick one (5 at most)."""

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
    thorough: bool
    """Also the softswitch with its relay, the peers' memory and highest rate, and `call_rate` where
    the peer cannot follow."""
    signalling_s: float
    search_step_s: float
    search_from: float
    """The search starts at this share of the rate that the CPU per call promises."""
    search_steps: int
    """The search for the highest rate stops after this many steps."""
    attempts: int
    """How often a failing step is tried before it counts as failed."""
    delay_rate: int = 50
    delay_s: float
    media_steps: tuple[int, ...]
    media_s: float
    media_warm_up_s: float
    transcoding_calls: int = 30
    """With which the cost of a converted call is found."""
    answers: int = 330
    """Labelled calls that the answering machine detection hears."""
    memory_calls: int
    memory_rate: int = 100


FULL = Plan(
    name="full",
    rounds=3,
    thorough=True,
    signalling_s=5.0,
    search_step_s=3.0,
    search_from=0.6,
    search_steps=5,
    attempts=2,
    delay_s=6.0,
    media_steps=(100, 300, 500, 700, 900),
    media_s=6.0,
    media_warm_up_s=1.5,
    memory_calls=500,
)

QUICK = Plan(
    name="quick",
    rounds=1,
    thorough=False,
    signalling_s=4.0,
    search_step_s=2.0,
    search_from=0.8,
    search_steps=2,
    attempts=1,
    delay_s=5.0,
    media_steps=(300, 900),
    media_s=4.0,
    media_warm_up_s=1.0,
    memory_calls=200,
)
