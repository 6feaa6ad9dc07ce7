"""The command that stops a running gateway: drain."""

import asyncio
from typing import Annotated, Any

import typer

from config.settings import Settings
from gateway.cli.api_client import ApiClient, ApiError
from gateway.cli.common import (
    FAILED,
    ConfigOption,
    JsonOption,
    config_path,
    fail,
    one_line,
    out,
    settings_of,
)

#: Seconds between two looks at how far it is.
LOOK_EVERY_S = 1.0


def drain(
    config_file: ConfigOption = None,
    within: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=86_400,
            metavar="SECONDS",
            help="How long calls may go on. Default: the gateway's limits.drain_s.",
            show_default=False,
        ),
    ] = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Begin it, and return at once.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Stop the running gateway once its calls are over: it takes no new ones from now on."""
    settings = settings_of(config_path(config_file))
    try:
        asyncio.run(_drain(settings, within, wait=not no_wait, as_json=as_json))
    except ApiError as error:
        fail(one_line(error), FAILED)


async def _drain(settings: Settings, within: float | None, *, wait: bool, as_json: bool) -> None:
    async with ApiClient(settings) as api:
        view = await api.drain(within)
        if as_json:
            out.print_json(data=view)
        while True:
            if not as_json:
                out.print(_line(view))
            if not wait:
                return
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                view = await api.draining()
            except ApiError:  # it is gone
                break
    if not as_json:
        out.print("stopped")


def _line(view: dict[str, Any]) -> str:
    calls = view["calls"]
    count = "no call is" if not calls else "1 call is" if calls == 1 else f"{calls} calls are"
    return f"draining: {count} up, {view['ends_in_s']:.0f} s left"
