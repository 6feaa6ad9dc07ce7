"""Country allow-lists of a number (ISO 3166-1 alpha-2), by the other party's number. Pure."""

from collections.abc import Sequence

import phonenumbers


def allowed(number: str, countries: Sequence[str]) -> bool:
    """Whether `number` (E.164) belongs to one of `countries`; none listed allows all."""
    if not countries:
        return True
    try:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(number, None))
    except phonenumbers.NumberParseException:
        return False
    return region in countries
