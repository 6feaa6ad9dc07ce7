"""`provision retell`, against Retell's rules: made once, changed by drift, taken away, and whatever
is interrupted converges."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.provisioning.changes import Wishes
from gateway.provisioning.failures import ApiError
from gateway.provisioning.retell_account import RetellAccount
from gateway.provisioning.retell_numbers import wanted_numbers
from testkit.sandbox.settings import SANDBOX_KEY
from tests.gateway.provisioning.retell_double import RetellDouble
from tests.gateway.provisioning.stage import (
    CONFIG,
    PASSWORD,
    Slept,
    config,
    interrupted,
    run,
    served,
    settings_of,
)
from tests.testkit.sandbox.stage import AGENT, stage

MARK = "retell-sip-gateway"
#: All that calls reach Retell by; +14155550103 is registered, not dialled.
OURS = tuple(f"+1415555010{last}" for last in (0, 1, 2, 4, 5))


@asynccontextmanager
async def retell(
    folder: Path, double: RetellDouble, **groups: Any
) -> AsyncIterator[tuple[RetellAccount, Slept]]:
    """The first workspace of a configuration, at a double."""
    async with served(double.app()) as (session, url):
        data = config(**groups)
        data["retell"] = data["retell"] | {"base_url": url}
        settings = settings_of(folder, data)
        slept = Slept()
        workspace = settings.retell.every_workspace()[0]
        yield RetellAccount(settings, workspace, session, sleep=slept), slept


async def test_numbers_are_imported_once(tmp_path: Path) -> None:
    double = RetellDouble()
    async with retell(tmp_path, double) as (account, _):
        plan, left = await run(account)
        assert [(one.action, one.name) for one in plan.changes] == [("make", n) for n in OURS]
        assert not left.differs
        one = double.numbers["+14155550100"]
        assert one["nickname"] == MARK
        assert one["sip_outbound_trunk_config"] == {
            "termination_uri": "sip.example.com",
            "transport": "TCP",
            "auth_username": "retell",
        }
        agent = [{"agent_id": "agent_1", "weight": 1.0}]
        assert one["inbound_agents"] == one["outbound_agents"] == agent
        assert double.numbers["+14155550104"]["inbound_agents"][0]["agent_id"] == "agent_3"
        assert "inbound_agents" not in double.numbers["+14155550105"], "Retell's own setting"
        assert double.passwords == dict.fromkeys(OURS, PASSWORD)

        done = len(double.faults.done)
        plan, _ = await run(account)
        assert not plan.differs
        assert len(double.faults.done) == done, "the second run changes nothing"


async def test_webhook_codecs_and_numbers_of_its_own(tmp_path: Path) -> None:
    double = RetellDouble()
    provision = CONFIG["provision"] | {
        "retell": {
            "numbers": ["+14155550103"],
            "codecs": ["PCMU", "G722"],
            "inbound_webhook": True,
        }
    }
    async with retell(tmp_path, double, provision=provision) as (account, _):
        await run(account)
    one = double.numbers["+14155550103"]
    assert one["inbound_webhook_url"] == "https://gateway.example.com/webhooks/retell/inbound"
    assert one["sip_outbound_trunk_config"]["codecs"] == ["PCMU", "G722"]


def _elsewhere(double: RetellDouble) -> None:
    double.numbers["+14155550100"]["sip_outbound_trunk_config"]["termination_uri"] = "x.example.com"


def _other_agent(double: RetellDouble) -> None:
    double.numbers["+14155550101"]["inbound_agents"] = [{"agent_id": "agent_3", "weight": 1}]


def _other_login(double: RetellDouble) -> None:
    double.numbers["+14155550101"]["sip_outbound_trunk_config"]["auth_username"] = "old"
    double.passwords["+14155550101"] = "old"


def _gone(double: RetellDouble) -> None:
    del double.numbers["+14155550102"]


@pytest.mark.parametrize(
    ("drift", "fields"),
    [
        (_elsewhere, {"termination_uri"}),
        (_other_agent, {"inbound_agents"}),
        (_other_login, {"auth_username", "auth_password"}),
        (_gone, None),
    ],
)
async def test_drift_is_told_and_mended(
    drift: Callable[[RetellDouble], None], fields: set[str] | None, tmp_path: Path
) -> None:
    double = RetellDouble()
    async with retell(tmp_path, double) as (account, _):
        await run(account)
        drift(double)
        plan, left = await run(account)
        (change,) = plan.changes
        if fields is not None:
            assert {one.name for one in change.fields} == fields
        assert not left.differs
    assert double.passwords == dict.fromkeys(OURS, PASSWORD)


def test_each_workspace_has_its_own_numbers(tmp_path: Path) -> None:
    second = {
        "name": "second",
        "api_key": "key_of_the_second",
        "agent": "agent_3",
        "login": {"username": "second", "password": "Second-Word-2026"},
        "numbers": ["+14155550101", "+14155550106"],
    }
    data = config(retell=CONFIG["retell"] | {"workspaces": [second]})
    settings = settings_of(tmp_path, data)
    first, other = settings.retell.every_workspace()
    assert sorted(wanted_numbers(settings, first)) == [one for one in OURS if one[-1] != "1"]
    wanted = wanted_numbers(settings, other)
    told = {number: (one.username, one.agent) for number, one in wanted.items()}
    assert told == {
        "+14155550101": ("second", "agent_2"),
        "+14155550106": ("second", "agent_3"),
    }


async def test_passwords_are_sent_again_when_asked(tmp_path: Path) -> None:
    """Retell does not tell them, so they cannot be compared."""
    double = RetellDouble()
    async with retell(tmp_path, double) as (account, _):
        await run(account)
        double.passwords.clear()
        assert not (await account.plan(Wishes())).differs
        plan, left = await run(account, Wishes(passwords=True))
        assert not left.differs
    assert double.passwords == dict.fromkeys(OURS, PASSWORD)
    assert PASSWORD not in str([one.fields for one in plan.changes])


async def test_a_number_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    double = RetellDouble()
    theirs = {"termination_uri": "other.example.com", "transport": "TCP"}
    double.has("+14155550100", sip_outbound_trunk_config=theirs)
    async with retell(tmp_path, double) as (account, _):
        plan, left = await run(account)
        (conflict,) = left.conflicts
        assert conflict.name == "+14155550100"
        assert "somebody else" in conflict.reason
        assert double.numbers["+14155550100"]["sip_outbound_trunk_config"] == theirs

        plan, left = await run(account, Wishes(take_over=True))
        assert [one.action for one in plan.changes] == ["change"]
        assert not left.differs
        assert double.numbers["+14155550100"]["nickname"] == "Office", "it stays theirs"

        plan, left = await run(account, Wishes(destroy=True))
        assert sorted(double.numbers) == ["+14155550100"]
        assert plan.notes == ("number +14155550100 stays: it was not imported by us",)


async def test_a_number_that_retell_rents_out_has_no_trunk(tmp_path: Path) -> None:
    double = RetellDouble()
    double.has("+14155550100", phone_number_type="retell-twilio")
    async with retell(tmp_path, double) as (account, _):
        _, left = await run(account, Wishes(take_over=True))
        (conflict,) = left.conflicts
        assert "retell-twilio" in conflict.reason


async def test_a_number_that_is_no_longer_configured(tmp_path: Path) -> None:
    double = RetellDouble()
    async with retell(tmp_path, double) as (account, _):
        await run(account)
    fewer: dict[str, Any] = {"+14155550100": {}}
    async with retell(tmp_path, double, numbers=fewer) as (account, _):
        plan, _ = await run(account)
        assert not plan.changes
        assert [one.name for one in plan.strays] == list(OURS[1:])
        await run(account, Wishes(prune=True))
    assert sorted(double.numbers) == ["+14155550100"]


async def test_destroy_takes_away_all_of_ours_and_nothing_else(tmp_path: Path) -> None:
    double = RetellDouble()
    double.has("+14155550177")
    async with retell(tmp_path, double) as (account, _):
        await run(account)
        _, left = await run(account, Wishes(destroy=True))
        assert not left.differs
        assert sorted(double.numbers) == ["+14155550177"]
        plan, _ = await run(account, Wishes(destroy=True))
        assert not plan.changes


@pytest.mark.parametrize("wishes", [Wishes(), Wishes(destroy=True)])
async def test_interrupted_anywhere_and_run_again_it_converges(
    wishes: Wishes, tmp_path: Path
) -> None:
    for cut_at in range(40):
        double = RetellDouble()
        async with retell(tmp_path, double) as (account, _):
            if wishes.destroy:
                await run(account)
                double.faults.seen = 0
            double.faults.cut_at = cut_at
            was_cut = await interrupted(run(account, wishes))
            double.faults.cut_at = None
            plan, left = await run(account, wishes)
            assert not left.differs
            assert sorted(double.numbers) == ([] if wishes.destroy else list(OURS))
            expected = [] if wishes.destroy else [PASSWORD] * len(OURS)
            assert wishes.destroy or list(double.passwords.values()) == expected
            if not was_cut:
                assert not plan.changes
                return
    raise AssertionError("it never got through")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "its key or token is wrong"),
        (403, "the key may not do this"),
        (429, "it was asked too often"),
        (500, "run the command again later"),
    ],
)
async def test_a_refusal_says_what_to_do(status: int, words: str, tmp_path: Path) -> None:
    double = RetellDouble()
    double.faults.statuses = dict.fromkeys(range(10), status)
    async with retell(tmp_path, double) as (account, slept):
        with pytest.raises(ApiError, match=words):
            await run(account)
        assert double.numbers == {}
        if status == 429:
            assert slept.pauses == [7, 7, 7], "as Retry-After says"
        elif status == 500:
            assert slept.pauses == [0.5, 1, 2]
        else:
            assert slept.pauses == []


@pytest.mark.parametrize("status", [429, 503])
async def test_what_passes_is_waited_for(status: int, tmp_path: Path) -> None:
    """A page is asked for again; an import only where nothing was done."""
    double = RetellDouble()
    double.faults.statuses = {0: status}
    async with retell(tmp_path, double) as (account, _):
        _, left = await run(account)
        assert not left.differs


async def test_an_import_that_fails_late_is_not_made_twice(tmp_path: Path) -> None:
    double = RetellDouble()
    double.faults.after = {1: 500}
    async with retell(tmp_path, double) as (account, _):
        with pytest.raises(ApiError, match="it may be done all the same") as raised:
            await run(account)
        assert raised.value.uncertain
        assert double.faults.done == ["POST /import-phone-number"]
        await run(account)
        assert len(double.faults.done) == len(OURS)


async def test_a_secret_is_in_no_error(tmp_path: Path) -> None:
    """An API may quote what it was sent."""
    double = RetellDouble()
    agents = {"+14155550100": {"agent": "agent_unknown"}}
    async with retell(tmp_path, double, numbers=agents) as (account, _):
        with pytest.raises(ApiError, match="Agent not found"):
            await run(account)
        assert account.api._clean(f"bad {PASSWORD} here\n") == "bad (hidden) here"


async def test_the_sandbox_has_it_so_too(tmp_path: Path) -> None:
    """A second stand-in of Retell's, written for other tests."""
    async with stage() as on, aiohttp.ClientSession() as session:
        retell = CONFIG["retell"] | {
            "api_key": SANDBOX_KEY,
            "agent": AGENT,
            "base_url": on.sandbox.base_url,
        }
        numbers: dict[str, Any] = {"+14155550100": {}, "+14155550101": {"method": "trunk"}}
        settings = settings_of(tmp_path, config(retell=retell, numbers=numbers))
        workspace = settings.retell.every_workspace()[0]
        account = RetellAccount(settings, workspace, session, sleep=Slept())
        plan, left = await run(account)
        assert len(plan.changes) == 2
        assert not left.differs
        number = await on.retell.phone_number.retrieve("+14155550100")
        assert number.sip_outbound_trunk_config is not None
        assert number.sip_outbound_trunk_config.termination_uri == "sip.example.com"
        _, left = await run(account, Wishes(destroy=True))
        assert not left.differs
