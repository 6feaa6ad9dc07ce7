"""Who answers a number: extensions of trunks, and agents of several houses, as configured."""

from pathlib import Path

import pytest

from config.choices import Choice, choices
from config.settings import Settings
from tests.config.test_settings import problem, read

PBX = "{name: pbx, kind: pbx, gateways: ['sip:192.0.2.1']}"
ELEVENLABS = "{name: elevenlabs, gateways: ['sip:192.0.2.2']}"


def text(numbers: str, retell: str = "{api_key: k}") -> str:
    return f"retell: {retell}\ntrunks: [{PBX}, {ELEVENLABS}]\nnumbers: {numbers}"


def answering(settings: Settings, number: str) -> tuple[Choice, ...]:
    return choices(settings, number.rpartition("/")[2], settings.numbers[number])


def test_a_number_is_retells_unless_told_otherwise(tmp_path: Path) -> None:
    settings = read(tmp_path, text("{'+14155550100': {agent: a, method: dial}}"))
    assert answering(settings, "+14155550100") == (
        Choice(trunk="retell", to="+14155550100", agent="a", method="dial"),
    )


def test_an_extension_says_which_number_retell_knows(tmp_path: Path) -> None:
    settings = read(tmp_path, text("{pbx/200: {retell_number: +14155550100}}"))
    assert answering(settings, "pbx/200") == (
        Choice(trunk="retell", to="+14155550100", agent=None, method="trunk"),
    )
    # by which Retell's webhook asks for it
    assert settings.number("+14155550100") == settings.numbers["pbx/200"]


def test_agents_have_their_shares_and_what_the_number_says_of_each(tmp_path: Path) -> None:
    agents = (
        "[{trunk: elevenlabs, weight: 70}, {trunk: elevenlabs, to: 'sip:x@192.0.2.2', agent: x},"
        " {trunk: retell, weight: 30}, {trunk: retell, agent: c, method: dial}]"
    )
    numbers = f"{{'+14155550100': {{agent: b, retell_number: +14155550101, agents: {agents}}}}}"
    settings = read(tmp_path, text(numbers))
    plain, named, retell, dialled = answering(settings, "+14155550100")
    assert plain == Choice(
        trunk="elevenlabs",
        to="+14155550100",
        agent="elevenlabs/+14155550100",
        method=None,
        weight=70,
    )
    assert (named.to, named.agent, named.weight) == ("sip:x@192.0.2.2", "x", 1)
    assert (retell.to, retell.agent, retell.method) == ("+14155550101", "b", "trunk")
    assert (dialled.agent, dialled.method) == ("c", "dial")


@pytest.mark.parametrize(
    ("numbers", "line"),
    [
        ("{pbx/200: {}}",
         "numbers.pbx/200.retell_number: is required with method trunk: the number that is imported"
         " at Retell, and whose agent answers"),
        ("{pbx/200: {agents: [{trunk: retell}]}}",
         "numbers.pbx/200.agents[0].to: is required with method trunk: the number that is imported"
         " at Retell, and whose agent answers"),
        ("{pbx/200: {method: dial}}",
         "numbers.pbx/200.agent: method dial needs an agent, here or as retell.agent"),
        ("{pbx/200: {retell_number: '200'}}",
         "numbers.pbx/200.retell_number: '200' is not an E.164 number such as +14155550100"),
        ("{pbq/200: {method: dial, agent: a}}",
         "numbers.pbq/200: there is no trunk named pbq; did you mean pbx?"),
        ("{'pbx/20 0': {method: dial, agent: a}}",
         "numbers.pbx/20 0: 'pbx/20 0' is not a trunk and an extension there, such as pbx/200"),
        ("{'*': {agents: [{trunk: elevenlaps}]}}",
         "numbers.*.agents[0].trunk: there is no trunk named elevenlaps; did you mean elevenlabs?"),
        ("{'*': {agents: [{trunk: elevenlabs, method: dial}]}}",
         "numbers.*.agents[0].method: is Retell's alone (retell)"),
        ("{'*': {agents: [{trunk: retell, agent: a}]}}",
         "numbers.*.agents[0].agent: needs method: dial. With method trunk the agent is that of the"
         " number in Retell's settings: tell agents apart by `to`"),
        ("{'*': {agents: [{trunk: retell, to: 'sip:a@192.0.2.1'}]}}",
         "numbers.*.agents[0].to: 'sip:a@192.0.2.1' is not a number that is imported at Retell"),
        ("{'*': {agents: [{trunk: elevenlabs, weight: 0}]}}",
         "numbers.*.agents[0].weight: must be greater than 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_words(tmp_path: Path, numbers: str, line: str) -> None:
    assert problem(tmp_path, text(numbers)).partition(": ")[2] == line


def test_another_agent_alone_needs_no_key_of_retells(tmp_path: Path) -> None:
    numbers = "{'*': {method: dial, agents: [{trunk: elevenlabs}]}}"
    [choice] = answering(read(tmp_path, text(numbers, "{}")), "*")
    assert choice.method is None
