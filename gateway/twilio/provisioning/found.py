"""What a Twilio account has, as far as it matters here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """`trunk` is the one that is meant, ours if we made it, with what hangs on it; `list_of_ours`
    the credential list of our name, with its credentials. Each resource is as the API tells it."""

    account: Resource
    trunks: tuple[Resource, ...] = ()
    trunk: Resource | None = None
    trunk_is_ours: bool = False
    originations: tuple[Resource, ...] = ()
    attached_lists: frozenset[str] = frozenset()
    list_of_ours: Resource | None = None
    credentials: tuple[Resource, ...] = ()
    numbers: Mapping[str, Resource] = field(default_factory=dict)

    @property
    def on_trial(self) -> bool:
        return self.account.get("type") == "Trial"

    @property
    def trunk_sid(self) -> str | None:
        return None if self.trunk is None else str(self.trunk["sid"])
