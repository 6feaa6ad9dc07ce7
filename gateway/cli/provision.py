"""The commands `provision …`: what Retell and Twilio shall have of us, planned, then entered."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal

import typer
from rich.markup import escape

from config.settings import Settings
from config.texts import is_e164
from gateway.cli.asking import print_json
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
from gateway.cli.trunk_tables import plain_table
from gateway.provisioning.changes import Change, Plan, Wishes, joined
from gateway.provisioning.failures import ApiError
from gateway.provisioning.running import Target, carry_out

#: Something is not as the configuration says: the exit code of `--check`.
DIFFERS: Final = 3
_COLOURS: Final = {"make": "green", "change": "yellow", "remove": "red"}

provision = typer.Typer(
    help="Enter at Retell and Twilio what the configuration says.", no_args_is_help=True
)
twilio = typer.Typer(help="The elastic trunk and the numbers of Twilio.", no_args_is_help=True)
provision.add_typer(twilio, name="twilio")

CheckOption = Annotated[
    bool,
    typer.Option("--check", help="Change nothing; exit 3 where something is not as it should be."),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DestroyOption = Annotated[bool, typer.Option("--destroy", help="Take away what we made there.")]
TakeOverOption = Annotated[
    bool, typer.Option("--take-over", help="Change also what others made; it is never removed.")
]
PasswordsOption = Annotated[
    bool, typer.Option("--passwords", help="Send passwords again, which cannot be compared.")
]

#: An aiohttp session becomes the accounts that are asked.
Targets = Callable[[Any], Sequence[Target]]


@provision.command("retell")
def of_retell(
    config_file: ConfigOption = None,
    check: CheckOption = False,
    yes: YesOption = False,
    destroy: DestroyOption = False,
    take_over: TakeOverOption = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove our numbers that the configuration has not.")
    ] = False,
    passwords: PasswordsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import our numbers, or change them: termination, login, codecs, agents, webhook."""
    settings = _settings(config_file)
    workspaces = [one for one in settings.retell.every_workspace() if one.api_key is not None]
    if not workspaces:
        fail("retell.api_key is required: Retell is asked with it", MISUSED)

    def targets(session: Any) -> Sequence[Target]:
        from gateway.provisioning.retell_account import RetellAccount

        return [RetellAccount(settings, one, session, sleep=asyncio.sleep) for one in workspaces]

    wishes = Wishes(destroy=destroy, take_over=take_over, prune=prune, passwords=passwords)
    _provision(targets, wishes, check=check, yes=yes, as_json=as_json)


@twilio.command("trunk")
def of_trunk(
    config_file: ConfigOption = None,
    check: CheckOption = False,
    yes: YesOption = False,
    destroy: DestroyOption = False,
    take_over: TakeOverOption = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Detach numbers that the configuration has not.")
    ] = False,
    passwords: PasswordsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make the elastic trunk, or change it: termination, login, origination, REFER, its numbers."""
    settings = _settings(config_file)
    if settings.twilio is None or settings.provision.twilio.trunk is None:
        fail("twilio and provision.twilio.trunk are required: docs/provisioning.md", MISUSED)
    wishes = Wishes(destroy=destroy, take_over=take_over, prune=prune, passwords=passwords)

    def targets(session: Any) -> Sequence[Target]:
        from gateway.twilio.provisioning.account import TrunkTarget

        return [TrunkTarget(_account(settings, session), settings)]

    _provision(targets, wishes, check=check, yes=yes, as_json=as_json)


@twilio.command("numbers")
def of_numbers(
    config_file: ConfigOption = None,
    buy: Annotated[
        int, typer.Option("--buy", min=0, max=20, help="Have so many numbers that are not in use.")
    ] = 0,
    area_code: Annotated[
        str | None, typer.Option("--area-code", help="Of the numbers to buy, such as 415.")
    ] = None,
    country: Annotated[
        Literal["US", "CA"], typer.Option("--country", help="Of the numbers to buy.")
    ] = "US",
    release: Annotated[
        list[str] | None,
        typer.Option(
            "--release", metavar="NUMBER", help="Give back a number that we bought, for ever."
        ),
    ] = None,
    check: CheckOption = False,
    yes: YesOption = False,
    destroy: DestroyOption = False,
    take_over: TakeOverOption = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Detach numbers that the configuration has not.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Bind our numbers to the trunk or the voice webhook; with --buy, buy some first; or give some
    back."""
    settings = _settings(config_file)
    if settings.twilio is None:
        fail("twilio is required: docs/provisioning.md", MISUSED)
    if settings.provision.twilio.bind == "trunk" and settings.provision.twilio.trunk is None:
        fail("provision.twilio.trunk is required: numbers are bound to it", MISUSED)
    if bool(buy) != (area_code is not None):
        fail("--buy and --area-code belong together", MISUSED)
    if area_code is not None and not (len(area_code) == 3 and area_code.isdecimal()):
        fail(f"--area-code {area_code} is not three digits", MISUSED)
    if buy and destroy:
        fail("--buy and --destroy cannot be together", MISUSED)
    given_back = tuple(release or ())
    if given_back and (buy or destroy or take_over or prune):
        fail("--release stands alone: it binds nothing", MISUSED)
    for number in given_back:
        if not is_e164(number):
            fail(f"--release {number} is no number such as +14155550123", MISUSED)
    wishes = Wishes(destroy=destroy, take_over=take_over, prune=prune, release=given_back)

    def targets(session: Any) -> Sequence[Target]:
        from gateway.twilio.provisioning.account import NumbersTarget
        from gateway.twilio.provisioning.buying import Purchase

        purchase = (
            None if area_code is None else Purchase(count=buy, area_code=area_code, country=country)
        )
        return [NumbersTarget(_account(settings, session), settings, purchase)]

    _provision(targets, wishes, check=check, yes=yes, as_json=as_json)


