"""What `provision` needs of the rest of the configuration."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.provision_settings import termination_name
from config.settings import ConfigError, load
from tests.gateway.provisioning.stage import CONFIG, WEAK


def problems(folder: Path, data: dict[str, Any]) -> list[str]:
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump(data))
    try:
        load(file, {})
    except ConfigError as error:
        return [f"{one.key}: {one.reason}" for one in error.placed]
    return []


def changed(path: str, value: Any) -> dict[str, Any]:
    """The usual configuration with another value; None takes the key away."""
    data: Any = deepcopy(CONFIG)
    *parents, last = path.split(".")
    inner = data
    for part in parents:
        inner = inner[int(part)] if part.isdecimal() else inner[part]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return dict(data)


def test_the_usual_one_is_fine(tmp_path: Path) -> None:
    assert problems(tmp_path, CONFIG) == []


LOGIN = "trunks.0.credentials"


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("provision.sip_uris", None, "provision.sip_uris: is required"),
        ("provision.sip_uris", ["sips:sip.example.com"], "and ;transport=tls for TLS"),
        ("provision.sip_uris", ["sip:us@sip.example.com"], "with no user"),
        ("provision.mark", "x", "4 to 32 letters"),
        ("provision.retell", {"inbound_webhook": True}, "needs http.public_url"),
        ("provision.twilio.bind", "voice", "needs http.public_url"),
        ("provision.twilio.trunk", "twillio", "there is no trunk twillio; did you mean twilio?"),
        ("twilio", None, "needs twilio.account_sid and twilio.auth_token"),
        ("trunks.0.gateways", ["sip:192.0.2.7"], "needs NAME.pstn.twilio.com"),
        (LOGIN, None, "is required: the trunk's login"),
        (LOGIN, {"username": "a", "password": WEAK}, "12 letters at least"),
        (LOGIN, {"username": "a", "password": "all-small-letters-2"}, "small, capital"),
        (LOGIN, {"username": "a" * 33, "password": "Secret-Word-2026"}, "more than 32 letters"),
        (
            "trunks.0.media",
            {"srtp": "required"},
            "needs ;transport=tls: the trunk twilio",
        ),
    ],
)
def test_what_is_wrong_is_told(path: str, value: Any, told: str, tmp_path: Path) -> None:
    data = changed(path, value)
    if "public_url" in told:
        del data["http"]
    found = problems(tmp_path, data)
    assert any(told in one for one in found), found
    assert not any(WEAK in one for one in found)


@pytest.mark.parametrize(
    ("gateway", "name"),
    [
        ("sip:example.pstn.twilio.com", "example.pstn.twilio.com"),
        ("sip:Example.pstn.twilio.com:5061;transport=tls", "example.pstn.twilio.com"),
        ("sip:example.pstn.sao-paulo.twilio.com;transport=tcp", "example.pstn.twilio.com"),
        ("sip:pstn.twilio.com", None),
        ("sip:example.sip.twilio.com", None),
        ("sip:example.pstn.twilio.com.example.net", None),
    ],
)
def test_a_termination_name(gateway: str, name: str | None) -> None:
    assert termination_name(gateway) == name


def test_a_name_that_is_too_long_there(tmp_path: Path) -> None:
    data = deepcopy(CONFIG)
    name = "t" * 46
    data["trunks"][0]["name"] = data["provision"]["twilio"]["trunk"] = name
    data["numbers"] = {"+14155550100": {}}
    (told,) = problems(tmp_path, data)
    assert told.endswith("has more than 64 letters, which Twilio refuses")
