"""What one engine does otherwise than the scenarios say: each is listed in docs/media.md, with why.

    @differs("rtpengine", "strangers-first")
    async def test_…(talk: Talk) -> None: …

The scenario must hold on the other engine, and fail on that one: a difference that is gone fails,
and so does one that is not listed (`test_differences.py`).
"""

import functools
import inspect
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from sip.media.ng.rtpengine import RtpengineClient
from sip.media.plane import MediaError, MediaPlane
from tests.media.talk import Talk

PAGE = Path(__file__).parents[3] / "docs" / "media.md"

Scenario = Callable[..., Coroutine[Any, Any, None]]

#: Those that scenarios show: slug and engine.
shown: dict[str, str] = {}

_ROW = re.compile(r"^\| `([a-z0-9-]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def differs(engine: str, slug: str) -> Callable[[Scenario], Scenario]:
    """The scenario does not hold on `engine` ("relay" or "rtpengine"), as `slug` explains."""
    shown[slug] = engine

    def decorate(scenario: Scenario) -> Scenario:
        @functools.wraps(scenario)
        async def run(*args: Any, **kwargs: Any) -> None:
            plane = next(map(_plane_of, kwargs.values()), None)
            if name_of(plane) != engine:
                await scenario(*args, **kwargs)
                return
            try:
                await scenario(*args, **kwargs)
            except (AssertionError, TimeoutError, MediaError, pytest.fail.Exception):
                return
            pytest.fail(f"{engine} does it too: take `{slug}` off the list in {PAGE.name}")

        run.__signature__ = inspect.signature(scenario)  # type: ignore[attr-defined]
        return run

    return decorate


def listed() -> dict[str, str]:
    """The differences of docs/media.md: slug, and what it says of why."""
    _, _, after = PAGE.read_text().partition("## Where they differ\n")
    section, _, _ = after.partition("\n## ")
    return {slug: why.strip() for slug, _, _, why in _ROW.findall(section)}


def name_of(plane: MediaPlane | None) -> str:
    return "rtpengine" if isinstance(plane, RtpengineClient) else "relay"


def _plane_of(value: object) -> MediaPlane | None:
    return value.plane if isinstance(value, Talk) else None
