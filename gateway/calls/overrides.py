"""X-Override-Number and X-Override-Carrier: what Retell's headers may say in place of the
configuration, where it lists what they may say."""

import re
from collections.abc import Mapping
from typing import Final

from config.settings import Settings
from gateway.calls.endings import Fault, Refusal
from gateway.calls.no_way import NoWay
from gateway.calls.numbers import e164
from gateway.value import frozen

OVERRIDE_NUMBER: Final = "x-override-number"
OVERRIDE_CARRIER: Final = "x-override-carrier"

NOT_ALLOWED: Final = Refusal(403, "Forbidden", "override-not-allowed", Fault.CALLER)

#: What only a trunk knows: an extension, or a number behind a prefix of the trunk's own. A URI is
#: none, which would be called at its own host, nor is what a guard reads other than its trunk does.
_AS_DIALLED: Final = re.compile(r"[0-9*#]{1,32}")


@frozen
class Override:
    """What Retell's headers say in place of the configuration; None is nothing."""

    number: str | None = None
    carrier: str | None = None


def override_of(settings: Settings, headers: Mapping[str, str]) -> Override | NoWay:
    """What X-Override-Number and X-Override-Carrier of Retell's INVITE or REFER say. They are not
    read while their list is empty, and refused when they say what is not on it."""
    allowed = settings.transfer.override
    given = {name.lower(): value.strip() for name, value in headers.items()}
    number, carrier = given.get(OVERRIDE_NUMBER), given.get(OVERRIDE_CARRIER)
    number = number if allowed.numbers else None
    carrier = carrier if allowed.carriers else None
    if number:
        full = e164(number, settings.outbound.default_country)
        if full is None and _AS_DIALLED.fullmatch(number) is None:
            return NoWay(NOT_ALLOWED, f"{number!r} in X-Override-Number is no telephone number")
        full = full or number
        if not any(_fits(full, pattern) for pattern in allowed.numbers):
            return NoWay(NOT_ALLOWED, f"{full} fits no pattern of transfer.override.numbers")
        number = full
    if carrier and carrier not in allowed.carriers:
        return NoWay(NOT_ALLOWED, f"{carrier} is not in transfer.override.carriers")
    return Override(number or None, carrier or None)


def _fits(number: str, pattern: str) -> bool:
    if pattern.endswith("*"):
        return number.startswith(pattern[:-1])
    return number == pattern
