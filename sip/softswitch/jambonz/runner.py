"""Runs the verbs of one queue, one after another."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeAlias

from sip.b2bua.call import Call
from sip.b2bua.call_events import Headers
from sip.core.replaces import Replaces
from sip.softswitch.dialling.dialler import Dialler
from sip.softswitch.jambonz import messages
from sip.softswitch.jambonz.amd import Amd
from sip.softswitch.jambonz.application import Application
from sip.softswitch.jambonz.session import Dialled, Json, Verb
from sip.softswitch.jambonz.session_info import SessionInfo
from sip.softswitch.jambonz.sounds import Sounds

#: Asks a hook what a callee is to hear, whose dial a runner is at: whether it takes the call.
AskCallee: TypeAlias = Callable[["Runner", str, str], Coroutine[Any, Any, bool]]


class Runner:
    """A queue of verbs, and the `Session` of each.

    A verb runs in the task that calls `step`, since a task for every verb costs more than most
    verbs. An interruption cancels that task and is taken back here.
    """

    def __init__(
        self,
        application: Application,
        dialler: Dialler,
        sounds: Sounds,
        detect: Callable[[Amd, str | None], None],
        note_outcome: Callable[[int, str], None],
        ask_callee: AskCallee,
        leg: str | None = None,
    ) -> None:
        """`leg` is the one that its verbs are about; by default, and once it is gone, the one that
        the call lasts as long as."""
        self._leg = leg
        #: hears that a hook has brought verbs
        self.on_given: Callable[[], None] = _nothing
        #: what is to be replaced where a leg is placed by which trunk (RFC 3891)
        self.replaces: tuple[str, Replaces] | None = None
        self.application = application
        self.dialler = dialler
        self.sounds = sounds
        self.detect = detect
        self.note_outcome = note_outcome
        self.ask_callee = ask_callee
        #: who hears of a REFER while the present verb lasts
        self.refer_hook: str | None = None
        #: returns when what runs beside the present verb is over; the next verb waits for it
        self.beside: Callable[[], Coroutine[Any, Any, None]] | None = None
        #: other verbs have taken the place of those that the present one may bring
        self.superseded = False
        #: nothing is being done
        self.waiting = True
        self._verbs: deque[Verb] = deque()
        self._doing: asyncio.Task[Any] | None = None
        self._interrupted = False

    # the queue

    @property
    def empty(self) -> bool:
        """Whether no verb is left."""
        return not self._verbs

    def give(self, verbs: Iterable[Verb]) -> None:
        """Verbs to run after those that are left."""
        self._verbs.extend(verbs)

    def clear(self) -> None:
        """What is left is not run."""
        self._verbs.clear()

    async def step(self) -> bool:
        """Run the next verb; False where none is left."""
        if self.beside is not None:
            await self.do(self.beside())
            return True
        if not self._verbs:
            return False
        self.refer_hook, self.superseded = None, False
        work = self._verbs.popleft().run(self)
        if work is not None:
            self.waiting = False
            await self.do(work)
            self.waiting = True
        return True

    async def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Await it until it is done or interrupted."""
        self._doing = _this_task()
        try:
            await work
            if self._interrupted:
                # in its very last step: the cancellation is still to be raised
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            if not self._interrupted:
                raise
        finally:
            self._doing = None
        if self._interrupted:
            self._interrupted = False
            if _this_task().uncancel():  # the switch is closing as well
                raise asyncio.CancelledError

    def give_way(self) -> None:
        """Other verbs take the place of those that are left; the present one goes on."""
        self.clear()
        self.superseded = True

    def interrupt(self) -> None:
        """Stop what is being done; the next verb takes its place."""
        if self._doing is not None and not self._interrupted:
            self._interrupted = True
            self._doing.cancel()

    def close(self) -> None:
        """No verb runs any more: let go of whoever heard of them."""
        self.detect, self.note_outcome, self.beside = _unheard, _no_matter, None
        self.on_given = _nothing

    # what verbs may ask: `Session`

    @property
    def call(self) -> Call:
        return self.application.call

    @property
    def leg(self) -> str:
        leg = self._leg
        return leg if leg is not None and leg in self.call.legs else self.call.root

    @property
    def trunk(self) -> str:
        return self.application.trunk_of(self.leg)

    @property
    def info(self) -> SessionInfo:
        return self.application.info

    def about_leg(self) -> Json:
        return messages.call_status(self.info, self.call.status)

    def about_callee(self, leg: str) -> Json:
        report = self.call.reports[leg]
        dialled = self.application.dialled(report.call_sid)
        return messages.child_status(self.info, self.call.status, report, dialled)

    def hang_up(self, headers: Headers) -> None:
        self.call.hangup(headers)

    async def confirm(self, leg: str, hook: str) -> bool:
        return await self.ask_callee(self, leg, hook)

    @property
    def customer_data(self) -> Json:
        return self.application.customer_data

    @customer_data.setter
    def customer_data(self, data: Json) -> None:
        self.application.customer_data = data

    @property
    def log_ids(self) -> dict[str, str]:
        return self.application.log_ids

    def dials(self, leg: str, dialled: Dialled, refer_hook: str | None) -> None:
        self.application.dials(leg, dialled)
        self.refer_hook = refer_hook

    def replacing(self, trunk: str) -> Headers:
        if self.replaces is None or self.replaces[0] != trunk:
            return ()
        return (("Replaces", self.replaces[1].text),)

    def hear_of_refers(self, hook: str) -> None:
        self.application.refer_hook = hook

    async def ask(self, hook: str, data: Json, *, kind: str = "verb:hook") -> None:
        if self.superseded:
            self.tell(hook, data)
            return
        verbs = await self.application.ask(hook, data, kind=kind)
        if verbs:
            self.clear()
            self.give(verbs)
            self.on_given()

    def tell(self, hook: str, data: Json) -> None:
        self.application.tell(hook, data)

    def note_dropped(self, dropped: Iterable[tuple[str, str]]) -> None:
        self.application.note_dropped(dropped)


def _nothing() -> None:
    """Default for `on_given`."""


def _unheard(_: Amd, __: str | None) -> None:
    """Default for `detect` of a runner that is closed."""


def _no_matter(_: int, __: str) -> None:
    """The same for `note_outcome`."""


def _this_task() -> asyncio.Task[Any]:
    """The task that runs now. A frame that kept it would wait for the garbage collector where the
    task ends by an exception, which has the frame."""
    task = asyncio.current_task()
    assert task is not None
    return task
