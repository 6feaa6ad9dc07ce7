"""The command line. Exit codes: 0 fine, 1 failed, 2 bad usage or configuration.

An error is one line on standard error, or one for each problem of a configuration
(`file:line: key: reason`); nothing is started then. A traceback is shown only with
GATEWAY_DEBUG=1.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

import typer

from config.findings import Level
from config.problems import key_text
from config.settings import Settings, load
from gateway import log
from gateway.cli.audit import audit
from gateway.cli.call import call
from gateway.cli.calls import calls
from gateway.cli.campaigns import campaigns
from gateway.cli.check import check
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
from gateway.cli.do_not_call import do_not_call
from gateway.cli.lifecycle import drain, health, reload
from gateway.cli.money import block, blocked, spend, unblock
from gateway.cli.provision import provision
from gateway.cli.queue import callbacks, queue
from gateway.cli.recordings import recordings
from gateway.cli.retell_events import retell_events
from gateway.cli.storage import storage
from gateway.cli.trunks import bans, profiles, refused, trunks, unban
from gateway.cli.watching import events, export
from gateway.log_queue import LogQueue
from gateway.version import NAME, version

app = typer.Typer(
    name=NAME,
    help="Connects SIP trunks, PBXs and phone numbers to Retell AI voice agents.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"{NAME} {version()}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Connects SIP trunks, PBXs and phone numbers to Retell AI voice agents."""


def main() -> None:
    """The program: every error it does not expect is one line too."""
    try:
        app(prog_name=NAME)
    except Exception as error:
        if os.environ.get("GATEWAY_DEBUG"):
            raise
        fail(f"{type(error).__name__}: {error} (GATEWAY_DEBUG=1 shows where)", FAILED)


@app.command()
def run(
    config_file: ConfigOption = None,
    demo: Annotated[
        bool,
        typer.Option(
            "--demo",
            help="Also start the sandbox (without RETELL_API_KEY), place one call and show its"
            " ladder and what was heard.",
        ),
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="With --demo: end after the call, with its verdict.")
    ] = False,
) -> None:
    """Run the gateway until Ctrl-C or SIGTERM."""
    if once and not demo:
        fail("--once belongs to --demo", MISUSED)
    path = config_path(config_file)
    if demo and path is None:
        fail(
            "RETELL_API_KEY is set, so a configuration of your own is needed: copy"
            " config/gateway.example.yaml to config/gateway.yaml and edit it. Or unset"
            " RETELL_API_KEY, and the sandbox plays Retell",
            MISUSED,
        )
    settings: Settings = settings_of(path)
    if demo:
        from gateway.cli.demo import demonstrate

        raise typer.Exit(demonstrate(settings, path, once=once, console=out))
    from gateway.cli.checks import relay_ports
    from gateway.main import serve
    from gateway.start.errors import StartupError

    relay = relay_ports(settings)
    if relay is not None and relay.level is Level.ERROR:
        fail(f"{key_text(relay.path)}: {relay.text}; {relay.fix}", MISUSED)
    try:
        with LogQueue() as lines:
            log.configure(settings.log.level, settings.log.format, lines, watch=settings.log.watch)
            origin = "the environment" if path is None else str(path.absolute())
            about = {"version": version(), "file": origin}
            _run_loop(serve(settings, about=about, reread=partial(load, path, os.environ)))
    except StartupError as error:
        fail(one_line(error), MISUSED)


@app.command()
def sandbox(
    config_file: ConfigOption = None,
    unless_key: Annotated[
        bool, typer.Option("--unless-key", help="End at once if RETELL_API_KEY is set.")
    ] = False,
    refer_to: Annotated[
        str | None,
        typer.Option(
            help="Refer-To of a REFER by which each agent transfers its caller, after its greeting,"
            " such as sip:200 or tel:+14155550190."
        ),
    ] = None,
) -> None:
    """Run Retell's stand-in, where the gateway's configuration expects Retell."""
    if unless_key and os.environ.get("RETELL_API_KEY"):
        out.print("RETELL_API_KEY is set: no sandbox is needed")
        return
    from testkit.sandbox.errors import SandboxError
    from testkit.sandbox.for_gateway import StandInError, stand_in
    from testkit.sandbox.main import serve

    settings = settings_of(config_path(config_file))
    try:
        with LogQueue() as lines:
            log.configure(settings.log.level, settings.log.format, lines)
            _run_loop(serve(stand_in(settings, refer_to)))
    except (SandboxError, StandInError) as error:
        fail(one_line(error), MISUSED)


app.add_typer(storage, name="storage")
app.add_typer(recordings, name="recordings")
app.add_typer(campaigns, name="campaigns")
app.add_typer(do_not_call, name="do-not-call")
app.add_typer(provision, name="provision")
app.command()(call)
_COMMANDS: tuple[Callable[..., None], ...] = (
    *(queue, callbacks, calls, check, trunks, bans, refused, unban, profiles),
    *(events, retell_events, export, health, reload, drain, audit),
)
for command in _COMMANDS:
    app.command()(command)
for about_money in (spend, blocked, block, unblock):
    app.command()(about_money)


def _run_loop(job: Coroutine[Any, Any, None]) -> None:
    """uvloop where it is installed: it halves what a call costs."""
    factory = asyncio.new_event_loop
    with suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(job)
