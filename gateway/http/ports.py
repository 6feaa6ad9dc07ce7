"""What the HTTP side needs of the softswitch, told in its own words: it never sees SIP."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from gateway.calls.control import Leg, Transfer

Json: TypeAlias = dict[str, Any]


class ReloadRefusedError(Exception):
    """The new configuration cannot be used; `problems` are lines for the operator."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Reloading(Protocol):
    """How the gateway reads its configuration anew."""

    async def reload(self) -> Json:
        """What changed (`changed`) and what waits for a restart (`restart`), by keys. Raises
        ReloadRefusedError; then all is as it was."""
        ...


class Lifecycle(Protocol):
    """How the gateway stops."""

    def begin(self, within_s: float | None = None) -> None:
        """Take no new calls, and stop when those in progress are over, at the latest in
        `within_s` seconds (None: as configured)."""
        ...

    def view(self) -> Json:
        """How far it is: `draining`, `calls`, `ends_in_s`."""
        ...


class Operations(Protocol):
    """The softswitch, as the application needs it. Everything is JSON and free of secrets."""

    def trunks(self) -> list[Json]:
        """Every trunk, Retell's first, as /api/v1/trunks documents it."""
        ...

    async def register_now(self, trunk: str) -> Json | None:
        """Register with that trunk at once; its registration afterwards.

        None if it is no trunk that we register with.
        """
        ...

    async def media(self, call_sid: str) -> Json | None:
        """The media counters of a call in progress, by leg, as its end would tell them.

        None for a call that is not there, or of which the media engine tells nothing.
        """
        ...

    def bans(self) -> list[Json]:
        """The bans that hold, oldest first."""
        ...

    def unban(self, address: str) -> bool:
        """End a ban; False if there was none."""
        ...

    def refused(self) -> list[Json]:
        """Calls that were refused before the application heard of them, the latest first."""
        ...

    @property
    def refused_total(self) -> Mapping[str, int]:
        """How many there were since the start, by reason."""
        ...

    @property
    def turned_away(self) -> Mapping[str, Mapping[str, int]]:
        """What went nowhere since the start: how many by kind, and by reason."""
        ...

    @property
    def certificate_ends(self) -> Mapping[str, float]:
        """When each listener's certificate ends, in seconds since 1970."""
        ...

    @property
    def bans_total(self) -> int:
        """Bans since the start."""
        ...


class LiveCallControl(Protocol):
    """What may be done to a call that is up. Each raises ControlError (`gateway.calls.control`) and
    then has changed nothing; `call_id` is ours. What returns has been asked of the softswitch: it
    does it at once, and the call's events tell of it."""

    async def transfer(self, call_id: str, to: str, *, by: str) -> Transfer:
        """Begin to hand the caller to `to`: a name of the directory, an extension or a number, as
        it was said (it chooses nothing by itself: directory and guard do). `by` says who asks, for
        log and record: `api NAME`, NAME being the token's, or `function NAME`."""
        ...

    async def hangup(self, call_id: str) -> None:
        """End the call, both legs, in whatever state it is."""
        ...

    async def hold(self, call_id: str) -> None:
        """The caller hears music or silence, and the two do not hear each other."""
        ...

    async def resume(self, call_id: str) -> None:
        """The two hear each other again."""
        ...

    async def dtmf(self, call_id: str, digits: str, leg: Leg) -> None:
        """Send keys (0-9 * # A-D, at most 32) to the party of that leg."""
        ...

    async def play(self, call_id: str, sound: str, leg: Leg) -> None:
        """Play a file of `media.sounds` to the party of that leg alone."""
        ...

    async def mute(self, call_id: str, leg: Leg, *, on: bool) -> None:
        """Whether what the party of that leg says is kept from the other."""
        ...
