"""Trunks that go up and down and registrations that change, as events: looked for each second
while somebody looks on."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from gateway.feed import Feed
from gateway.http.ports import Operations

#: Seconds between two looks.
LOOK_S: Final = 1.0

_State: TypeAlias = tuple[bool | None, str | None]


class TrunkChanges:
    """What was seen of each trunk at the last look; what has changed is told."""

    def __init__(self, find: Callable[[], Operations | None], feed: Feed) -> None:
        self._find = find
        self._feed = feed
        self._seen: dict[str, _State] = {}

    async def watch(self) -> None:
        """Look, for good."""
        while True:
            await asyncio.sleep(LOOK_S)
            if len(self._feed):
                self.look()

    def look(self) -> None:
        """Tell what has changed since the last look. The first one only remembers."""
        operations = self._find()
        if operations is None:
            return
        before, self._seen = self._seen, {}
        for trunk in operations.trunks():
            name, registration = trunk["name"], trunk["registration"]
            up, state = trunk["up"], registration and registration["state"]
            self._seen[name] = (up, state)
            was_up, was = before.get(name, (up, state))
            if up != was_up and up is not None:
                self._feed.tell("trunk.up" if up else "trunk.down", name, _gateways(trunk))
            if state != was and registration is not None:
                self._feed.tell("registration.changed", name, {"trunk": name, **registration})


def _gateways(trunk: dict[str, Any]) -> dict[str, Any]:
    names = ("uri", "state", "last_status", "last_error")
    gateways = [{name: one[name] for name in names} for one in trunk["gateways"]]
    return {"trunk": trunk["name"], "gateways": gateways}
