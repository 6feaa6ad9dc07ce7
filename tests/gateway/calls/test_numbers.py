"""Numbers as carriers write them, to E.164 or to nothing."""

import pytest

from gateway.calls.numbers import e164


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("+14155550100", None, "+14155550100"),
        ("+14155550100", "GB", "+14155550100"),
        ("14155550100", None, "+14155550100"),
        ("14155550100", "US", "+14155550100"),
        ("4155550100", "US", "+14155550100"),
        ("(415) 555-0100", "US", "+14155550100"),
        ("+1 415.555.0100", None, "+14155550100"),
        ("020 7946 0000", "GB", "+442079460000"),
        ("442079460000", "GB", "+442079460000"),
        ("0011442079460000", "AU", "+442079460000"),
        ("4155550100", None, None),
        ("02079460000", None, None),
        ("200", "US", None),
        ("200", None, None),
        ("2000", "DE", None),  # an extension, though no number there is too short
        ("5550100", "US", None),  # no area code
        ("anonymous", "US", None),
        ("", "US", None),
        ("+", None, None),
        ("+1415555010012345678", None, None),
        ("\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668", "US", None),  # Arabic digits
        ("+\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668", None, None),
        ("*67", "US", None),
    ],
)
def test_number(text: str, country: str | None, number: str | None) -> None:
    assert e164(text, country) == number
