"""Which tests share a worker."""

from pathlib import Path

import pytest

from tests import conftest, groups

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("node_id", "group"),
    [
        ("tests/core/test_uri.py::test_parse[sip:a@b]", "tests/core/test_uri.py"),
        ("tests/interop/test_inbound.py::test_busy[udp]", "stories-udp"),
        ("tests/interop/test_outbound.py::test_codes[tcp-486]", "stories-tcp"),
        ("tests/interop/test_outbound.py::test_codes[486-udp]", "stories-udp"),
        ("tests/interop/test_loss.py::test_every_call_completes", "tests/interop/test_loss.py"),
        ("tests/interop/pbx/test_hold.py::test_hold[static-udp]", "office"),
        ("tests/media/scenarios/test_offers.py::test_talk[relay]", "media"),
    ],
)
def test_a_group_is_a_file_or_what_shares_a_gateway(node_id: str, group: str) -> None:
    assert groups.group(node_id) == group


def test_the_long_groups_come_first_and_keep_their_order() -> None:
    hold, loss, uri = (
        f"tests/{path}::test"
        for path in ("interop/pbx/test_hold.py", "interop/test_loss.py", "core/test_uri.py")
    )
    assert sorted([uri, loss, hold], key=groups.turn) == [hold, loss, uri]


def test_the_tables_name_what_exists() -> None:
    files = [name for name in groups._FIRST if "/" in name]
    for place in [*groups._FOLDERS, *files, *conftest.PLACE_MARKS]:
        assert (ROOT / place.partition("::")[0]).exists(), (
            f"{place}: moved? tests/groups.py and tests/conftest.py"
        )
