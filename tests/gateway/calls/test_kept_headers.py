"""What a record keeps of an INVITE's headers."""

import pytest

from gateway.calls.kept_headers import MAX_HEADERS, kept_headers


def test_what_the_peers_side_sent_along() -> None:
    given = {
        "X-Campaign": "7",
        "x-twilio-callsid": "CA1",
        "X-Gateway-Call-Id": "ours",
        "X-Authenticated-User": "retell@gateway.test",
        "user-agent": "carrier",
        "diversion": "<sip:+14155550188@192.0.2.10>",
    }
    assert kept_headers(given) == {"x-campaign": "7", "x-twilio-callsid": "CA1"}


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("from", '"A" <sip:+12125550101;verstat=TN-Validation-Passed@192.0.2.1>;tag=1'),
        ("P-Asserted-Identity", "<tel:+12125550101;verstat=TN-Validation-Passed>"),
    ],
)
def test_how_far_a_carrier_vouches_for_the_caller(header: str, value: str) -> None:
    given = {header: value, "P-Attestation-Indicator": "B", "P-Origination-ID": "uuid"}
    assert kept_headers(given) == {
        "p-attestation-indicator": "B",
        "p-origination-id": "uuid",
        "verstat": "TN-Validation-Passed",
    }


def test_what_is_asserted_counts_before_what_is_claimed() -> None:
    claimed = "<sip:+12125550101@192.0.2.1;verstat=TN-Validation-Passed>;tag=1"
    asserted = "<sip:+12125550101@192.0.2.1;verstat=TN-Validation-Failed>"
    given = {"from": claimed, "p-asserted-identity": asserted}
    assert kept_headers(given)["verstat"] == "TN-Validation-Failed"


def test_no_peer_fills_the_storage() -> None:
    kept = kept_headers({f"X-{number}": "v" * 1000 for number in range(100)})
    assert len(kept) == MAX_HEADERS
    assert {len(value) for value in kept.values()} == {500}
