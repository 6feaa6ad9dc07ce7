"""The command line. Exit codes: 0 fine, 1 failed, 2 bad usage or configuration.

An error is one line on standard error, or one for each problem of a configuration
(`file:line: key: reason`); nothing is started then. A traceback is shown only with
GATEWAY_DEBUG=1.
"""

import asyncio
import os
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from config.findings import Level
from config.problems import key_text
from config.settings import Settings, load
from gateway import log
from gateway.cli.calls import calls
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
from gateway.cli.lifecycle import drain, health, reload
from gateway.cli.recordings import recordings
from gateway.cli.storage import storage
from gateway.cli.trunks import bans, profiles, refused, trunks, unban
from gateway.log_queue import LogQueue
from gateway.version import NAME, version
from testkit.phone.audio import AudioError
from testkit.phone.options import CallOptions, Expect, PhoneError, parse_via
from testkit.phone.place import place_call

#: The test phone's own SIP port, by which config/sandbox.yaml knows it.
PHONE_PORT = 5090

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
def call(
    number: Annotated[str, typer.Argument(help="The number to call, such as +14155550100.")],
    via: Annotated[str, typer.Option(help="Where to call by (UDP).")] = "sip:127.0.0.1:5060",
    from_: Annotated[str, typer.Option("--from", help="The caller's number.")] = "+14155550199",
    play: Annotated[
        Path | None,
        typer.Option(metavar="WAV", help="What to play; default: a melody of the phone's own."),
    ] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="WAV", help="Where to write what was heard.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="Talk no longer than this.")] = 20,
    answer_within: Annotated[
        float,
        typer.Option(min=1, max=300, help="Hang up after this many seconds without an answer."),
    ] = 45,
    expect: Annotated[
        Expect,
        typer.Option(
            help="melodies: the sandbox agent's, and ours echoed. sound: any, for a real agent."
        ),
    ] = Expect.MELODIES,
    listen_port: Annotated[
        int, typer.Option(min=0, max=65535, help="The phone's SIP port (UDP); 0: any.")
    ] = PHONE_PORT,
    user: Annotated[
        str | None, typer.Option(help="Login, for a gateway that asks callers for one.")
    ] = None,
    password: Annotated[
        str | None, typer.Option(envvar="PHONE_PASSWORD", help="Its password.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Place a test call and say what was heard each way; exit 1 if a direction was not heard."""
    try:
        host, port = parse_via(via)
        options = CallOptions(
            number=number,
            host=host,
            port=port,
            from_user=from_,
            listen_port=listen_port,
            play=play,
            record=record,
            max_talk_s=seconds,
            answer_within_s=answer_within,
            expect=expect,
            user=user,
            password=password,
        )
        report = place_call(options)
    except (PhoneError, AudioError) as error:
        fail(one_line(error), MISUSED)
    if as_json:
        print(report.to_json())
    else:
        out.print(report.render())
    raise typer.Exit(0 if report.proved else FAILED)


@app.command()
def sandbox(
    config_file: ConfigOption = None,
    unless_key: Annotated[
        bool, typer.Option("--unless-key", help="End at once if RETELL_API_KEY is set.")
    ] = False,
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
            _run_loop(serve(stand_in(settings)))
    except (SandboxError, StandInError) as error:
        fail(one_line(error), MISUSED)


app.add_typer(storage, name="storage")
app.add_typer(recordings, name="recordings")
for command in (calls, check, trunks, bans, refused, unban, profiles, health, reload, drain):
    app.command()(command)


def _run_loop(job: Coroutine[Any, Any, None]) -> None:
    """uvloop where it is installed: it halves what a call costs."""
    factory = asyncio.new_event_loop
    with suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(job)
