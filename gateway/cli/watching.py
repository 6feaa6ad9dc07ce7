"""The commands `events` and `export`: what happens now, and calls as a file."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import typer

from config.settings import Settings
from gateway.cli.api_client import ApiClient, ApiError
from gateway.cli.common import (
    FAILED,
    MISUSED,
    ConfigOption,
    JsonOption,
    config_path,
    fail,
    one_line,
    settings_of,
)


def events(
    config_file: ConfigOption = None,
    kind: Annotated[
        str, typer.Option(help="How their kinds begin, such as live-call. or trunk.")
    ] = "",
    after: Annotated[
        str | None, typer.Option(help="Begin after the event of this id.", show_default=False)
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="End after so many.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what happens in the running gateway, as it happens, until Ctrl-C."""
    settings = settings_of(config_path(config_file))
    asked = {"kind": kind} | ({} if after is None else {"after": after})
    try:
        asyncio.run(_follow(settings, asked, count, as_json=as_json))
    except ApiError as error:
        fail(one_line(error), FAILED)
    except KeyboardInterrupt:
        raise typer.Exit from None


async def _follow(
    settings: Settings, asked: dict[str, str], count: int | None, *, as_json: bool
) -> None:
    seen = 0
    async with ApiClient(settings) as api:
        async for event in api.events(asked):
            print(json.dumps(event, ensure_ascii=False) if as_json else _line(event), flush=True)
            seen += "id" in event
            if seen == count:
                return
    raise ApiError("the stream of events has ended")


def _line(event: dict[str, Any]) -> str:
    """An event in a line: what is known of it, but for what is nested."""
    if "id" not in event:
        return f"{event['kind']}: {event['reason']}"
    data = (event["data"] or {}).items()
    told = " ".join(f"{name}={value}" for name, value in data if _short(value))
    return f"{event['at'][11:23]} {event['kind']} {event['subject']} {told}".rstrip()


def _short(value: Any) -> bool:
    return value is not None and not isinstance(value, dict | list)


def export(
    config_file: ConfigOption = None,
    form: Annotated[
        Literal["csv", "ndjson"], typer.Option("--format", help="csv, or ndjson.")
    ] = "csv",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The file; else standard output."),
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="NAME=VALUE",
            help="As the API has them: number=+1415*, carrier=…, cause=busy, since=…; several.",
        ),
    ] = None,
) -> None:
    """Write the running gateway's calls to a file, the newest first."""
    asked: dict[str, str] = {}
    for one in filters or ():
        name, equals, value = one.partition("=")
        if not equals or not name:
            fail(f"--filter {one}: write NAME=VALUE, such as cause=busy", MISUSED)
        asked[name] = value
    settings = settings_of(config_path(config_file))
    try:
        asyncio.run(_export(settings, form, output, asked))
    except ApiError as error:
        fail(one_line(error), FAILED)
    except OSError as error:
        fail(f"{output or 'standard output'}: {error.strerror or error}", FAILED)


async def _export(
    settings: Settings, form: str, output: Path | None, asked: dict[str, str]
) -> None:
    async with ApiClient(settings) as api:
        chunks = api.export(form, asked)
        if output is None:
            await _write(chunks, sys.stdout.buffer)
            return
        # a file of before stays until the new one is whole
        part = output.with_name(f"{output.name}.part")
        try:
            with part.open("wb") as file:
                await _write(chunks, file)
            part.replace(output)
        finally:
            part.unlink(missing_ok=True)


async def _write(chunks: AsyncIterator[bytes], file: BinaryIO) -> None:
    async for chunk in chunks:
        file.write(chunk)
    file.flush()
