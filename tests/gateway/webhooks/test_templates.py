"""Texts of the configuration with places for what is known of a call."""

import pytest

from config.templates import filled, parts

KNOWN = {"caller": "+12125550100", "call_id": None, "header.x-plan": "gold", "hour": "09"}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("", ""),
        ("plain", "plain"),
        ("from {caller} at {hour}", "from +12125550100 at 09"),
        ("{header.X-Plan}{header.X-None|none}", "goldnone"),
        ("{call_id}|{call_id|unknown}", "|unknown"),
        ("{{caller}} {{{caller}}}", "{caller} {+12125550100}"),
    ],
)
def test_places_are_filled(template: str, text: str) -> None:
    assert filled(template, dict(KNOWN)) == text


@pytest.mark.parametrize("template", ["{", "}", "{nobody}", "{caller", "{caller!r}", "{headers.x}"])
def test_what_is_no_template_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"alone|nothing is called"):
        list(parts(template))
