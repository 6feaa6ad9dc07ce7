"""A leg that left for a carrier: counted while it is up, and metered."""

from dataclasses import dataclass

from gateway.calls.spend import Meter
from gateway.calls.tried import Tried


@dataclass(slots=True)
class Leaving:
    """`number` is what it counts under; `counted` until its dial is over, `meter` until it is."""

    tried: Tried
    number: str
    meter: Meter
    counted: bool = True
