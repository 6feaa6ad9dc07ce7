"""Telephone numbers as people and carriers write them, brought to E.164."""

from functools import lru_cache

import phonenumbers
from phonenumbers import ValidationResult

_MARKS = str.maketrans("", "", " -.()/")

#: A shorter number is an extension or a short code, even where a country's plan would complete it.
_MIN_DIGITS = 7


def e164(text: str, default_country: str | None) -> str | None:
    """The number in E.164, or None when it cannot be one (an extension, `anonymous`).

    Without a leading `+` it is a national number of `default_country`, else, as many carriers
    write it, a full number that lacks only the `+`.
    """
    if text.startswith("+") and text[1:].isdecimal() and text.isascii() and 8 <= len(text) <= 16:
        return text
    return _parsed(text, default_country)


@lru_cache(maxsize=4096)
def _parsed(text: str, default_country: str | None) -> str | None:
    digits = text.translate(_MARKS)
    bare = digits.removeprefix("+")
    if not bare.isdecimal() or not bare.isascii() or len(bare) < _MIN_DIGITS:
        return None
    tries: list[tuple[str, str | None]] = [(digits, default_country)] if default_country else []
    if not digits.startswith("0"):
        tries.append((f"+{bare}", None))
    for number, country in tries:
        try:
            parsed = phonenumbers.parse(number, country)
        except phonenumbers.NumberParseException:
            continue
        # IS_POSSIBLE_LOCAL_ONLY lacks its area code
        if phonenumbers.is_possible_number_with_reason(parsed) == ValidationResult.IS_POSSIBLE:
            return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return None
