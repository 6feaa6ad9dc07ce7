"""Telephone numbers in SIP: read from URIs as E.164, and written as a trunk wants them.

Anything but a full number (an extension, a short or emergency code, a name) passes unchanged,
both ways: no function here invents a country code or a plus.
"""

import re
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import phonenumbers
from phonenumbers import CountryCodeSource, NumberParseException, PhoneNumber, PhoneNumberFormat

from sip.core.uri import Params, Uri, find_param

NumberFormat = Literal["+e164", "e164", "national", "as-is"]

#: Characters in a user part that we dial: E.164's 15 digits with an access code, a prefix and a
#: technical suffix stay well below it.
MAX_DIALLED: Final = 64
#: ITU-T E.164 6.1: digits of an international number.
MAX_DIGITS: Final = 15
#: A shorter number is an extension or a short code: no country has subscribers' numbers that short.
MIN_DIGITS: Final = 7

_MARKS: Final = str.maketrans("", "", " -.()")
_INTERNATIONAL: Final = re.compile(rf"\+[1-9][0-9]{{{MIN_DIGITS - 1},{MAX_DIGITS - 1}}}")
_DIGITS: Final = re.compile(rf"[0-9]{{{MIN_DIGITS},20}}")
_ORDINARY: Final = re.compile(rf"\+?[0-9]{{1,{MAX_DIGITS}}}")
_TELEPHONE: Final = re.compile(r"\+?[().-]*[0-9*#][0-9*#().-]*")
_DIALLABLE: Final = re.compile(r"[A-Za-z0-9+*#_.!~&=$,'()/?;-]+")


class Subscriber(NamedTuple):
    """A number as a URI has it, and the parameters that go with it."""

    user: str
    params: Params

    @classmethod
    def of(cls, uri: Uri) -> "Subscriber":
        """The user part of a SIP URI, or a tel URI, as RFC 3966 reads it.

        RFC 3261 19.1.6: a telephone-subscriber keeps its parameters in the user part. Some senders
        put them behind the URI: those come last.
        """
        user = uri.user or ""
        if ";" not in user or uri.scheme == "tel":
            return cls(user, uri.params)
        number, *params = user.split(";")
        if not _TELEPHONE.fullmatch(number):
            return cls(user, uri.params)
        pairs = (param.partition("=") for param in params)
        inner = tuple((name, value if equals else None) for name, equals, value in pairs)
        return cls(number, inner + uri.params)

    def param(self, name: str) -> str | None:
        return find_param(self.params, name) if self.params else None

    def number(self, country: str | None, *, full: bool = False, strip: str = "") -> str:
        """The number that it stands for: E.164 with its plus, or the user part as it is.

        `strip` is taken off its beginning. Number portability (`;npdi;rn=…`, RFC 4694), verstat
        and the like are left out; a `phone-context` (RFC 3966 5.1.5) completes a local number.
        """
        number = self.user
        if strip and len(number) > len(strip):
            number = number.removeprefix(strip)
        context = self.param("phone-context")
        if context and context[0] == "+" and number[:1] != "+":
            return _in_context(number, context) or number
        return to_e164(number, country, full=full) or number


def to_e164(text: str, country: str | None, *, full: bool = False) -> str | None:
    """`text` in E.164 with its plus; None where that is uncertain.

    Without a plus it is a number of `country` as dialled there, with or without its national or
    international prefix; `full` says that the sender leaves the plus off full numbers.
    """
    return _e164(text, country, full) if len(text) <= MAX_DIALLED else None


@lru_cache(maxsize=4096)
def _e164(text: str, country: str | None, full: bool) -> str | None:
    digits = text.translate(_MARKS)
    if _INTERNATIONAL.fullmatch(digits):
        return digits
    if not _DIGITS.fullmatch(digits):
        return None
    whole = _parsed(f"+{digits}")
    if full and whole is not None:
        return f"+{digits}"
    if country is None:
        return None
    # A number that begins with the country's own code and is valid with a plus lacks only that.
    if whole is not None and whole.country_code == _country_code(country):
        return f"+{digits}"
    national = _parsed(digits, country)
    return _international(national) if national is not None else None


def write_number(
    number: str, written: NumberFormat, *, country: str | None = None, prefix: str = ""
) -> str:
    """`number` as a trunk wants it, after `prefix`; anything but a full number stays unchanged.

    `national` is how it is dialled in `country`: other countries' numbers get its international
    prefix. Without a country the number keeps its plus.
    """
    e164 = to_e164(number, country)
    if e164 is None:
        bare = number.replace(" ", "")
        return bare if is_telephone(bare) else number
    match written:
        case "+e164":
            shown = e164
        case "e164":
            shown = e164.removeprefix("+")
        case "national":
            shown = e164 if country is None else _dialled_in(e164, country)
        case "as-is":
            shown = number
    return f"{prefix}{shown}"


def dialling_problem(number: str) -> str | None:
    """Why `number` cannot be dialled, in words; None if it can."""
    if _ORDINARY.fullmatch(number):
        return None
    if not number:
        return "No Number To Dial"
    if len(number) > MAX_DIALLED:
        return f"Number Has {len(number)} Characters, {MAX_DIALLED} Are Allowed"
    bare = number.translate(_MARKS)
    if bare.startswith("+") and bare[1:].isdecimal() and len(bare) > MAX_DIGITS + 1:
        return f"Number Has {len(bare) - 1} Digits, E.164 Allows {MAX_DIGITS}"
    if not _DIALLABLE.fullmatch(bare if is_telephone(bare) else number):
        return "Number Has Characters That Cannot Be Dialled"
    return None


def is_telephone(user: str) -> bool:
    """Whether a user part is a number (`;user=phone`, RFC 3261 19.1.1) rather than a name."""
    return _TELEPHONE.fullmatch(user) is not None


def _in_context(number: str, context: str) -> str | None:
    """A local number made global by its phone-context (RFC 3966 5.1.5), such as +44 or +1-212."""
    area = context.translate(_MARKS)
    region = (
        phonenumbers.region_code_for_country_code(int(area[1:])) if area[1:].isdecimal() else ""
    )
    if region not in ("", "ZZ", "001"):
        found = to_e164(number, region)
        if found is not None:
            return found
    return to_e164(f"{area}{number}", None)


@lru_cache(maxsize=4096)
def _dialled_in(e164: str, country: str) -> str:
    parsed = _parsed(e164, strict=False)
    if parsed is None:
        return e164
    if parsed.country_code == _country_code(country):
        shown = phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)
    else:
        shown = phonenumbers.format_out_of_country_calling_number(parsed, country)
    return re.sub(r"[^0-9]", "", shown)


def _parsed(text: str, country: str | None = None, *, strict: bool = True) -> PhoneNumber | None:
    """A number of the numbering plan. Not `strict`: one that is merely long enough."""
    try:
        parsed = phonenumbers.parse(text, country, keep_raw_input=True)
    except NumberParseException:
        return None
    # a dialled international prefix means the same as a plus
    dialled = parsed.country_code_source == CountryCodeSource.FROM_NUMBER_WITH_IDD
    if strict and not dialled:
        return parsed if phonenumbers.is_valid_number(parsed) else None
    return parsed if phonenumbers.is_possible_number(parsed) else None


def _international(parsed: PhoneNumber) -> str:
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


def _country_code(country: str) -> int:
    return phonenumbers.country_code_for_region(country)
