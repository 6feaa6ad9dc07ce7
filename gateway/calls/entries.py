"""Which entry of `numbers` a call is for, and which of its agents answers it: pure."""

import hashlib
from collections.abc import Sequence

from config.choices import Choice
from config.settings import NumberSettings, Settings
from config.trunk_settings import PeerSettings
from gateway.calls.numbers import e164


def entry_of(
    settings: Settings, dialled: str, trunk: str = ""
) -> tuple[str, NumberSettings | None]:
    """The dialled number and its entry, None if it has none.

    What that `trunk` alone dials counts first, then the number; then, where we are registered with
    it, our extension there: a PBX may name the group that was dialled, and calls us all the same.
    `"*"` is last. Some carriers leave out the `+` of a full number, which a default country may
    misread, so that a number as configured is tried both ways.
    """
    number = e164(dialled, settings.outbound.default_country)
    as_full = e164(f"+{dialled.lstrip('+')}", None)
    for candidate in (dialled, number, as_full):
        if candidate and (entry := settings.numbers.get(f"{trunk}/{candidate}")) is not None:
            return candidate, entry
    for candidate in (number, as_full):
        if candidate is not None and candidate in settings.numbers:
            return candidate, settings.numbers[candidate]
    extension = _extension(settings.trunk(trunk))
    if (entry := settings.numbers.get(f"{trunk}/{extension}")) is not None:
        return extension, entry
    return number or dialled, settings.numbers.get("*")


def chosen(choices: Sequence[Choice], call_sid: str) -> Choice:
    """The agent that answers this call: by weight, and the same however often it is asked.

    A call's id is random already, and the same after a restart: it is the die.
    """
    if len(choices) == 1:
        return choices[0]
    total = sum(choice.weight for choice in choices)
    digest = hashlib.blake2b(call_sid.encode(), digest_size=8).digest()
    point = int.from_bytes(digest) % total
    for choice in choices:
        point -= choice.weight
        if point < 0:
            return choice
    raise AssertionError("the weights add up to the total")


def _extension(peer: PeerSettings | None) -> str:
    """The user that we are registered as with it (RFC 3261 10.2); "" where we are not."""
    if peer is None or not peer.registers:
        return ""
    told = peer.registration.aor
    if told is not None:
        return told.partition(":")[2].partition("@")[0]
    return peer.credentials.username.partition("@")[0] if peer.credentials is not None else ""
