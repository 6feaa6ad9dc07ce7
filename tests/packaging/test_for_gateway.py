"""The sandbox is set from the gateway's own configuration, so that the two agree."""

from pathlib import Path

import pytest

from config.settings import HttpTlsSettings, load
from testkit.sandbox.for_gateway import StandInError, stand_in
from testkit.sandbox.settings import Refer
from tests.packaging.conftest import ROOT, Ports


def test_it_plays_retell_where_the_configuration_expects_it(
    config_file: Path, ports: Ports
) -> None:
    settings = load(config_file, {})
    sandbox = stand_in(settings)
    assert (sandbox.http_host, sandbox.http_port) == ("127.0.0.1", ports.retell_http)
    assert sandbox.sip_listen == (
        f"udp:127.0.0.1:{ports.retell_sip}",
        f"tcp:127.0.0.1:{ports.retell_sip}",
    )
    assert settings.retell.api_key is not None
    assert sandbox.api_key == settings.retell.api_key.get_secret_value()
    assert sandbox.webhook_url == f"http://127.0.0.1:{ports.http}/webhooks/retell/events"


def test_numbers_of_the_elastic_trunk_are_imported_with_the_login(
    config_file: Path, ports: Ports
) -> None:
    settings = load(config_file, {})
    (number,) = stand_in(settings).preset_numbers
    assert number.phone_number == "+14155550100", "the other number is dialled as a registered call"
    assert number.termination_uri == f"127.0.0.1:{ports.sip}"
    login = settings.retell.login
    assert login is not None
    assert login.password is not None
    assert number.auth_username == login.username
    assert number.auth_password == login.password.get_secret_value()


def test_its_agents_transfer_where_they_are_told_to(config_file: Path) -> None:
    settings = load(config_file, {})
    assert stand_in(settings).agent.tool is None
    assert stand_in(settings, "tel:+14155550190").agent.tool == Refer(refer_to="tel:+14155550190")


def test_its_webhooks_go_to_https_where_that_is_served() -> None:
    settings = load(ROOT / "config" / "sandbox.yaml", {})
    tls = HttpTlsSettings.model_construct(certificate=ROOT / "x.pem", key=ROOT / "x.pem")
    http = settings.http.model_copy(update={"tls": tls})
    sandbox = stand_in(settings.model_copy(update={"http": http}))
    assert sandbox.webhook_url == f"https://127.0.0.1:{http.listen.port}/webhooks/retell/events"


@pytest.mark.parametrize("key", ["base_url", "sip_uri"])
def test_it_does_not_pretend_to_be_retell_elsewhere(
    key: str, config_file: Path, config_text: str
) -> None:
    theirs = {"base_url": "https://api.retellai.com", "sip_uri": "sip:sip.retellai.com"}[key]
    lines = [
        f"  {key}: {theirs}" if line.strip().startswith(f"{key}:") else line
        for line in config_text.splitlines()
    ]
    config_file.write_text("\n".join(lines))
    with pytest.raises(StandInError, match="points to Retell itself"):
        stand_in(load(config_file, {}))


def test_it_calls_no_gateway_that_does_not_listen(config_file: Path, config_text: str) -> None:
    lines = [
        "  listen: []" if line.strip().startswith("listen: [") else line
        for line in config_text.splitlines()
    ]
    config_file.write_text("\n".join(lines))
    with pytest.raises(StandInError, match=r"sip\.listen is empty"):
        stand_in(load(config_file, {}))


def test_the_shipped_configuration_is_the_one_the_sandbox_documents() -> None:
    from testkit.sandbox.settings import SandboxSettings

    sandbox = stand_in(load(ROOT / "config" / "sandbox.yaml", {}))
    documented = SandboxSettings()
    assert sandbox.http_port == documented.http_port
    assert sandbox.sip_listen == documented.sip_listen
    assert sandbox.api_key == documented.api_key
