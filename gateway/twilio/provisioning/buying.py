"""Numbers that are bought, and given back: how many are missing, and which of those on offer are
taken; pure.

A number that we bought has our mark as its name. As long as no configuration names it, it counts
as one of those that were asked for: so an interrupted purchase is not made again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from gateway.provisioning.changes import Ask, Change, Conflict, FieldChange, Plan
from gateway.twilio.provisioning.found import Found, Resource
from gateway.twilio.provisioning.numbers import NUMBER, elsewhere
from gateway.twilio.provisioning.trunk import API

#: What an account on trial has at most, as far as is known.
TRIAL_NUMBERS: Final = 1
#: Offers that are asked for beyond those wanted, as some want an address.
_SPARE: Final = 20
_COUNTRY_CODE: Final = {"US": "+1", "CA": "+1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """`count` numbers of an area code that no configuration uses yet."""

    count: int
    area_code: str
    country: str = "US"

    @property
    def prefix(self) -> str:
        return f"{_COUNTRY_CODE[self.country]}{self.area_code}"

    @property
    def target(self) -> str:
        """Where offers are found (twilio.com/docs/phone-numbers/api/availablephonenumberlocal)."""
        query = {"AreaCode": self.area_code, "VoiceEnabled": "true", "PageSize": self.wanted_offers}
        return f"AvailablePhoneNumbers/{self.country}/Local.json?{urlencode(query)}"

    @property
    def wanted_offers(self) -> int:
        return self.count + _SPARE


def at_hand(purchase: Purchase, found: Found, configured: Iterable[str], mark: str) -> list[str]:
    """Numbers that were bought for this already."""
    used = frozenset(configured)
    return sorted(
        number
        for number, one in found.numbers.items()
        if one.get("friendly_name") == mark
        and number.startswith(purchase.prefix)
        and number not in used
    )


def given_back(
    account_sid: str,
    numbers: Iterable[str],
    found: Found,
    used: frozenset[str],
    *,
    mark: str,
    our_urls: str | None,
) -> Plan:
    """What gives numbers back that were bought by us, and that nobody uses: for ever
    (twilio.com/docs/phone-numbers/api/incomingphonenumber-resource, delete). `used` are those of
    the configuration; what is bound to another is another's, who may buy under the same mark."""
    changes, against, notes = [], [], []
    for number in sorted(set(numbers)):
        one = found.numbers.get(number)
        if one is None:
            notes.append(f"{number} is none of this account's")
        elif number in used:
            fix = "take it out of the configuration first"
            against.append(Conflict(NUMBER, number, "is used by the configuration", fix))
        elif one.get("friendly_name") != mark:
            reason = "was not bought by us: its name at Twilio is another"
            against.append(Conflict(NUMBER, number, reason, "give it back in Twilio's console"))
        elif (bound := elsewhere(number, one, found, our_urls)) is not None:
            against.append(replace(bound, fix="unbind it first, if nobody needs it"))
        else:
            path = ("2010-04-01", "Accounts", account_sid, "IncomingPhoneNumbers")
            ask = Ask(API, "DELETE", (*path, f"{one['sid']}.json"))
            changes.append(Change("remove", f"{NUMBER}, for ever", number, ask))
    return Plan(tuple(changes), tuple(against), notes=tuple(notes))


def too_many_on_trial(found: Found, missing: int) -> bool:
    """Whether Twilio is likely to refuse the purchase."""
    return found.on_trial and len(found.numbers) + missing > TRIAL_NUMBERS


def purchases(
    account_sid: str, missing: int, offers: Iterable[Resource], mark: str
) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """The first offers that need no address of the buyer, and what is to be said."""
    fit = [one for one in offers if one.get("address_requirements", "none") == "none"][:missing]
    path = ("2010-04-01", "Accounts", account_sid, "IncomingPhoneNumbers.json")
    changes = []
    for one in fit:
        number = str(one["phone_number"])
        place = ", ".join(str(one[key]) for key in ("locality", "region") if one.get(key))
        body = {"PhoneNumber": number, "FriendlyName": mark}
        ask = Ask(API, "POST", path, body, gives=number)
        fields = (FieldChange("place", "-", place or "-"),)
        changes.append(Change("make", f"{NUMBER}, billed monthly", number, ask, fields))
    notes: tuple[str, ...] = ()
    if short := missing - len(fit):
        notes = (f"{short} of the numbers asked for are not on offer without a local address",)
    return tuple(changes), notes
