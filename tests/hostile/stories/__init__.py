"""Attacks under which honest calls go on: one file a story, each an `attack` that runs until it is
cancelled. An attacker is a process of its own, so that it takes no time of who measures.

A further story is a file here and a line in `STORIES`.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from tests.hostile.parties import Address
from tests.hostile.stories import forged_flood, http_attack, mad_trunk


@dataclass(frozen=True, slots=True)
class Target:
    """Whom an attacker knows: the gateway's SIP and HTTP, and the address of one of its trunks."""

    sip: Address
    http: Address
    trunk: str


STORIES: dict[str, Callable[[Target], Coroutine[Any, Any, None]]] = {
    "http attack": lambda target: http_attack.attack(target.http),
    "forged flood": lambda target: forged_flood.attack(target.sip),
    "mad trunk": lambda target: mad_trunk.attack(target.sip, target.trunk),
}
