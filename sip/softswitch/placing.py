"""Makes a call of what an application wants placed: its trunk, its room there, its driver."""

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeAlias

from sip.b2bua.call import Call
from sip.b2bua.leg_report import LegReport
from sip.core.value import frozen
from sip.errors import Fault, SipError
from sip.softswitch.admission.intake import FullError, Intake, Place
from sip.softswitch.dialling.dialler import DialError, Dialler
from sip.softswitch.dialling.identity import Identity
from sip.softswitch.jambonz.link import AppLink
from sip.softswitch.jambonz.placed_driver import Order, PlacedDriver
from sip.softswitch.jambonz.rest_call import RestCall
from sip.softswitch.jambonz.session_info import PlacedInfo
from sip.softswitch.jambonz.sounds import Sounds
from sip.softswitch.jambonz.verbs.schema import VerbError

_OnStatus: TypeAlias = Callable[[LegReport], None]


class PlaceError(SipError):
    """A call cannot be placed: nothing was sent. `status` is HTTP's: 400 where another try is of no
    use, 503 where there is no room or way just now."""

    def __init__(self, status: int, text: str, fault: Fault) -> None:
        super().__init__(text, fault=fault)
        self.status = status


@frozen(kw_only=True)
class Placed:
    """A call that is being placed: jambonz's id of it, and the Call-ID of its first INVITE."""

    call_sid: str
    sip_call_id: str


class MakeCall(Protocol):
    """Makes a call that begins with a leg of ours, with that id, or one of its own."""

    def __call__(self, *, on_status: _OnStatus, call_sid: str | None) -> Call: ...


def prepared(
    body: object,
    call_sid: str | None,
    *,
    link: AppLink,
    dialler: Dialler,
    intake: Intake,
    sounds: Sounds,
    make_call: MakeCall,
) -> tuple[PlacedDriver, Place, Placed]:
    """The driver of what jambonz's REST `body` asks for, and its room. Raises PlaceError."""
    ua = dialler.ua
    try:
        wanted = RestCall.read(body)
        trunk = dialler.trunk_of(wanted.target)
        passed = dialler.headers(
            trunk, wanted.target, wanted.caller, (*wanted.headers, *wanted.target.headers)
        )
        place = intake.place(trunk, ua.clock.now())
    except VerbError as error:
        raise PlaceError(400, str(error), error.fault) from None
    except DialError as error:
        status = 400 if error.fault is Fault.APPLICATION else 503
        raise PlaceError(status, error.reason, error.fault) from None
    except FullError as error:
        raise PlaceError(503, str(error), error.fault) from None
    caller = wanted.caller
    info = PlacedInfo(
        caller=Identity(number=caller.number, name=caller.name),
        number=wanted.target.called,
        trunk=trunk.name,
        untold=passed.dropped,
    )
    order = Order(
        wanted=wanted, trunk=trunk, headers=passed.headers, sip_call_id=ua.ids.sip_call_id()
    )
    try:
        made = partial(_made, make_call, call_sid)
        driver = PlacedDriver(link, dialler, info, order, made, sounds)
    except Exception:
        place.give_back()
        raise
    placed = Placed(call_sid=driver.call.call_sid, sip_call_id=order.sip_call_id)
    return driver, place, placed


def _made(make_call: MakeCall, call_sid: str | None, on_status: _OnStatus) -> Call:
    return make_call(on_status=on_status, call_sid=call_sid)
