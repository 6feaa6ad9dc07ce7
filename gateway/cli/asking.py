"""How a command asks the running gateway about calls that go out."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from gateway.cli.api_client import ApiError
from gateway.cli.common import FAILED, config_path, fail, one_line, settings_of
from gateway.cli.outbound_api import OutboundApi

Result = TypeVar("Result")


def ask(config_file: Path | None, question: Callable[[OutboundApi], Awaitable[Result]]) -> Result:
    """The gateway's answer; ends the program with one line where there is none."""
    settings = settings_of(config_path(config_file))

    async def asking() -> Result:
        async with OutboundApi(settings) as api:
            return await question(api)

    try:
        return asyncio.run(asking())
    except ApiError as error:
        fail(one_line(error), FAILED)


def print_json(data: Any) -> None:
    """For scripts."""
    print(json.dumps(data, indent=2, ensure_ascii=False))


def utc(text: str | None) -> str:
    """A time of the API as tables have it."""
    return "-" if text is None else text[5:19].replace("T", " ")
