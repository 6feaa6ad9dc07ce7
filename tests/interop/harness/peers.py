"""SIP servers out of the private tree that `.ci/peers` unpacks: run in place, not installed.

Their own dynamic loader starts them with their own libraries, so that the tree works on any
Linux, whatever release it was unpacked on, and for any user.
"""

import os
from pathlib import Path

import pytest


class Tree:
    """The unpacked packages. Skips the test, with the reason, where there are none."""

    def __init__(self) -> None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self.root = cache / "retell-sip-gateway" / "peers"
        loaders = sorted(self.root.glob("usr/lib/*/ld-linux-*.so.*"))
        if not (self.root / "made-of").exists() or not loaders:
            pytest.skip("there is no Asterisk or Kamailio here: .ci/peers unpacks them")
        self._loader = loaders[0]

    @property
    def libraries(self) -> Path:
        return self._loader.parent

    def argv(self, program: str, *arguments: str) -> list[str]:
        """The command line that runs one of the tree's programs."""
        return [
            str(self._loader),
            "--library-path",
            str(self.libraries),
            str(self.root / "usr/sbin" / program),
            *arguments,
        ]
