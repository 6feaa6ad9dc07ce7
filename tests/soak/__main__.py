"""`make soak`: what takes too long for `make test`, with figures.

A hundred restarts by SIGTERM and two hundred reloads under ten calls a second, in a quarter of an
hour. It fails where a call is lost, a record is not true, or the gateway logs an error.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.reloads import reloads
from tests.soak.restarts import restarts


async def main() -> int:
    options = _options()
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    failed = False
    for name, story, count in (
        ("restarts", restarts, options.restarts),
        ("reloads", reloads, options.reloads),
    ):
        if not count:
            continue
        began = time.monotonic()
        report = await story(count, options.rate, directory / name)
        say(f"{name}: {report}; {time.monotonic() - began:.0f} s")
        for problem in report.problems:
            say(f"FAILED: {problem}")
        failed = failed or bool(report.problems)
    if failed:
        say(f"logs: {directory}")
    else:
        shutil.rmtree(directory)
    say("soak: " + ("FAILED" if failed else "all good"))
    return 1 if failed else 0


def say(line: str) -> None:
    """To whoever watches."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--restarts", type=int, default=100)
    parser.add_argument("--reloads", type=int, default=200)
    parser.add_argument("--rate", type=float, default=10, help="calls a second")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
