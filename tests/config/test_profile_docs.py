"""docs/carriers.md and docs/pbx.md: a section for each profile, with an example that works."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from config.reading import profiles
from config.settings import load
from sip.softswitch.registration.account import Account
from sip.softswitch.trunks.trunk import Trunk

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"carrier": DOCS / "carriers.md", "pbx": DOCS / "pbx.md"}


@dataclass(frozen=True)
class Section:
    """One `## ` of a page: whose it is, its examples, and the rows of its table of pitfalls."""

    profile: str
    text: str

    @property
    def examples(self) -> list[str]:
        return re.findall(r"^```yaml\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)

    @property
    def pitfalls(self) -> list[list[str]]:
        table = self.text.partition("| symptom | cause | fix |\n|---|---|---|\n")[2]
        rows = [line for line in table.splitlines() if line.startswith("|")]
        return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def sections(kind: str) -> Iterator[Section]:
    for text in re.split(r"^## ", PAGES[kind].read_text(), flags=re.MULTILINE)[1:]:
        named = re.search(r"^Profile `([a-z0-9-]+)`", text, re.MULTILINE)
        assert named, f"{text.splitlines()[0]}: which profile?"
        yield Section(named[1], text)


SECTIONS = {section.profile: section for kind in PAGES for section in sections(kind)}


@pytest.mark.parametrize("kind", PAGES)
def test_every_profile_has_a_section_on_its_page(kind: str) -> None:
    wanted = sorted(name for name, known in profiles.titles().items() if known.kind == kind)
    assert sorted(section.profile for section in sections(kind)) == wanted


@pytest.mark.parametrize("name", SECTIONS)
def test_example_is_a_whole_configuration_that_loads(name: str, tmp_path: Path) -> None:
    """Its trunks have the profile, its first can be dialled, and its agents can be called."""
    examples = SECTIONS[name].examples
    assert len(examples) == 1
    for file in re.findall(r"[a-z.]+\.(?:crt|key|pem)", examples[0]):
        (tmp_path / file).touch()
    path = tmp_path / "gateway.yaml"
    path.write_text(examples[0])
    names = re.findall(r"\$\{([A-Z_]+)\}", examples[0])
    settings = load(path, dict.fromkeys(names, "s3cret"))
    assert settings.trunks
    assert {trunk.profile for trunk in settings.trunks} == {name}
    assert settings.trunks[0].gateways or settings.trunks[0].registrar
    assert all(
        trunk.identify or trunk.login or trunk.registers or trunk.registrar
        for trunk in settings.trunks
    )
    assert settings.number("+14155550100") is not None
    assert settings.sip.advertise is not None


def test_example_of_extensions_loads(tmp_path: Path) -> None:
    """Every extension is one that its trunk registers as."""
    head = PAGES["pbx"].read_text().partition("\n## ")[0]
    [example] = Section("", head).examples
    path = tmp_path / "gateway.yaml"
    path.write_text(example)
    names = re.findall(r"\$\{([A-Z_]+)\}", example)
    settings = load(path, dict.fromkeys(names, "s3cret"))
    accounts = {Account.of(Trunk.of(one)).contact_user: one.name for one in settings.trunks}
    assert set(settings.numbers) == {f"{trunk}/{user}" for user, trunk in accounts.items()}


@pytest.mark.parametrize("name", SECTIONS)
def test_pitfalls_say_symptom_cause_and_fix(name: str) -> None:
    pitfalls = SECTIONS[name].pitfalls
    assert len(pitfalls) >= 3
    assert all(len(row) == 3 and all(row) for row in pitfalls)


@pytest.mark.parametrize("kind", PAGES)
def test_links_lead_somewhere(kind: str) -> None:
    text = PAGES[kind].read_text()
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", line.lower()).strip().replace(" ", "-")
        for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors
        elif not target.startswith("http"):
            assert (DOCS / target.partition("#")[0]).is_file(), target
