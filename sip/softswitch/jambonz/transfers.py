"""The transfers of one call: who asks for them, what the application says, which one is at work."""

from collections.abc import Callable
from functools import partial

import structlog

from sip.b2bua.call_events import Referral
from sip.b2bua.hub import FIRST
from sip.b2bua.leg_report import LegReport
from sip.b2bua.work import Work
from sip.core.replaces import Replaces
from sip.softswitch.jambonz import messages
from sip.softswitch.jambonz.application import Application
from sip.softswitch.jambonz.runner import Runner
from sip.softswitch.jambonz.session import Json, Verb
from sip.softswitch.jambonz.transfer import Asker, Transfer
from sip.softswitch.jambonz.verbs.decline import Decline
from sip.softswitch.jambonz.verbs.schema import VerbError

log = structlog.get_logger(__name__)

#: How long an application may take to decide about a REFER.
DECISION_S = 2.0

#: Makes a runner, from who hears of a transfer's outcome and the leg that its verbs are about.
MakeRunner = Callable[[Callable[[int, str], None], str], Runner]


class Transfers:
    """Those that run, the newest last; all but the newest have succeeded."""

    def __init__(self, application: Application, main: Runner, make_runner: MakeRunner) -> None:
        """`main` runs the call's verbs while there is no transfer."""
        self._application = application
        self._call = application.call
        self._main = main
        self._make_runner = make_runner
        self._running: list[Transfer] = []
        self._deciding = Work(self._call.broke)

    @property
    def none(self) -> bool:
        """Whether none runs."""
        return not self._running

    @property
    def current(self) -> Runner:
        """Whose verbs the call is at: those of the last transfer that succeeded, if one has."""
        carried = [transfer.runner for transfer in self._running if transfer.carried]
        return carried[-1] if carried else self._main

    @property
    def undecided(self) -> list[Transfer]:
        """The one of which it is not known yet what becomes of it, if there is one."""
        return [transfer for transfer in self._running if not transfer.carried]

    def heard(self, leg: str, referral: Referral) -> None:
        """A leg sent REFER: what the application says, or 603 (RFC 3515 2.4.2)."""
        hook = self.current.refer_hook or self._application.refer_hook
        if self.undecided or not self._deciding.idle:
            self._refuse(referral, 491, "Request Pending", "another transfer is under way")
        elif self._call.partner(leg) is None:
            self._refuse(referral, 403, "Forbidden", "it talks to nobody")
        elif hook is None:
            self._refuse(referral, 501, "Not Implemented", "the application names no referHook")
        else:
            self._deciding.add(self._decide, hook, leg, referral)

    def commanded(self, verbs: list[Verb], call_sid: object) -> None:
        """The application begins one by itself. `call_sid` is of the leg that is handed on, None
        for the caller's. Raises VerbError."""
        leg = self.current.leg if call_sid is None else self._leg_of(call_sid)
        if not verbs:
            raise VerbError("transfer: no verbs")
        if self.undecided:
            raise VerbError("transfer: another one is under way")
        if leg is None or self._call.partner(leg) is None:
            raise VerbError("transfer: the leg that is to be handed on talks to nobody")
        self._begin(verbs, leg, None)

    def on_status(self, report: LegReport) -> None:
        """How far another leg than the first is."""
        for transfer in self._running:
            transfer.on_status(report)

    def stop(self) -> None:
        """Something else is wanted of the call, whatever they have come to."""
        for transfer in self._running:
            transfer.stop()

    async def close(self) -> None:
        """The call is over: returns when they are, too."""
        await self._deciding.done()
        for transfer in tuple(self._running):
            await transfer.over()
        self._make_runner = _nobody

    async def _decide(self, hook: str, leg: str, referral: Referral) -> None:
        """Ask the application; no decision is a refusal."""
        told = self._told(leg, referral)
        verbs = await self._application.ask(hook, told, within_s=DECISION_S)
        if verbs is None:
            self._refuse(referral, 603, "Decline", "the application did not decide")
        elif verbs and isinstance(verbs[0], Decline):
            refusal = verbs[0]
            self._refuse(referral, refusal.status, refusal.reason, "the application refuses it")
        elif self.undecided or (kept := self._call.partner(leg)) is None:
            self._refuse(referral, 491, "Request Pending", "the call has changed meanwhile")
        else:
            self._accept(verbs, leg, kept, referral)

    def _accept(self, verbs: list[Verb], leg: str, kept: str, referral: Referral) -> None:
        refer_to = referral.asked.refer_to
        log.info("refer.accepted", leg=leg, refer_to=refer_to.text, **self._application.log_ids)
        referral.accept()
        replaces = None
        if refer_to.replaces is not None:
            replaces = self._application.trunk_of(leg), refer_to.replaces
        self._begin(verbs, kept, referral, replaces)

    def _begin(
        self,
        verbs: list[Verb],
        leg: str,
        asker: Asker | None,
        replaces: tuple[str, Replaces] | None = None,
    ) -> None:
        """Bring `leg` to somebody else than it talks to, who may have another dialog with that one
        by a trunk of that name."""
        parent = self.current
        transfer = Transfer(self._call, leg, asker, parent.give_way)
        runner = self._make_runner(transfer.note_outcome, leg)
        runner.replaces = replaces
        runner.give(verbs)
        parent.beside = transfer.over
        self._running.append(transfer)
        transfer.start(runner, partial(self._ended, parent))

    def _ended(self, parent: Runner, transfer: Transfer) -> None:
        """No verb of it is left."""
        parent.beside = None
        self._running.remove(transfer)

    def _leg_of(self, call_sid: object) -> str | None:
        reports = self._call.reports
        return next((leg for leg in self._call.legs if reports[leg].call_sid == call_sid), None)

    def _told(self, leg: str, referral: Referral) -> Json:
        """What the hook gets: the keys of the leg that asks, and what it asks for."""
        call, info, report = self._call, self._application.info, self._call.reports[leg]
        other = call.reports[call.partner(leg) or leg].call_sid
        if leg == FIRST:
            told = messages.call_status(info, report)
        else:
            dialled = self._application.dialled(report.call_sid)
            told = messages.child_status(info, call.status, report, dialled)
        return told | messages.refer(report.call_sid, other, referral.asked)

    def _refuse(self, referral: Referral, status: int, reason: str | None, why: str) -> None:
        log.warning(
            "refer.refused",
            status=status,
            reason=why,
            refer_to=referral.asked.refer_to.text,
            **self._application.log_ids,
        )
        referral.refuse(status, reason)


def _nobody(_: Callable[[int, str], None], __: str) -> Runner:
    """Default for `make_runner` once the call is over: nobody asks for a transfer any more."""
    raise VerbError("the call is over")
