"""Writes tests/sipp/transfers: `python -m tests.interop.transfers.write`."""

from pathlib import Path

from tests.interop.transfers.agents import refers, refers_early
from tests.interop.transfers.carriers import CARRIERS, caller
from tests.interop.transfers.targets import answers_the_cancel, stays

DIRECTORY = Path(__file__).parents[2] / "sipp" / "transfers"


def scenarios() -> dict[str, str]:
    """Every scenario by its file's name."""
    files = {name: caller(name, carrier) for name, carrier in CARRIERS.items()}
    files |= {
        "retell-refers": refers(),
        "retell-refers-twice": refers(twice=True),
        "retell-refers-and-leaves": refers(leaves=True),
        "retell-refers-early": refers_early(),
        "target-answers-the-cancel": answers_the_cancel(),
        "target-stays": stays(),
    }
    return {f"{name}.xml": text for name, text in files.items()}


def main() -> None:
    DIRECTORY.mkdir(exist_ok=True)
    wanted = scenarios()
    for file in DIRECTORY.glob("*.xml"):
        if file.name not in wanted:
            file.unlink()
    for name, text in wanted.items():
        (DIRECTORY / name).write_text(text)


if __name__ == "__main__":
    main()
