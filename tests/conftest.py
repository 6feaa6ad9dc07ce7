"""Rules for the whole suite: marks by folder, order, and that in CI a skipped test fails the run.

A test that cannot run on somebody's machine says why and is skipped there. In CI everything it
could need is installed, so a skip would only hide that something was not tested.
"""

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tests.groups import Groups, turn

# Containers often have Python write no bytecode. Each of the hundreds of programs that the tests
# start would then compile all its modules anew, for seconds.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

#: Marks of whole folders and files, the first that fits. Files and tests add their own.
PLACE_MARKS: dict[str, str | None] = {
    "tests/interop/": "programs",
    "tests/soak/": "programs",
    "tests/packaging/test_build_files.py": None,
    "tests/packaging/test_workflow.py": None,
    "tests/packaging/": "slow",
    "tests/testkit/sandbox/test_sipp.py": "programs",
    "tests/contract/": "slow",
    "tests/gateway/callbacks/test_deliveries.py": "slow",
    "tests/gateway/calls/test_call_machine.py": None,
    "tests/gateway/calls/test_endings.py": None,
    "tests/gateway/calls/test_numbers.py": None,
    "tests/gateway/calls/": "slow",
    "tests/gateway/cli/test_provision.py": "slow",
    "tests/gateway/cli/test_outbound.py": "slow",
    "tests/gateway/cli/test_retell_events.py": "slow",
    "tests/gateway/http/": "slow",
    "tests/gateway/jambonz/": "slow",
    "tests/gateway/outbound/test_windows.py": None,
    "tests/gateway/outbound/": "slow",
    "tests/gateway/provisioning/": "slow",
    "tests/gateway/retell/test_client.py": "slow",
    "tests/gateway/start/test_addresses.py": "slow",
    "tests/gateway/start/test_http.py": "slow",
    "tests/gateway/start/test_reload.py": "slow",
    "tests/gateway/storage/": "slow",
    "tests/gateway/twilio/test_signature.py": None,
    "tests/gateway/twilio/": "slow",
    "tests/testkit/": "slow",
    "tests/transport/tls/": "slow",
    "tests/conformance/test_torture.py": "slow",
    "tests/b2bua/test_keys.py": "slow",
    "tests/b2bua/test_odd_messages.py": "slow",
    "tests/b2bua/test_refer_legs.py": "slow",
    "tests/config/test_readers.py": "slow",
    "tests/core/test_properties.py": "slow",
    "tests/media/test_control.py": "slow",
    "tests/media/test_convert.py": "slow",
    "tests/media/test_detection.py": "slow",
    "tests/media/test_detection_heard.py": "slow",
    "tests/media/test_detection_set.py": "programs",
    "tests/media/test_fax_tone.py": "slow",
    "tests/media/test_keys.py": "slow",
    "tests/media/test_speech_pairs.py": "programs",
    "tests/media/test_start_media.py": "programs",
    "tests/media/test_strangers.py": "slow",
    "tests/media/test_recorder.py": "slow",
    "tests/media/test_relay_process.py": "slow",
    "tests/media/test_supervisor.py": "slow",
    "tests/softswitch/jambonz/test_amd_heard.py": "slow",
    "tests/softswitch/jambonz/test_transfer.py": "slow",
    "tests/softswitch/jambonz/test_transfer_at_odd_moments.py": "slow",
    "tests/softswitch/jambonz/test_transfer_at_random.py": "slow",
    "tests/softswitch/registration/test_registrar.py": "slow",
    "tests/softswitch/test_admitting.py": "slow",
    "tests/softswitch/trunks/test_health.py": "slow",
    "tests/softswitch/trunks/test_teams.py": "slow",
    "tests/test_citations.py": "slow",
    "tests/test_collector.py": "slow",
    "tests/transport/test_public_address.py": "slow",
    "tests/transport/test_streams.py::test_a_connection_that_carries_a_dialog_stays": "slow",
    "tests/ua/test_long_requests.py": "slow",
    "tests/ua/test_trace.py": "slow",
}
#: Marks of tests by what they ask for.
FIXTURE_MARKS: dict[str, str] = {"engine": "programs", "relay_engine": "slow"}


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """What a test configures of the log is gone after it."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in _marks(item):
            item.add_marker(mark)
    items.sort(key=lambda item: turn(item.nodeid))


def _marks(item: pytest.Item) -> Iterator[str]:
    for place, mark in PLACE_MARKS.items():
        if item.nodeid.startswith(place):
            if mark is not None:
                yield mark
            break
    for fixture, mark in FIXTURE_MARKS.items():
        if fixture in getattr(item, "fixturenames", ()):
            yield mark


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    return Groups(config, log)


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
    """The number of skipped tests. A worker reports none: whoever started it counts them."""
    if hasattr(config, "workerinput"):
        return 0
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    assert isinstance(reporter, pytest.TerminalReporter)
    return len(reporter.stats.get("skipped", []))
