"""What a transfer asks for, in every form that agents, phones and REFERs write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.targets import Asked, asked_for, key_of


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Sales", Asked("Sales")),
        ("  200 ", Asked("200")),
        ("+1 (415) 555-0144", Asked("+1 (415) 555-0144")),
        ("tel:+1-415-555-0144;ext=7", Asked("+1-415-555-0144")),
        ("TEL:911", Asked("911")),
        ("sip:+14155550144", Asked("+14155550144")),
        ("sip:+14155550144;user=phone", Asked("+14155550144")),
        ("sip:200@GW.example.com", Asked("200", "gw.example.com")),
        ("SIPS:200@gw.example.com:5061;transport=tls?Replaces=a", Asked("200", "gw.example.com")),
        ("sip:200:secret@gw.example.com", Asked("200", "gw.example.com")),
        ("sip:+14155550144;npdi@gw.example.com", Asked("+14155550144", "gw.example.com")),
        ("sip:200@[2001:DB8::1]:5060", Asked("200", "2001:db8::1")),
        ("sip:J%C3%BCrgen%20B@gw.example.com", Asked("Jürgen B", "gw.example.com")),
        ("sip:a@b@gw.example.com", Asked("a@b", "gw.example.com")),
        ("<sip:200@gw.example.com>;early=1", Asked("200", "gw.example.com")),
        ('"Bob <the \\"builder\\">" <sip:200@gw.example.com>', Asked("200", "gw.example.com")),
        ("<tel:+14155550144>", Asked("+14155550144")),
        ("sip:@gw.example.com", Asked("", "gw.example.com")),
        # peers leave the @ of a Call-ID unescaped
        (
            "<sip:201@gw.example.com?Replaces=c1@192.0.2.7;to-tag=a;from-tag=b>",
            Asked("201", "gw.example.com"),
        ),
        ('Front "Desk" <sip:201@gw.example.com>', Asked("201", "gw.example.com")),
        (
            f"<sip:201@gw.example.com?Replaces={'c' * 300}%3Bto-tag%3Da>",
            Asked("201", "gw.example.com"),
        ),
        ("", Asked("")),
    ],
)
def test_forms(text: str, asked: Asked) -> None:
    assert asked_for(text) == asked


@given(st.text(max_size=400))
def test_anything_can_be_asked_for(text: str) -> None:
    asked = asked_for(text)
    assert len(asked.user) <= 256
    assert asked.host is None or asked.host == asked.host.lower()
    key_of(asked.user, "US")


@pytest.mark.parametrize(
    ("one", "other"),
    [("Sales  Desk", "sales desk"), ("(415) 555-0144", "+14155550144"), ("ÄRZTE", "ärzte")],
)
def test_keys_are_alike(one: str, other: str) -> None:
    assert key_of(one, "US") == key_of(other, "US")
