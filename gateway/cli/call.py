"""The command `call`: a test call from a phone of its own, or with `--agent` a call to a person."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer
from rich.markup import escape

from gateway.cli.asking import ask, print_json, utc
from gateway.cli.common import FAILED, MISUSED, ConfigOption, fail, one_line, out
from gateway.cli.outbound_api import OutboundApi
from testkit.phone.audio import AudioError
from testkit.phone.options import CallOptions, Expect, PhoneError, parse_via
from testkit.phone.place import place_call

#: The test phone's own SIP port, by which config/sandbox.yaml knows it.
PHONE_PORT: Final = 5090
#: Seconds between two looks at a call that is waited for.
LOOK_S: Final = 1.0
#: States of a queued call that stay, and results for which the program ends with 0.
OVER: Final = ("done", "cancelled", "unknown")
WELL: Final = ("answered", "message-left")

#: Options by what they are of: the phone's, and those of a call to a person.
_PHONE: Final = (
    *("via", "play", "record", "seconds", "answer_within", "expect", "listen_port"),
    *("user", "password"),
)
_PERSON: Final = (
    *("config_file", "mode", "amd", "message", "variables", "trunk", "priority", "window"),
    *("not_before", "callback", "wait"),
)


def _phone(*names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel="A test call", **more)


def _person(*names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel="A call to a person (--agent)", **more)


def call(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The number to call, such as +14155550100.")],
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", help="The caller's number; of a test call +14155550199 unless told."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    agent: Annotated[
        str | None,
        _person("--agent", help="Have the running gateway call a person, and this agent talk."),
    ] = None,
    config_file: ConfigOption = None,
    mode: Annotated[
        Literal["callee_first", "retell", "twilio"],
        _person(
            "--mode", help="We dial the person first, or Retell's or Twilio's API places the call."
        ),
    ] = "callee_first",
    amd: Annotated[
        Literal["hangup", "message", "agent"] | None,
        _person("--amd", help="Tell machines from people, and do this with them."),
    ] = None,
    message: Annotated[
        str | None,
        _person("--message", help="What --amd message leaves: a sound; with --mode twilio, words."),
    ] = None,
    variables: Annotated[
        list[str] | None, _person("--var", metavar="NAME=TEXT", help="A variable of the prompt.")
    ] = None,
    trunk: Annotated[str | None, _person("--trunk", help="The only trunk to call by.")] = None,
    priority: Annotated[
        int, _person("--priority", min=-10, max=10, help="The higher the earlier.")
    ] = 0,
    window: Annotated[
        str | None, _person("--window", help="The schedule to call in; empty: at any time.")
    ] = None,
    not_before: Annotated[
        str | None, _person("--not-before", help="The time to call: 2026-12-01T08:00:00Z.")
    ] = None,
    callback: Annotated[
        str | None, _person("--callback", metavar="URL", help="Who hears what becomes of it.")
    ] = None,
    wait: Annotated[
        bool,
        _person(
            "--wait", help="Until it is over; exit 1 unless a person or a message got through."
        ),
    ] = False,
    via: Annotated[str, _phone(help="Where to call by (UDP).")] = "sip:127.0.0.1:5060",
    play: Annotated[
        Path | None,
        _phone(metavar="WAV", help="What to play; default: a melody of the phone's own."),
    ] = None,
    record: Annotated[
        Path | None, _phone(metavar="WAV", help="Where to write what was heard.")
    ] = None,
    seconds: Annotated[float, _phone(min=1, max=600, help="Talk no longer than this.")] = 20,
    answer_within: Annotated[
        float, _phone(min=1, max=300, help="Hang up after this many seconds without an answer.")
    ] = 45,
    expect: Annotated[
        Expect,
        _phone(
            help="melodies: the sandbox agent's, and ours echoed. sound: any, for a real agent."
        ),
    ] = Expect.MELODIES,
    listen_port: Annotated[
        int, _phone(min=0, max=65535, help="The phone's SIP port (UDP); 0: any.")
    ] = PHONE_PORT,
    user: Annotated[
        str | None, _phone(help="Login, for a gateway that asks callers for one.")
    ] = None,
    password: Annotated[str | None, _phone(envvar="PHONE_PASSWORD", help="Its password.")] = None,
) -> None:
    """Place a test call and say what was heard each way; exit 1 if a direction was not heard. With
    --agent: have the running gateway call a person."""
    if agent is not None:
        _refuse(context, _PHONE, "belongs to a test call, which is one without --agent")
        wish = {
            "to": number,
            "from": from_,
            "agent": agent,
            "mode": mode,
            "amd": _amd(amd, message, mode),
            "variables": _named(variables or []),
            "trunk": trunk,
            "priority": priority,
            "window": window,
            "not_before": not_before,
            "callback": callback,
        }
        _call_person(config_file, wish, wait=wait, as_json=as_json)
        return
    _refuse(context, _PERSON, "belongs to a call to a person: name an --agent")
    try:
        host, port = parse_via(via)
        options = CallOptions(
            number=number,
            host=host,
            port=port,
            from_user=from_ or "+14155550199",
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


def _refuse(context: typer.Context, names: tuple[str, ...], why: str) -> None:
    """Ends the program where one of these options was written."""
    options = {option.name: option for option in context.command.params}
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            fail(f"{options[name].opts[0]} {why}", MISUSED)


def _amd(on_machine: str | None, message: str | None, mode: str) -> dict[str, Any] | None:
    if message is not None and on_machine != "message":
        fail("--message belongs to --amd message", MISUSED)
    if on_machine is None:
        return None
    if on_machine == "message" and message is None and mode != "twilio":
        fail("--amd message needs --message: a file of media.sounds", MISUSED)
    return {"on_machine": on_machine, "message": message}


def _named(texts: list[str]) -> dict[str, str]:
    """`NAME=TEXT` as members."""
    pairs = [text.partition("=") for text in texts]
    for name, equals, _ in pairs:
        if not name or not equals:
            fail(f"--var {name} must be NAME=TEXT", MISUSED)
    return {name: text for name, _, text in pairs}


def _call_person(
    config_file: Path | None, wish: dict[str, Any], *, wait: bool, as_json: bool
) -> None:
    said = {name: value for name, value in wish.items() if value not in (None, {})}

    async def question(api: OutboundApi) -> dict[str, Any]:
        queued = await api.place(said)
        if not wait:
            return queued
        return await _until_over(api, queued["queued_id"], quiet=as_json)

    queued = ask(config_file, question)
    if as_json:
        print_json(queued)
    elif not wait:
        out.print(f"queued as {queued['queued_id']}: see `queue {queued['queued_id']}`")
    if wait and queued["result"] not in WELL:
        raise typer.Exit(FAILED)


async def _until_over(api: OutboundApi, queued_id: str, *, quiet: bool) -> dict[str, Any]:
    """Follow it, and tell what becomes of it."""
    told = ""
    while True:
        queued = await api.queued(queued_id)
        if (now := standing(queued)) != told and not quiet:
            told = now
            out.print(escape(now))
        if queued["state"] in OVER:
            return queued
        await asyncio.sleep(LOOK_S)


def standing(queued: dict[str, Any]) -> str:
    """How far a queued call is, in a line."""
    if queued["state"] == "waiting":
        again = f", tried {queued['tries']} times" if queued["tries"] else ""
        return f"waits until {utc(queued['due_at'])} UTC{again}"
    last = queued["history"][-1] if queued["history"] else None
    if queued["state"] == "calling":
        if last is None or (last["ringing_at"] is None and last["answered_at"] is None):
            return "calls"
        return "rings" if last["answered_at"] is None else "talks"
    why = queued["detail"] or (last or {}).get("detail")
    return f"{queued['result'] or queued['state']}{f': {why}' if why else ''}"
