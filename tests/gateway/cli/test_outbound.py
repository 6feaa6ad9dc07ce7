"""call --agent, queue, campaigns, do-not-call and callbacks, of a running gateway."""

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from gateway.cli import main
from gateway.cli.call import standing
from gateway.http.app_keys import CALLBACKS
from tests.gateway.callbacks.receiver import receiving
from tests.gateway.conftest import TOKEN, Gateway, Json, Start
from tests.gateway.http.placing import OURS, PERSON, Placing, ask, until_is
from tests.gateway.http.test_queue_api import outbound


@pytest.fixture(autouse=True)
def _no_log_between_the_lines() -> Iterator[None]:
    """The gateway runs in the same process, and would write where the command does."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(io.StringIO()))
    yield
    structlog.reset_defaults()


@pytest.fixture
def placing() -> Placing:
    return Placing()


@pytest.fixture
async def gateway(start: Start, placing: Placing) -> Gateway:
    return await start(make={"queue": placing.open}, outbound=outbound())


@pytest.fixture
def config(gateway: Gateway, tmp_path: Path) -> Path:
    """A configuration that leads to the gateway."""
    file = tmp_path / "asking.yaml"
    listen = gateway.url.removeprefix("http://")
    file.write_text(f"http: {{listen: '{listen}', admin_token: {TOKEN}}}\n")
    return file


async def invoke(config: Path, *command: str) -> Result:
    return await asyncio.to_thread(
        CliRunner().invoke, main.app, [*command, "--config", str(config)]
    )


async def placed(config: Path, *more: str) -> str:
    """A call to a person, by its id."""
    command = ("call", PERSON, "--agent", "agent_1", "--from", OURS, "--json", *more)
    result = await invoke(config, *command)
    assert result.exit_code == 0, result.output
    return str(json.loads(result.output)["queued_id"])


async def test_a_person_is_called(config: Path, placing: Placing) -> None:
    more = ("--var", "name=Ann", "--var", "plan=a=b", "--amd", "hangup", "--priority", "5")
    wanted = await placing.until_begun(await placed(config, *more))
    assert (wanted.to_number, wanted.agent, wanted.from_number) == (PERSON, "agent_1", OURS)
    assert wanted.variables == {"name": "Ann", "plan": "a=b"}
    assert wanted.amd is not None
    result = await invoke(config, "call", "12", "--agent", "agent_1", "--from", OURS)
    assert result.exit_code == 1
    assert "is no telephone number" in result.stderr


async def test_twilio_calls_and_speaks_the_message(config: Path, placing: Placing) -> None:
    """Its message is words, and no file of ours; without any, the configuration must have some."""
    amd = ("--mode", "twilio", "--amd", "message")
    wanted = await placing.until_begun(await placed(config, *amd, "--message", "Call us."))
    assert wanted.mode == "twilio"
    assert wanted.amd is not None
    assert wanted.amd.message == "Call us."
    result = await invoke(config, "call", PERSON, "--agent", "agent_1", "--from", OURS, *amd)
    assert result.exit_code == 1
    assert "twilio.machine.message" in result.stderr


async def test_until_it_is_over(
    gateway: Gateway, config: Path, placing: Placing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.cli.call.LOOK_S", 0.02)
    command = ("call", PERSON, "--agent", "agent_1", "--from", OURS, "--wait")
    waiting = asyncio.create_task(invoke(config, *command))
    await placing.talks(await placing.any_begun())
    result = await waiting
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "answered"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--agent", "a", "--via", "sip:127.0.0.1"], "--via belongs to a test call"),
        (["--agent", "a", "--seconds", "5"], "--seconds belongs to a test call"),
        (["--mode", "retell"], "--mode belongs to a call to a person: name an --agent"),
        (["--wait"], "--wait belongs to a call to a person"),
        (["--agent", "a", "--message", "x.wav"], "--message belongs to --amd message"),
        (["--agent", "a", "--amd", "message"], "--amd message needs --message"),
        (["--agent", "a", "--var", "name"], "--var name must be NAME=TEXT"),
    ],
)
def test_options_of_the_other_kind_are_refused(options: list[str], words: str) -> None:
    result = CliRunner().invoke(main.app, ["call", PERSON, *options])
    assert result.exit_code == 2
    assert words in result.stderr


async def test_the_queue_is_shown_and_steered(
    gateway: Gateway, config: Path, placing: Placing
) -> None:
    assert (await invoke(config, "queue", "--pause")).exit_code == 0
    queued_id = await placed(config)
    result = await invoke(config, "queue")
    assert "1 waiting; paused: queue --resume goes on" in result.output
    assert f"{queued_id[:8]}" in result.output
    assert "waits until" in (await invoke(config, "queue", queued_id)).output
    result = await invoke(config, "queue", queued_id, "--cancel", "--json")
    assert json.loads(result.output)["state"] == "cancelled"
    result = await invoke(config, "queue", "--state", "waiting", "--json")
    assert json.loads(result.output) == []
    await invoke(config, "queue", "--resume")
    queued_id = await placed(config)
    await placing.talks(queued_id)
    await until_is(gateway, queued_id, "done")
    assert "answered" in (await invoke(config, "queue", queued_id)).output
    for wrong in (["--cancel"], [queued_id, "--pause"], ["--pause", "--resume"]):
        assert (await invoke(config, "queue", *wrong)).exit_code == 2
    assert (await invoke(config, "queue", "nothing")).exit_code == 1


async def test_a_campaign(gateway: Gateway, config: Path, placing: Placing, tmp_path: Path) -> None:
    file = tmp_path / "spring.csv"
    file.write_text("number,var.name\n+12125550123,Ann\n12,Bob\n")
    start = ("campaigns", "start", str(file), "--agent", "agent_1", "--from", OURS)
    result = await invoke(config, *start)
    assert result.exit_code == 1
    assert "line 3: bad-number: '12' is no telephone number" in result.output
    assert "nobody is called" in result.stderr
    result = await invoke(config, *start, "--check")
    assert (result.exit_code, result.output.splitlines()[-1]) == (
        1,
        "checked: 1 calls, 1 lines are wrong",
    )
    result = await invoke(config, *start, "--skip-bad", "--json")
    campaign = json.loads(result.output)["campaign_id"]
    [one] = json.loads((await invoke(config, "campaigns", "list", "--json")).output)
    assert (one["campaign_id"], one["name"]) == (campaign, "spring")
    assert "paused" in (await invoke(config, "campaigns", "pause", campaign)).output
    assert "running" in (await invoke(config, "campaigns", "resume", campaign)).output
    [call] = (await ask(gateway, "GET", f"/queue?campaign={campaign}"))[1]["items"]
    await placing.talks(call["queued_id"])
    await until_is(gateway, call["queued_id"], "done")
    assert "answered" in (await invoke(config, "campaigns", "show", campaign)).output
    assert "answered" in (await invoke(config, "campaigns", "results", campaign)).output
    written = tmp_path / "results.ndjson"
    result = await invoke(config, "campaigns", "results", campaign, "--json", "-o", str(written))
    assert json.loads(written.read_text())["variables"] == {"name": "Ann"}
    result = await invoke(config, "campaigns", "cancel", campaign)
    assert result.output == "0 calls that waited or were up are cancelled\n"
    result = await invoke(config, "campaigns", "start", str(tmp_path / "nowhere.csv"))
    assert (result.exit_code, "nowhere.csv" in result.stderr) == (1, True)


async def test_numbers_that_are_never_called(config: Path, tmp_path: Path) -> None:
    assert (await invoke(config, "do-not-call", "add", PERSON, "--reason", "asked")).exit_code == 0
    file = tmp_path / "list.csv"
    file.write_text('number,name\n"+12125550124",x\n(212) 555-0125\n')
    assert (await invoke(config, "do-not-call", "import", str(file))).output == "2 entered\n"
    listed = json.loads((await invoke(config, "do-not-call", "list", "--json")).output)
    assert [one["number"] for one in listed] == [PERSON, "+12125550124", "+12125550125"]
    assert "asked" in (await invoke(config, "do-not-call", "list")).output
    assert (await invoke(config, "do-not-call", "remove", PERSON)).exit_code == 0
    result = await invoke(config, "do-not-call", "remove", PERSON)
    assert (result.exit_code, result.stderr) == (1, f"error: {PERSON} is not on the list\n")
    file.write_text("number\n")
    assert (await invoke(config, "do-not-call", "import", str(file))).exit_code == 2


async def test_events_that_nobody_heard(gateway: Gateway, config: Path) -> None:
    async with receiving(answer=lambda _: 410) as receiver:
        await placed(config, "--not-before", "2099-01-01T00:00:00Z", "--callback", receiver.url)
        await receiver.until(lambda: len(receiver.posts) == 1)
        for _ in range(100):
            listed = json.loads((await invoke(config, "callbacks", "--dead", "--json")).output)
            if listed:
                break
        [dead] = listed
        receiver.answer = lambda _: 200
        assert (await invoke(config, "callbacks", dead["event_id"], "--resend")).exit_code == 0
        await receiver.until(lambda: len(receiver.posts) == 2)
    for wrong in (["--resend"], ["one"], ["one", "--dead", "--resend"], ["one", "--dead"]):
        assert (await invoke(config, "callbacks", *wrong)).exit_code == 2


async def test_all_that_were_given_up_are_told_again(gateway: Gateway, config: Path) -> None:
    """As after a receiver that was away for days."""
    later = ("--not-before", "2099-01-01T00:00:00Z", "--callback")
    async with receiving(answer=lambda _: 410) as receiver:
        for _ in range(3):
            await placed(config, *later, receiver.url)
        await receiver.until(lambda: len(receiver.posts) == 3)
        for _ in range(1000):
            if (await gateway.app[CALLBACKS].counts()).get("dead") == 3:
                break
        receiver.answer = lambda _: 200
        result = await invoke(config, "callbacks", "--dead", "--resend")
        assert (result.exit_code, result.output) == (0, "3 are told again\n")
        await receiver.until(lambda: len(receiver.posts) == 6)
    assert len(receiver.ids()) == 3
    result = await invoke(config, "callbacks", "--dead", "--resend", "--json")
    assert json.loads(result.output) == {"count": 0}


def test_how_far_a_call_is() -> None:
    call: Json = {"state": "waiting", "due_at": "2026-12-01T08:00:00.000Z", "tries": 2}
    assert standing(call) == "waits until 12-01 08:00:00 UTC, tried 2 times"
    attempt: Json = {"ringing_at": None, "answered_at": None, "detail": None}
    call |= {"state": "calling", "history": [attempt]}
    assert standing(call) == "calls"
    attempt["ringing_at"] = "2026-12-01T08:00:00.000Z"
    assert standing(call) == "rings"
    attempt["answered_at"] = "2026-12-01T08:00:01.000Z"
    assert standing(call) == "talks"
    call |= {"state": "done", "result": "busy", "detail": "486 Busy Here"}
    assert standing(call) == "busy: 486 Busy Here"
