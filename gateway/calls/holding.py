"""Who of the two of a call is kept from the other: one that is muted, both while it is on hold."""

from gateway.calls.control import Leg, WrongStateError
from gateway.calls.live_call import LiveCall
from gateway.jambonz.messages import command


def hold(call: LiveCall) -> None:
    """The two do not hear each other. Raises WrongStateError."""
    if call.held:
        raise WrongStateError("the call is on hold already")
    _sid_of(call, "b")
    call.held = True
    _mute(call, "a", on=True)
    _mute(call, "b", on=True)


def take_off_hold(call: LiveCall) -> None:
    """They hear each other again, but for whom somebody has muted. Raises WrongStateError."""
    if not call.held:
        raise WrongStateError("the call is not on hold")
    call.held = False
    for leg in ("a", "b"):
        if leg not in call.muted:
            _mute(call, leg, on=False)


def mute(call: LiveCall, leg: Leg, *, on: bool) -> None:
    """Whether what the party of that leg says is kept from the other. Raises WrongStateError."""
    _sid_of(call, leg)
    if on:
        call.muted.add(leg)
    else:
        call.muted.discard(leg)
    if on or not call.held:
        _mute(call, leg, on=on)


def tell(call: LiveCall, leg: Leg, name: str, data: dict[str, object]) -> None:
    """A command about one leg: another than that which the call began with is named. Raises
    WrongStateError."""
    call.say(command(name, data, call_sid=_sid_of(call, leg)))


def _mute(call: LiveCall, leg: Leg, *, on: bool) -> None:
    tell(call, leg, "mute:status", {"mute_status": "mute" if on else "unmute"})


def _sid_of(call: LiveCall, leg: Leg) -> str | None:
    if leg == "a":
        return None
    talker = call.machine.connected
    if talker is None or not talker.call_sid:
        raise WrongStateError("nobody is known on that leg")
    return talker.call_sid
