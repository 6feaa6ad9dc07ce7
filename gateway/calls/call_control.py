"""Steers calls in progress from outside them: the port behind the API's `/api/v1/calls/{id}/…`."""

from config.settings import Settings
from gateway.calls import holding
from gateway.calls.call_machine import Phase
from gateway.calls.control import (
    Leg,
    NoSoundError,
    NotLiveError,
    Transfer,
    UnsupportedError,
    WrongStateError,
)
from gateway.calls.live_call import LiveCall
from gateway.calls.live_calls import LiveCalls
from gateway.jambonz.messages import command
from gateway.jambonz.verbs import Play

#: How long each key is pressed, in milliseconds.
KEY_MS = 250


class CallControl:
    """What may be done to a call that is up, in commands to the softswitch that carries it."""

    def __init__(self, calls: LiveCalls, settings: Settings) -> None:
        self._calls = calls
        self._settings = settings

    async def transfer(self, call_id: str, to: str, *, by: str) -> Transfer:
        """Begin to hand the caller to `to`. Raises ControlError, as all of these do."""
        call = self._talking(call_id, while_transferring=True)
        return self._calls.transfers.by_command(call, to, by=by)

    async def hangup(self, call_id: str) -> None:
        """End the call, both legs."""
        self._live(call_id).say(command("call:status", {"call_status": "completed"}))

    async def hold(self, call_id: str) -> None:
        """The two do not hear each other."""
        holding.hold(self._talking(call_id))

    async def resume(self, call_id: str) -> None:
        """The two hear each other again, but for whom somebody has muted."""
        holding.take_off_hold(self._talking(call_id))

    async def dtmf(self, call_id: str, digits: str, leg: Leg) -> None:
        """Send keys to the party of that leg, one after another."""
        call = self._talking(call_id)
        for digit in digits:
            holding.tell(call, leg, "dtmf", {"dtmf": {"digit": digit, "duration": KEY_MS}})

    async def play(self, call_id: str, sound: str, leg: Leg) -> None:
        """Play a file of `media.sounds` to the party of that leg alone."""
        call = self._talking(call_id)
        self._needs_ours("play to one leg")
        folder = self._settings.media.sounds
        path = None if folder is None else (folder / sound).resolve()
        if folder is None or path is None or folder.resolve() not in path.parents:
            raise NoSoundError(f"there is no {sound!r} in media.sounds")
        if not path.is_file():
            raise NoSoundError(f"there is no {sound!r} in media.sounds")
        holding.tell(call, leg, "whisper", {"whisper": Play(sound).wire()})

    async def mute(self, call_id: str, leg: Leg, *, on: bool) -> None:
        """Whether what the party of that leg says is kept from the other."""
        holding.mute(self._talking(call_id), leg, on=on)

    # -- parts --------------------------------------------------------------------------------

    def _live(self, call_id: str) -> LiveCall:
        call = self._calls.up(call_id)
        if call is None:
            raise NotLiveError(f"call {call_id} is not in progress here")
        return call

    def _talking(self, call_id: str, *, while_transferring: bool = False) -> LiveCall:
        call = self._live(call_id)
        phase = call.machine.phase
        if phase is Phase.TRANSFERRING and not while_transferring:
            raise WrongStateError("a transfer of this call runs")
        if phase not in (Phase.TALKING, Phase.TRANSFERRING):
            raise WrongStateError("there are not two who talk")
        return call

    def _needs_ours(self, what: str) -> None:
        if not self._settings.sip.listen:
            raise UnsupportedError(f"a jambonz elsewhere cannot {what}: it has no media.sounds")
