"""What kind of number it is, and whose: by the numbering plans that `phonenumbers` knows."""

from functools import lru_cache
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumberType as Type
from phonenumbers import ShortNumberCost
from phonenumbers.shortnumberinfo import is_emergency_number

from config.guard_settings import Kind

#: Networks that belong to no country (ITU-T E.164 annex, list of assigned country codes): Inmarsat
#: (870), the satellite systems of 881, EMSAT and Thuraya of 882; then universal personal numbers
#: (878), international networks (882, 883) and what was for disaster relief (888), whose rates
#: their owners set.
_NETWORKS: Final[tuple[tuple[str, Kind], ...]] = (
    *((prefix, "satellite") for prefix in ("+870", "+881", "+88213", "+88216")),
    *((prefix, "revenue-share") for prefix in ("+878", "+882", "+883", "+888")),
)
#: Personal numbers ring wherever their owner wants, and earn it a share: British 070.
_TYPES: Final[dict[int, Kind]] = {
    Type.PREMIUM_RATE: "premium",
    Type.SHARED_COST: "shared-cost",
    Type.PERSONAL_NUMBER: "revenue-share",
}
#: Most countries' and North America's (ITU-T E.123 2.3); "" where one is left out.
_INTERNATIONAL_PREFIXES: Final = ("", "00", "011")
#: Characters of a number in E.164 with its plus.
_SHORTEST, _LONGEST = 8, 16
#: So many digits too many or too few hide no kind: networks connect such calls, too.
_SLACK: Final = 4
#: Digits; longer ones are numbers of a numbering plan.
LONGEST_SHORT_CODE: Final = 6
#: ITU-T E.161.1 4 recommends the first two to every country.
_EMERGENCY: Final = frozenset({"112", "911", "999"})


@lru_cache(maxsize=4096)
def kind_of(number: str) -> Kind | None:
    """The kind of a number in E.164; None for one that costs what any does."""
    for prefix, kind in _NETWORKS:
        if number.startswith(prefix):
            return kind
    for digits in _about(number):
        kind_there = _TYPES.get(_type_of(digits))
        if kind_there is not None:
            return kind_there
    return None


def kind_as_dialled(user: str, number: str | None) -> Kind | None:
    """The kind of what is dialled, which is taken for `number` in E.164. What no plan has as that
    may be read otherwise behind the trunk: as a full number, after an international prefix or
    without one; so it is of a kind if any reading is."""
    kind = None if number is None else kind_of(number)
    if kind is not None or user.startswith("+") or (number is not None and _is_valid(number)):
        return kind
    digits = "".join(filter(str.isdecimal, user))
    for prefix in _INTERNATIONAL_PREFIXES:
        full = f"+{digits.removeprefix(prefix)}"
        if digits.startswith(prefix) and _SHORTEST <= len(full) <= _LONGEST:
            kind = kind or kind_of(full)
    return kind


@lru_cache(maxsize=4096)
def country_of(number: str) -> str | None:
    """The country (ISO 3166) of a number in E.164; None where it belongs to none, or to no known
    range: then that of its country code, unless several share it."""
    parsed = _parsed(number)
    if parsed is None:
        return None
    country = phonenumbers.region_code_for_number(parsed)
    if country is None:
        sharing = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(parsed.country_code or 0, ())
        country = sharing[0] if len(sharing) == 1 else None
    return None if country == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY else country


def is_emergency(digits: str, countries: frozenset[str]) -> bool:
    """Whether these digits reach an emergency service in one of the countries; where none is
    known, whether they do in most."""
    short = digits.lstrip("+")
    if not short.isdecimal() or len(short) > LONGEST_SHORT_CODE:
        return False
    if short in _EMERGENCY:
        return True
    return any(is_emergency_number(short, country) for country in countries)


def is_dear_short_code(digits: str, countries: frozenset[str]) -> bool:
    """Whether these digits are a short number that costs more than others, in one of them."""
    if not digits.isdecimal() or len(digits) > LONGEST_SHORT_CODE:
        return False
    for country in countries:
        code = phonenumbers.country_code_for_region(country)
        short = phonenumbers.PhoneNumber(country_code=code, national_number=int(digits))
        if phonenumbers.expected_cost_for_region(short, country) == ShortNumberCost.PREMIUM_RATE:
            return True
    return False


def _is_valid(number: str) -> bool:
    parsed = _parsed(number)
    return parsed is not None and phonenumbers.is_valid_number(parsed)


def _about(number: str) -> tuple[str, ...]:
    """The number; and, if no plan has it, those that begin like it."""
    if _is_valid(number):
        return (number,)
    shorter = (number[:-drop] for drop in range(1, _SLACK + 1))
    longer = (number + "0" * more for more in range(1, _SLACK + 1))
    return (number, *shorter, *longer)


def _type_of(number: str) -> int:
    parsed = _parsed(number)
    return Type.UNKNOWN if parsed is None else phonenumbers.number_type(parsed)


def _parsed(number: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return None
