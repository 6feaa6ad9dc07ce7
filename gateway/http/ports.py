"""What the HTTP side needs of the softswitch, told in its own words: it never sees SIP."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

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
