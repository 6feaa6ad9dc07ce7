"""How a caller is handed on: by REFER to the peer that has the caller, or by a call from here.

Pure: from the trunk that the caller came by, and a step of the plan (`gateway/calls/directory.py`).
"""

from collections.abc import Mapping
from typing import Literal
from urllib.parse import quote

from config.settings import Settings
from config.trunk_settings import PeerSettings
from gateway.calls.directory import Place, Step
from gateway.calls.numbers import e164
from gateway.calls.own_hosts import first_host
from gateway.value import frozen


@frozen
class Refer:
    """What the verb sip:refer says of the peer that has the caller: whom it is to call, a URI or a
    bare number, which is written as its trunk wants it, and the headers of its REFER."""

    refer_to: str
    headers: Mapping[str, str]


@frozen
class Shown:
    """Who a transferred call is said to come from: the number in From, and that in Diversion
    (RFC 5806), None without one."""

    number: str | None
    diversion: str | None


def means(
    settings: Settings, trunk: PeerSettings, step: Step
) -> tuple[Literal["refer", "bridge"], ...]:
    """The ways to try for one step, in order; never none.

    Only a step of one phone can be referred, which the peer reaches by itself: a telephone number,
    or its own extension; and to which nothing is played. All else is bridged, whatever is wanted.
    """
    policy = trunk.transfer.policy
    country = trunk.country or settings.outbound.default_country
    if policy == "bridge" or not _can_be_referred(trunk, step, country):
        return ("bridge",)
    return ("refer", "bridge") if policy == "auto" else ("refer",)


def refer(settings: Settings, trunk: PeerSettings, place: Place) -> Refer:
    """The REFER to `trunk`, which has the caller, that asks it to call `place`. Our softswitch
    itself knows how the trunk wants it; a real jambonz is told."""
    to = e164(place.to, trunk.country or settings.outbound.default_country) or place.to
    if settings.sip.listen:
        return Refer(to, {})
    return Refer(_refer_to(trunk, to), trunk.transfer.headers)


def shown(trunk: PeerSettings, caller: str, number: str) -> Shown:
    """Who calls, on a call to `trunk`: the `caller` who is handed on, where it takes a number that
    is not ours, with our `number` as the one who sends it on; else the other way round. Either may
    be empty."""
    if not caller or not number or caller == number:
        return Shown(caller or number or None, None)
    if trunk.transfer.shows_foreign(trunk.kind):
        return Shown(caller, number)
    return Shown(number, caller)


def diversion(trunk: PeerSettings, who: Shown) -> str | None:
    """The header Diversion for a call to `trunk` (RFC 5806): some carriers know the number that
    they charge by it, at their own host. None without one, or where the trunk has no host."""
    host = first_host(trunk)
    if who.diversion is None or host is None:
        return None
    return f"<sip:{quote(who.diversion, safe='+')}@{host}>;reason=unconditional"


def _can_be_referred(trunk: PeerSettings, step: Step, country: str | None) -> bool:
    if len(step.places) != 1:
        return False
    place = step.places[0]
    if place.confirm or place.whisper is not None:
        return False
    return trunk.name in place.trunks or e164(place.to, country) is not None


def _refer_to(trunk: PeerSettings, to: str) -> str:
    """What a jambonz sends on as it is; a bare number or extension is at the leg's own host."""
    host = first_host(trunk)
    if host is None or to.startswith(("sip:", "sips:")):
        return to
    return trunk.transfer.refer_uri(to, host)
