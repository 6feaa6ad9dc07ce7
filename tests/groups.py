"""What may run beside what when several workers share the suite (pytest-xdist).

Tests of one group run one after another in one worker, in their order. A file is a group, and so
are the tests that share a running gateway, office or media engine. Everything here is told from a
test's node id, since that is what xdist's scheduler knows.
"""

import re
from typing import Any

from xdist.scheduler import LoadScopeScheduling

#: Groups of more than one file, by folder.
_FOLDERS = {"tests/interop/pbx/": "office", "tests/media/": "media"}
#: The stories of tests/interop that share one gateway, by its transport.
_STORY = re.compile(r"^tests/interop/test_\w+\.py::.*\[(?:.*-)?(udp|tcp)(?:-.*)?\]$")
#: Groups that take longest begin first, so that none is left over when the others have ended.
_FIRST = (
    "office",
    "stories-udp",
    "stories-tcp",
    "media",
    "tests/conformance/test_bad_network_gateway.py",
    "tests/interop/test_loss.py",
    "tests/test_guides.py",
    "tests/interop/profiles/test_profiles.py",
    "tests/interop/transfers/test_sandbox_stories.py",
    "tests/interop/transfers/test_stories.py",
    "tests/interop/transfers/test_house.py",
)


def group(node_id: str) -> str:
    """The group of a test."""
    if story := _STORY.match(node_id):
        return f"stories-{story[1]}"
    file = node_id.partition("::")[0]
    return next((name for path, name in _FOLDERS.items() if file.startswith(path)), file)


def turn(node_id: str) -> int:
    """Sorts tests: those of the long groups first, each group's in the order that they have."""
    own = group(node_id)
    return _FIRST.index(own) if own in _FIRST else len(_FIRST)


class Groups(LoadScopeScheduling):  # type: ignore[misc]
    """Hands whole groups to workers, in the order of `turn`."""

    def __init__(self, config: Any, log: Any) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)
