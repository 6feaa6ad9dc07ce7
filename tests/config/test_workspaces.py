"""Several workspaces at Retell: whose number, whose key, and who placed a call."""

from pathlib import Path

import pytest

from config.settings import Settings
from tests.config.test_settings import problem, read

LOGIN = "login: {username: first, password: p}"
SALES = "{name: sales, api_key: k2, agent: agent_s, login: {username: s, password: q}%s}"
MORE = ", numbers: ['+14155550120'], limits: {calls: 3}, evidence: {header: X-T, value: secret}"


def retell(workspaces: str, first: str = LOGIN) -> str:
    return f"retell: {{api_key: k1, agent: agent_f, {first}, workspaces: [{workspaces}]}}"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read(tmp_path, retell(SALES % MORE))


def test_a_number_is_of_the_first_unless_another_says_so(settings: Settings) -> None:
    first, sales = settings.retell.every_workspace()
    assert (first.name, first.agent, first.limits.calls) == ("retell", "agent_f", None)
    assert settings.retell.workspace_of("+14155550100") == first
    assert settings.retell.workspace_of("+14155550120") == sales


def test_each_is_a_trunk_by_which_only_its_calls_come(settings: Settings) -> None:
    ours, sales = settings.retell.own_trunks()
    assert (ours.name, len(ours.gateways)) == ("retell", 1)
    assert (sales.name, sales.gateways, sales.identify) == ("sales", (), ours.identify)
    assert ours.login is not None
    assert sales.login is not None
    assert (ours.login.username, sales.login.username) == ("first", "s")
    assert (ours.identify_headers, list(sales.identify_headers)) == ({}, ["X-T"])
    assert [trunk.name for trunk in settings.every_trunk()] == ["retell", "sales"]


@pytest.mark.parametrize(
    ("trunk", "user", "whose"),
    [("retell", "", "retell"), ("sales", "", "sales"), ("", "s", "sales"), ("", "first", "retell")],
)
def test_who_placed_a_call(settings: Settings, trunk: str, user: str, whose: str) -> None:
    found = settings.retell.workspace_by(trunk, user)
    assert found is not None
    assert found.name == whose


def test_a_stranger_is_no_workspace(settings: Settings) -> None:
    assert settings.retell.workspace_by("carrier", "") is None
    assert settings.retell.workspace_by("", "") is None


def test_a_client_is_made_of_what_the_workspace_has(settings: Settings) -> None:
    sales = settings.retell.every_workspace()[1]
    own = settings.retell.as_workspace(sales)
    assert own.api_key is not None
    assert (own.api_key.get_secret_value(), own.agent, own.workspaces) == ("k2", "agent_s", ())
    assert own.base_url == settings.retell.base_url


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            retell("{name: sales}"),
            "1: retell.workspaces[0].login: is required with several workspaces: how calls of sales"
            " are known (or evidence)",
        ),
        (
            retell(SALES % "", "ring_timeout_s: 40"),
            "1: retell.login: is required with several workspaces: how calls of retell are known"
            " (or evidence)",
        ),
        (
            retell("{name: retell, login: {username: s, password: q}}"),
            "1: retell.workspaces[0].name: retell is the name of the trunk to Retell already",
        ),
        (
            retell("{name: sales, login: {username: first, password: q}}"),
            "1: retell.workspaces[0].login.username: first is already the user name of retell",
        ),
        (
            retell("{name: sales, login: {username: s}}"),
            "1: retell.workspaces[0].login.password: is required: our softswitch itself checks"
            " Retell's digest",
        ),
        (
            retell("{name: sales, api_key: k1, login: {username: s, password: q}}"),
            "1: retell.workspaces[0].api_key: is that of workspace retell too: a call could be of"
            " either",
        ),
        (
            retell(
                f"{SALES % MORE}, {{name: b, login: {{username: b, password: c}},"
                " numbers: ['+14155550120']}"
            ),
            "1: retell.workspaces[1].numbers[0]: is that of workspace sales too: a call could be of"
            " either",
        ),
        (
            "sip: {listen: []}\nretell: {evidence: {header: X-T, value: v}}",
            "2: retell.evidence: is looked at by our own softswitch, and sip.listen is empty",
        ),
        (
            retell("{name: sales, login: {username: s, password: q}, numbers: ['+14155550120']}")
            + "\nnumbers: {'+14155550120': {method: dial, agent: a}}",
            "1: retell.workspaces[0].api_key: is required: method dial is used"
            " (numbers.+14155550120)",
        ),
    ],
)
def test_workspaces_that_cannot_be_told_apart(text: str, line: str, tmp_path: Path) -> None:
    assert line in problem(tmp_path, text)
