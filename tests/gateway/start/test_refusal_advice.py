"""The sentence that says what to enter at Retell, for each reason of a refusal."""

from typing import Any

import pytest

from config.settings import Settings
from gateway.start.refusal_advice import advice, entry_of

OURS = "+14155550100"
LOGIN = {"username": "retell", "password": "p"}
EVIDENCE = {"header": "X-Trunk-Token", "value": "hush"}
SALES = {"name": "sales", "login": {"username": "s", "password": "q"}, "numbers": ["+14155550120"]}


def settings(retell: dict[str, Any] | None = None, **more: Any) -> Settings:
    data = {
        "sip": {"advertise": "203.0.113.10"},
        "retell": {"login": LOGIN, "evidence": EVIDENCE, **(retell or {})},
        "numbers": {OURS: {}},
    }
    return Settings.model_validate({**data, **more})


@pytest.mark.parametrize("reason", ["no-credentials", "wrong-credentials"])
def test_credentials(reason: str) -> None:
    said = advice(settings())("retell", reason, OURS)
    what = "set" if reason == "no-credentials" else "correct"
    assert said.startswith(f"at Retell, {what} for {OURS}: SIP trunk user name retell, password")
    assert "retell.login" in said
    assert "termination URI 203.0.113.10:5060, transport TCP" in said


def test_the_workspace_that_has_the_number() -> None:
    said = advice(settings({"workspaces": [SALES]}))("retell", "no-credentials", "+14155550120")
    assert "user name s, password that of retell.workspaces (sales).login" in said


def test_evidence() -> None:
    said = advice(settings())("retell", "proof-missing", OURS)
    assert said.startswith("put X-Trunk-Token with the value of retell.evidence into custom_sip")
    assert "hush" not in said
    assert advice(settings({"evidence": None}))("retell", "proof-missing", OURS) == ""


def test_an_address_that_nobody_knows() -> None:
    said = advice(settings())(None, "unknown-source", OURS)
    assert "retell.identify" in said
    assert advice(settings())(None, "unknown-source", "+13125550177") == ""


@pytest.mark.parametrize("reason", ["no-credentials", "limits.calls"])
def test_of_other_trunks_nothing_is_known(reason: str) -> None:
    assert advice(settings())("carrier", reason, OURS) == ""


@pytest.mark.parametrize(
    ("sip", "entry"),
    [
        ({}, ("THIS-GATEWAYS-PUBLIC-ADDRESS:5060", "TCP")),
        ({"listen": ["udp:192.0.2.1:5062"]}, ("192.0.2.1:5062", "UDP")),
        ({"listen": ["tcp:[2001:db8::1]:5060"]}, ("[2001:db8::1]:5060", "TCP")),
        (
            {"listen": [{"address": "tls:0.0.0.0:5061", "advertise": "203.0.113.11"}]},
            ("203.0.113.11:5061", "TLS"),
        ),
        ({"advertise": "sip.example.com"}, ("sip.example.com:5060", "TCP")),
        ({"advertise": "stun:stun.example.com"}, ("THIS-GATEWAYS-PUBLIC-ADDRESS:5060", "TCP")),
    ],
)
def test_where_retell_calls_us(sip: dict[str, Any], entry: tuple[str, str]) -> None:
    assert entry_of(settings(sip=sip)) == entry
