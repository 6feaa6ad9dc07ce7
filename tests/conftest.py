"""Rules for the whole suite: in CI a skipped test fails the run.

A test that cannot run on somebody's machine says why and is skipped there. In CI everything it
could need is installed, so a skip would only hide that something was not tested.
"""

import os

import pytest


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _skips_fail() and _skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    skipped = _skipped(config)
    if _skips_fail() and skipped:
        terminalreporter.write_line(
            f"failed: {skipped} skipped, and CI=true allows no skip (the reasons are above)",
            red=True,
        )


def _skips_fail() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}


def _skipped(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    assert isinstance(reporter, pytest.TerminalReporter)
    return len(reporter.stats.get("skipped", []))
