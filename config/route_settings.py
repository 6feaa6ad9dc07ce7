"""Which carriers a number that leaves is called by: an entry of `outbound.routes`."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from config.texts import Name, Prefix
from config.values import Model, Positive


class RouteTrunkSettings(Model):
    """One carrier of a route. Those with a `weight` share its calls."""

    trunk: Name
    weight: Positive | None = None


def _trunks(value: Any) -> Any:
    """A carrier of which only the name is told may be written as that alone."""
    if not isinstance(value, list | tuple):
        return value
    return [{"trunk": item} if isinstance(item, str) else item for item in value]


RouteTrunks = Annotated[
    tuple[RouteTrunkSettings, ...], BeforeValidator(_trunks), Field(min_length=1)
]


class RouteSettings(Model):
    """A route is for the numbers that begin with `prefix`, called from a number that begins with
    one of `from`; without `from`, from any. Carriers without a weight, or with the same, are tried
    as they are `listed`, or from the cheapest on by `outbound.rates`."""

    prefix: Prefix = ""
    from_numbers: tuple[Prefix, ...] = Field(default=(), alias="from")
    trunks: RouteTrunks
    order: Literal["listed", "cost"] = "listed"
