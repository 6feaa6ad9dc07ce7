"""The commands `recordings …`: keys, and the recordings on this machine's disk."""

import asyncio
import os
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from gateway.cli.api_client import ApiClient, ApiError
from gateway.cli.common import (
    FAILED,
    MISUSED,
    ConfigOption,
    config_path,
    fail,
    one_line,
    out,
    settings_of,
)
from gateway.recordings.store import NoRecordingError, RecordingStore, UnreadableError, new_key

recordings = typer.Typer(help="Recordings of calls, and their keys.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The recording, as `recordings list` names it.")]
Target = Annotated[Path, typer.Argument(help="The WAV file to write; it must not be there yet.")]


@recordings.command("new-key")
def make_key(
    name: Annotated[str, typer.Option(help="What recordings call it.")] = "",
) -> None:
    """Print a new key, a line for recording.key_file. Put it before the keys that are there."""
    try:
        print(new_key(name or time.strftime("key-%Y-%m-%d")), end="")
    except ValueError as error:
        fail(one_line(error), MISUSED)


@recordings.command("list")
def show(config_file: ConfigOption = None) -> None:
    """List the recordings, the newest first."""
    table = Table("recording", "begun (UTC)", "seconds", "kB")
    for one in _store(config_file).listed():
        begun = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(one.started_at))
        table.add_row(one.name, begun, f"{one.seconds:g}", str(one.octets // 1000))
    out.print(table if table.row_count else "there are no recordings")


@recordings.command()
def save(name: Name, target: Target, config_file: ConfigOption = None) -> None:
    """Decrypt a recording into a WAV file: the caller is its left channel."""
    _write(_store(config_file), name, target)


@recordings.command()
def decrypt(
    file: Annotated[Path, typer.Argument(help="A recording's file, wherever it is.")],
    target: Target,
    keys: Annotated[Path, typer.Option(help="The file of keys.")],
) -> None:
    """Decrypt a recording's file without a configuration."""
    _write(RecordingStore(file.parent, keys), file.stem, target)


@recordings.command()
def delete(name: Name, config_file: ConfigOption = None) -> None:
    """Delete a recording."""
    try:
        _store(config_file).delete(name)
    except NoRecordingError:
        fail(f"there is no recording {name}", FAILED)


@recordings.command()
def erase(
    caller: Annotated[str, typer.Argument(help="A person's number, such as +14155550199.")],
    config_file: ConfigOption = None,
) -> None:
    """Delete all recordings of calls with a person; the running gateway knows which those are."""

    async def ask() -> list[str]:
        async with ApiClient(settings_of(config_path(config_file))) as api:
            return await api.erase(caller)

    try:
        deleted = asyncio.run(ask())
    except ApiError as error:
        fail(one_line(error), FAILED)
    for name in deleted:
        out.print(name)
    out.print(f"{len(deleted)} deleted")


def _store(config_file: Path | None) -> RecordingStore:
    recording = settings_of(config_path(config_file)).recording
    if recording is None:
        fail("the configuration has no recording: section", MISUSED)
    return RecordingStore(recording.directory, recording.key_file)


def _write(store: RecordingStore, name: str, target: Path) -> None:
    try:
        _, parts = store.wav(name)
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(fd, "wb") as file:
            for part in parts:
                file.write(part)
    except NoRecordingError:
        fail(f"there is no recording {name}", FAILED)
    except (UnreadableError, OSError) as error:
        fail(one_line(error), FAILED)
