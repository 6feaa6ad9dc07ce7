"""The parts of the configuration that say how Retell's REST API is used."""

from typing import Annotated

from pydantic import Field

from config.values import Model, Positive, Seconds


class BreakerSettings(Model):
    """After `failures` requests in a row that Retell's API left unanswered or answered by 5xx,
    none is sent for `pause_s` seconds; then one is, and decides."""

    failures: Positive = 5
    pause_s: Seconds = 15


class ConcurrencySettings(Model):
    """Retell's own limit of calls at once, asked for every `poll_s` seconds while calls wait to be
    placed, 0 for never. `reserve` calls of it are left for those that come in; a burst, which
    Retell charges for, counts where `burst` says so."""

    poll_s: Annotated[float, Field(ge=0, le=3600)] = 5
    reserve: Annotated[int, Field(ge=0)] = 0
    burst: bool = False
