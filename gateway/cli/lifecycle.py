"""The commands on a running gateway as a whole: health, reload, drain."""

import asyncio
import sys
from typing import Annotated, Any

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
    out,
    settings_of,
)

#: Seconds between two looks at how far it is.
LOOK_EVERY_S = 1.0


def health(
    config_file: ConfigOption = None,
    ready: Annotated[
        bool, typer.Option("--ready", help="Ask whether it takes calls, not only whether it lives.")
    ] = False,
) -> None:
    """Say whether the gateway of this configuration is alive; exit 1 if it is not."""
    settings = settings_of(config_path(config_file))
    if not asyncio.run(_healthy(settings, ready=ready)):
        fail("the gateway does not take calls" if ready else "the gateway does not answer", FAILED)
    out.print("ready" if ready else "alive")


async def _healthy(settings: Settings, *, ready: bool) -> bool:
    async with ApiClient(settings) as api:
        return await (api.ready() if ready else api.alive())


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


def reload(config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Have the running gateway read its configuration anew, with no call dropped."""
    settings = settings_of(config_path(config_file))
    try:
        problems, told = asyncio.run(_reload(settings))
    except ApiError as error:
        fail(f"{one_line(error)}; SIGHUP reloads without the API", FAILED)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        raise typer.Exit(MISUSED)
    if as_json:
        out.print_json(data=told)
        return
    out.print(f"changed: {', '.join(told['changed']) or 'nothing'}", soft_wrap=True, markup=False)
    if told["restart"]:
        text = f"needs a restart: {', '.join(told['restart'])}"
        out.print(text, soft_wrap=True, markup=False, style="yellow")


async def _reload(settings: Settings) -> tuple[list[str], dict[str, Any]]:
    async with ApiClient(settings) as api:
        return await api.reload()


def _line(view: dict[str, Any]) -> str:
    calls = view["calls"]
    count = "no call is" if not calls else "1 call is" if calls == 1 else f"{calls} calls are"
    return f"draining: {count} up, {view['ends_in_s']:.0f} s left"