def _settings(config_file: Any) -> Settings:
    settings = settings_of(config_path(config_file))
    if not settings.provision.sip_uris:
        fail("provision.sip_uris is required: where Retell and Twilio shall call us", MISUSED)
    return settings


def _account(settings: Settings, session: Any) -> Any:
    from gateway.twilio.provisioning.account import account_of

    assert settings.twilio is not None, "looked at before"
    name = settings.provision.twilio.trunk
    entry = None if name is None else settings.trunk(name)
    return account_of(settings, settings.twilio, entry, session, sleep=asyncio.sleep)


def _provision(targets: Targets, wishes: Wishes, *, check: bool, yes: bool, as_json: bool) -> None:
    """Show the plan, ask, carry it out; the program ends with its exit code."""
    if as_json and not (check or yes):
        fail("--json asks nothing: say --check or --yes beside it", MISUSED)
    try:
        code = asyncio.run(_work(targets, wishes, check=check, yes=yes, as_json=as_json))
    except ApiError as error:
        fail(one_line(error), FAILED)
    raise typer.Exit(code)


async def _work(targets: Targets, wishes: Wishes, *, check: bool, yes: bool, as_json: bool) -> int:
    from aiohttp import ClientSession

    async with ClientSession() as session:
        every = [(target, await target.plan(wishes)) for target in targets(session)]
        plan = joined(each for _, each in every)
        if not as_json:
            _show(plan)
        if check:
            if as_json:
                print_json(_as_json(plan))
            return DIFFERS if plan.differs else 0
        if plan.changes and not yes:
            _ask(plan)
        done = 0
        left: list[Plan] = []
        for target, each in every:
            outcome = await carry_out(target, each, wishes, _quiet if as_json else _tell)
            done += outcome.done
            left.append(outcome.left)
    rest = joined(left)
    if as_json:
        print_json(_as_json(plan) | {"done": done, "left": len(rest.changes)})
    elif done and not rest.changes:
        out.print(f"{_counted(done, 'change')} made; a second look finds nothing to change")
    if rest.changes:
        names = ", ".join(f"{one.what} {one.name}" for one in rest.changes)
        fail(f"changed, and still not as it should be: {names}; run the command again", FAILED)
    return FAILED if rest.conflicts else 0


def _ask(plan: Plan) -> None:
    """Whether the operator wants it; else the program ends."""
    if not _at_a_terminal():
        fail("nobody is there to be asked: --yes carries it out, --check only shows", MISUSED)
    text = f"Make {_counted(len(plan.changes), 'change')}?"
    if bought := sum(one.action == "make" and "billed" in one.what for one in plan.changes):
        text = text.removesuffix("?") + f", and pay for {_counted(bought, 'number')} each month?"
    if gone := sum(one.what.endswith("for ever") for one in plan.changes):
        text = text.removesuffix("?") + f", and lose {_counted(gone, 'number')} for ever?"
    if not typer.confirm(text):
        fail("nothing was changed", FAILED)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _at_a_terminal() -> bool:
    return sys.stdin.isatty()


def _tell(change: Change) -> None:
    out.print(f"{change.action} {change.what} {escape(change.name)}", soft_wrap=True)


def _quiet(change: Change) -> None:
    """For JSON: nothing stands before it."""


def _show(plan: Plan) -> None:
    if plan.changes:
        table = plain_table("to do", "what", "name", "property", "before", "after")
        for change in plan.changes:
            colour = _COLOURS[change.action]
            first = [f"[{colour}]{change.action}[/]", change.what, escape(change.name)]
            for one in change.fields or (None,):
                cells = ("", "", "") if one is None else (one.name, one.before, one.after)
                table.add_row(*first, *map(escape, cells))
                first = ["", "", ""]
        out.print(table)
    for conflict in plan.conflicts:
        text = f"{conflict.what} {conflict.name} {conflict.reason}; {conflict.fix}"
        out.print(f"[red]left alone[/]: {escape(text)}", soft_wrap=True)
    for stray in plan.strays:
        text = f"{stray.what} {stray.name} is ours and not in the configuration"
        out.print(f"[yellow]left over[/]: {escape(text)}; --prune takes it away", soft_wrap=True)
    for note in plan.notes:
        out.print(f"note: {escape(note)}", soft_wrap=True)
    if not plan.differs:
        out.print("all is as the configuration says")


def _as_json(plan: Plan) -> dict[str, Any]:
    return {
        "changes": [
            {
                "action": change.action,
                "what": change.what,
                "name": change.name,
                "fields": [
                    {"name": one.name, "before": one.before, "after": one.after}
                    for one in change.fields
                ],
            }
            for change in plan.changes
        ],
        "conflicts": [
            {"what": one.what, "name": one.name, "reason": one.reason, "fix": one.fix}
            for one in plan.conflicts
        ],
        "strays": [{"what": one.what, "name": one.name} for one in plan.strays],
        "notes": list(plan.notes),
    }
