"""The public workflow does what `.ci/run` does, on the Pythons that we promise."""

import os
import re
import tomllib

import yaml

from tests.packaging.conftest import ROOT

TEXT = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
JOB = yaml.safe_load(TEXT)["jobs"]["test"]


def test_it_runs_what_the_build_server_runs() -> None:
    commands = [step["run"] for step in JOB["steps"] if "run" in step]
    assert ".ci/run" in commands
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_oldest_promised_python_is_among_its_pythons() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = JOB["strategy"]["matrix"]["python"]
    assert project["requires-python"] == f">={pythons[0]}"
    assert pythons == ["3.11", "3.13"]


def test_it_names_no_host_and_no_secret() -> None:
    assert not re.search(r"https?://|secrets\.", TEXT)
