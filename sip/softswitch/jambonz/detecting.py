"""Which legs an application has listened to for who they are, and the hooks that are told."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog

from sip.b2bua.detections import Detection
from sip.b2bua.hub import FIRST
from sip.b2bua.leg_report import LegReport, Progress
from sip.b2bua.legs.leg import Direction
from sip.b2bua.work import Work
from sip.media.detection.found import DECISIONS, Found
from sip.media.detection.terms import DetectionTerms
from sip.media.plane import MediaError
from sip.softswitch.jambonz import messages
from sip.softswitch.jambonz.amd import STOPPED, Amd, failed, told_of
from sip.softswitch.jambonz.application import Application
from sip.softswitch.jambonz.session import Json, Verb

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Ear:
    """One leg that is listened to, once the media engine does."""

    amd: Amd
    heard: Detection | None = None
    decided: bool = False


class Detecting:
    """The detections of one call's application.

    Hooks are asked one after another. Verbs in an ack take the place of what is being done and of
    those that are left.
    """

    def __init__(self, application: Application, redirect: Callable[[list[Verb]], None]) -> None:
        self._application = application
        self._call = application.call
        self._redirect = redirect
        #: what is wanted of legs that have not answered, by name
        self._wanted: dict[str, Amd] = {}
        self._ears: dict[str, _Ear] = {}
        self._hooks = Work(self._call.broke)
        #: the application knows the call, so that its hooks can be asked
        self._known = asyncio.Event()

    def application_knows(self) -> None:
        """From now on hooks are asked; what was found before is told first."""
        self._known.set()

    def want(self, amd: Amd, leg: str | None) -> None:
        """Listen to a leg, by default the one that the call lasts as long as, from its answer on.

        One who called us is no answering machine: it is listened to for a fax's calling tone, where
        the application gives no timers.
        """
        name = leg or self._call.root
        inbound = self._call.reports[FIRST].direction is Direction.INBOUND
        if name == FIRST and inbound and amd.terms is None:
            self._listen_for_fax(amd.action_hook)
            return
        self._stop(name)
        there = self._call.legs.get(name)
        if there is not None and there.up:
            self._begin(name, amd)
        else:
            self._wanted[name] = amd
            with suppress(MediaError):  # `detect` says so again when it is asked
                self._call.wants_detection()

    def on_status(self, report: LegReport) -> None:
        """How far a leg is."""
        if not (self._wanted or self._ears) or report.answered_at is None:
            return
        name = next((name for name, one in self._call.reports.items() if one is report), "")
        if report.progress is Progress.ENDED:
            self._stop(name)
        elif name in self._wanted:
            self._begin(name, self._wanted.pop(name))

    async def close(self) -> None:
        """The call is over: nothing more is asked."""
        self._hooks.stop()
        self._redirect = _nobody

    def _begin(self, leg: str, amd: Amd) -> None:
        ear = self._ears[leg] = _Ear(amd)
        self._call.errands.add(self._listen, leg, ear)

    async def _listen(self, leg: str, ear: _Ear) -> None:
        terms = ear.amd.terms or DetectionTerms()
        try:
            ear.heard = await self._call.detect(leg, terms, partial(self._found, leg, ear.amd))
        except MediaError as error:
            log.warning("amd.not-heard", error=str(error), leg=leg, **self._application.log_ids)
            ear.decided = True
            self._hooks.add(self._ask, ear.amd.action_hook, leg, failed(error.text))
            return
        if self._ears.get(leg) is not ear:  # something else was wanted meanwhile
            ear.heard.stop()

    def _found(self, leg: str, amd: Amd, found: Found) -> None:
        ear = self._ears.get(leg)
        if ear is not None and ear.amd is amd and found.what in DECISIONS:
            ear.decided = True
        log.info(
            "amd.found",
            leg=leg,
            what=found.what.value,
            reason=found.reason,
            confidence=round(found.confidence, 2),
            **self._application.log_ids,
        )
        self._hooks.add(self._ask, amd.action_hook, leg, told_of(found))

    def _stop(self, leg: str) -> None:
        """The leg is over, or something else is wanted of it."""
        self._wanted.pop(leg, None)
        ear = self._ears.pop(leg, None)
        if ear is None:
            return
        if ear.heard is not None:
            ear.heard.stop()
        if not ear.decided:
            self._application.tell(ear.amd.action_hook, self._about(leg, STOPPED))

    def _listen_for_fax(self, hook: str) -> None:
        try:
            self._call.notice_fax(partial(self._fax_heard, hook))
        except MediaError as error:
            log.warning("fax.not-heard", error=str(error), **self._application.log_ids)
            text = f"config: amd: {error.text}"
            self._application.socket.error(text, {}, msg="NotSupported")

    def _fax_heard(self, hook: str) -> None:
        log.info("fax.heard", **self._application.log_ids)
        self._hooks.add(self._ask, hook, FIRST, messages.FAX_TONE)

    async def _ask(self, hook: str, leg: str, told: Json) -> None:
        await self._known.wait()
        verbs = await self._application.ask(hook, self._about(leg, told))
        if verbs and not self._call.over:
            self._redirect(verbs)

    def _about(self, leg: str, told: Json) -> Json:
        """What every hook is told of the call, of which leg this is, and what is found."""
        about = messages.call_status(self._application.info, self._call.status)
        if leg != FIRST and leg in self._call.reports:
            about["dial_call_sid"] = self._call.reports[leg].call_sid
        return about | told


def _nobody(_: list[Verb]) -> None:
    """Default for `redirect` once the call is over."""
