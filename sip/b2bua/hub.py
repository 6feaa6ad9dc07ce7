"""The middle of a call: every leg's events come here, and go to what the call is doing.

A hub keeps its call's state as a value (`CallState`) and its legs by name. What is wanted from the
call is an *activity*; the hub knows none in particular. `Call` adds what an application may ask.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from sip.b2bua.call_events import (
    Cause,
    Disconnect,
    Event,
    Headers,
    OfferEnded,
    Pressed,
    Referral,
    Side,
)
from sip.b2bua.call_state import PEER_OF, CallState, Doing, EndedBy
from sip.b2bua.detections import Detections
from sip.b2bua.hearing import Hearing
from sip.b2bua.keys import Keys
from sip.b2bua.leg_report import LegReport
from sip.b2bua.legs.leg import Direction, Leg
from sip.b2bua.muting import Muting
from sip.b2bua.recording import Recording
from sip.b2bua.rooms import Rooms
from sip.b2bua.work import Work
from sip.core.value import changed
from sip.media.events import Detected, Digit, FaxTone, Heard, OneWay, Silent
from sip.media.plane import MediaPlane
from sip.ua.user_agent import UserAgent

A = TypeVar("A")

#: The name of the leg that a call begins with.
FIRST = "a"
#: Reports that are kept of legs that are over, beside the first leg's: more than ring at once.
MAX_ENDED = 16


class Activity(Protocol):
    """Something that is wanted from a call, and lasts.

    It ends itself by `Hub.finish`, or with another in its place by `Hub.follow`.
    """

    @property
    def name(self) -> str:
        """Its name in `CallState.doing`."""
        ...

    @property
    def legs(self) -> tuple[str, ...]:
        """The names of the legs that it is about."""
        ...

    def start(self, call: "Hub") -> None:
        """Begin. It may be over when this returns."""
        ...

    def on(self, leg: Leg, event: Event) -> bool:
        """An event of any leg came; whether nothing else need hear of it."""
        ...

    def stop(self) -> object:
        """Give up at once; the outcome so far, for whoever waits for it."""
        ...


@dataclass(frozen=True, slots=True)
class Parting:
    """Why we end a call of our own accord, for the reports and for the peers (RFC 3326)."""

    cause: Cause = Cause.BYE
    headers: Headers = ()


@dataclass(slots=True, eq=False)
class _Run:
    """An activity that runs, and who waits for its outcome."""

    activity: Activity
    since: float
    outcome: asyncio.Future[Any]


class Hub:
    """The legs of one call, its state, and what it is doing."""

    #: called with every new state of every call; None in production
    on_transition: ClassVar[Callable[[CallState], None] | None] = None

    def __init__(
        self,
        ua: UserAgent,
        plane: MediaPlane,
        *,
        direction: Direction,
        on_status: Callable[[LegReport], None],
        rtp_timeout_s: float | None = None,
        call_sid: str | None = None,
    ) -> None:
        """`direction` is that of the first leg; `on_status` hears what happened to any leg;
        `call_sid` is the call's id where somebody has chosen it already.

        `rtp_timeout_s` is how long a leg that talks may send no RTP; None is for ever.
        """
        self.rtp_timeout_s = rtp_timeout_s
        self.ua = ua
        call_sid = call_sid or ua.ids.sid()
        now = ua.clock.now()
        #: what the first leg last reported
        self.status = LegReport(call_sid=call_sid, direction=direction, since=now)
        #: what every leg last reported, by name
        self.reports = {FIRST: self.status}
        #: the leg that the call lasts as long as
        self.root = FIRST
        #: the legs that are there now
        self.legs: dict[str, Leg] = {}
        self.rooms = Rooms(plane, call_sid, self.handle)
        #: what has to be done apart from any activity
        self.errands = Work(self.broke)
        self.recording = Recording(self.rooms, call_sid, self.errands)
        self.muting = Muting(call_sid, self.legs, self.rooms, self.errands)
        self.detections = Detections(ua.clock, self.legs, self.rooms, self.errands)
        self._on_status = on_status
        #: hears, once, that the first leg is a fax machine
        self.on_fax: Callable[[], None] = _no_matter
        #: hears which leg asks for a transfer
        self.on_refer: Callable[[str, Referral], None] = _declined
        self._names: dict[Leg, str] = {}
        self._numbered = 0
        self._joined: list[tuple[str, str]] = []
        self._hearing = Hearing(ua.clock, call_sid, self.reports, self._joined)
        self.keys = Keys(call_sid, ua.clock)
        self._ended_by: EndedBy | None = None
        #: why we hang legs up of our own accord, and what their BYEs say of it
        self.parting = Parting()
        self._runs: list[_Run] = []
        self._asked: dict[Leg, asyncio.Future[OfferEnded]] = {}
        self._later: deque[tuple[Leg, Event]] = deque()
        self._reading = False

    @property
    def state(self) -> CallState:
        """The call as a value, as it is now."""
        return CallState(
            first=self.root,
            legs=dict(self.reports),
            joined=tuple(self._joined),
            doing=tuple(
                Doing(activity=run.activity.name, legs=run.activity.legs, since=run.since)
                for run in reversed(self._runs)
            ),
            ended_by=self._ended_by,
        )

    def _changed(self) -> None:
        """A transition is done."""
        if Hub.on_transition is not None:
            Hub.on_transition(self.state)

    # legs

    def new_leg(self) -> str:
        """A name for one more leg."""
        self._numbered += 1
        return f"b{self._numbered}"

    def add(self, name: str, leg: Leg) -> None:
        """`leg` is `name` from now on: a new leg, or the next attempt at it."""
        before = self.legs.get(name)
        if before is not None:
            self.remove(before)
        self.legs[name] = leg
        self._names[leg] = name

    def change_leg(self, name: str, leg: Leg) -> None:
        """`leg` is `name` from now on, and sits where the one before did, which is not heard any
        more. To the application it is the same leg."""
        before = self.legs[name]
        self.rooms.change_leg(before, leg)
        self.recording.change_leg(before, leg)
        self.remove(before)
        self.legs[name] = leg
        self._names[leg] = name
        self.note(name, changed(self.reports[name], sip_call_id=leg.sip_call_id))

    def remove(self, leg: Leg) -> None:
        """`leg` is done with: what it still says is not heard. Its report stays."""
        name = self._names.pop(leg, None)
        if name is not None:
            self._hearing.forget(name)
            self.keys.forget(name)
            self.muting.forget(name)
            self.detections.forget(name)
            if name != self.root:
                self.legs.pop(name, None)
        self.rooms.leave(leg)
        self._unask(leg)

    def _unask(self, leg: Leg) -> None:
        """Its answer to an offer of ours is of no interest any more."""
        asked = self._asked.pop(leg, None)
        if asked is not None and not asked.done():
            asked.set_result(OfferEnded(at=self.ua.clock.now(), status=481, sdp=None))

    @property
    def over(self) -> bool:
        """Whether the leg is gone that the call lasts as long as."""
        return self.reports[self.root].final

    def name_of(self, leg: Leg) -> str | None:
        """The name of a leg that is there."""
        return self._names.get(leg)

    def partner(self, name: str) -> str | None:
        """The leg that `name` is joined to."""
        for one, other in self._joined:
            if name == one:
                return other
            if name == other:
                return one
        return None

    def is_silent(self, name: str) -> bool:
        """Whether the media plane says that `name` may send and sends nothing."""
        return self._hearing.is_silent(name)

    def note(self, name: str, report: LegReport) -> None:
        """Put down how far `name` is, without a word to the application."""
        if name not in self.reports:
            self._forget_ended()
        self.reports[name] = report
        if name == FIRST:
            self.status = report
        self._changed()

    def tell(self, name: str, report: LegReport) -> None:
        """Put down how far `name` is, and tell the application."""
        self.note(name, report)
        self._on_status(report)

    def _forget_ended(self) -> None:
        """An application may dial for hours: only the last legs that are over are remembered."""
        if len(self.reports) > MAX_ENDED:
            ended = [
                name
                for name, one in self.reports.items()
                if one.final and name not in (FIRST, self.root)
            ]
            for name in ended[: 1 - MAX_ENDED]:
                del self.reports[name]

    def joined(self, one: str, other: str) -> None:
        """`one` and `other` hear each other now; neither may be joined yet."""
        assert self.partner(one) is self.partner(other) is None, "a leg has one partner at a time"
        self._joined.append((one, other))
        self._hearing.joined(one, other)
        self.reseated((one, other))
        if one == self.root and other in self.legs:
            self.recording.joined(self.legs[other])
        self._changed()

    def reseated(self, names: Iterable[str]) -> None:
        """These legs have perhaps other media than before: what is done in it goes on there."""
        self.muting.follow(names)
        self.detections.follow(names)

    def parted(self, one: str, other: str) -> None:
        """`one` and `other` hear each other no more."""
        self._joined.remove((one, other))
        self._hearing.parted(one, other)
        if one == self.root and other in self.legs:
            self.recording.parted(self.legs[other])
        self._changed()

    def hung_up_by(self, who: EndedBy) -> None:
        """`who` hung up."""
        self._ended_by = who
        self._changed()

    def fall_silent(self) -> None:
        """Tell the application nothing more."""
        self._on_status, self.on_fax, self.on_refer = _unheard, _no_matter, _declined
        self.detections.close()

    # activities

    def begin(self, activity: Activity) -> asyncio.Future[Any]:
        """Start `activity`; the future gets its outcome, or that of what follows it."""
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._start(activity, outcome)
        return outcome

    def _start(self, activity: Activity, outcome: asyncio.Future[Any]) -> None:
        self._runs.insert(0, _Run(activity, self.ua.clock.now(), outcome))
        self._changed()
        try:
            activity.start(self)
        except Exception:  # it has not begun, so that it cannot be stopped either
            self._end(activity)
            raise

    def follow(self, activity: Activity, successor: Activity) -> None:
        """`activity` is over and `successor` takes its place, without a gap for events."""
        run = self._end(activity)
        if run is not None:
            self._start(successor, run.outcome)

    def finish(self, activity: Activity, outcome: object) -> None:
        """`activity` is over by itself."""
        run = self._end(activity)
        if run is not None and not run.outcome.done():
            run.outcome.set_result(outcome)
        if self.over:
            self.end_all()

    def fail(self, activity: Activity, error: Exception) -> None:
        """`activity` cannot go on; `error` is for whoever waits for its outcome."""
        run = self._end(activity)
        if run is not None and not run.outcome.done():
            run.outcome.set_exception(error)

    def stop(self, activity: Activity) -> None:
        """End `activity` where it is; whoever waits for it gets the outcome so far."""
        run = self._end(activity)
        if run is not None:
            outcome = activity.stop()
            if not run.outcome.done():
                run.outcome.set_result(outcome)

    def outcome_of(self, activity: Activity) -> asyncio.Future[Any] | None:
        """What gets the outcome of an activity, and of what follows it; None where it is over."""
        for run in self._runs:
            if run.activity is activity:
                return run.outcome
        return None

    def stop_for(self, outcome: asyncio.Future[Any]) -> None:
        """End what runs for the sake of `outcome`."""
        for run in tuple(self._runs):
            if run.outcome is outcome:
                self.stop(run.activity)

    def stop_all(self) -> None:
        """End everything, newest first."""
        for run in tuple(self._runs):
            self.stop(run.activity)

    def running(self, kind: type[A]) -> Iterator[A]:
        """The activities of one kind, newest first."""
        for run in tuple(self._runs):
            if isinstance(run.activity, kind):
                yield run.activity

    def doing(self, name: str) -> list[Activity]:
        """The activities that are about a leg, newest first."""
        return [run.activity for run in self._runs if name in run.activity.legs]

    def _end(self, activity: Activity) -> _Run | None:
        for run in self._runs:
            if run.activity is activity:
                self._runs.remove(run)
                self._changed()
                return run
        return None

    def broke(self, error: Exception) -> None:
        """An error of ours: everything that runs ends with it."""
        runs, self._runs = self._runs, []
        self._changed()
        for older, run in enumerate(runs):
            run.activity.stop()
            if not run.outcome.done():
                run.outcome.set_exception(error)
                if older:
                    run.outcome.exception()  # one that waits is enough to tell of it

    # events

    def handle(self, leg: Leg, event: Event) -> None:
        """The one reader of what legs tell.

        Legs call it themselves, from the event loop: there is no queue and no task between a
        message and what the call does about it. What an activity does may make another leg speak
        at once (an INVITE that cannot be sent); that event waits until this one is done with, so
        that activities are never entered twice.
        """
        if self._reading:
            self._later.append((leg, event))
            return
        self._reading = True
        try:
            self._read(leg, event)
            while self._later:
                self._read(*self._later.popleft())
        except Exception as error:
            self.broke(error)
        finally:
            self._reading = False

    def _read(self, leg: Leg, event: Event) -> None:
        name = self._names.get(leg)
        if name is None:
            return  # of a leg that the call has done with
        if isinstance(event, OfferEnded):
            asked = self._asked.pop(leg, None)
            if asked is not None and not asked.done():
                asked.set_result(event)
                return
        if isinstance(event, Disconnect):
            self._hung_up(name, event)
        elif isinstance(event, Silent | OneWay | Heard):
            self._hearing.on(name, event)
        elif isinstance(event, Detected):
            self.detections.on(event)
            return
        elif isinstance(event, FaxTone):
            if name == FIRST:
                heard, self.on_fax = self.on_fax, _no_matter
                heard()
            return
        elif isinstance(event, Digit | Pressed):
            digit = self.keys.on(self, name, leg, event)
            if digit is None:
                return
            event = digit
        for run in tuple(self._runs):
            # one that heard it before may have ended this one
            if run in self._runs and run.activity.on(leg, event):
                break
        if isinstance(event, Disconnect) and self.reports[name].final:
            self.remove(leg)
            if name == self.root:
                self.end_all()

    @property
    def call_sid(self) -> str:
        """The call's id towards its application: the first leg's."""
        return self.status.call_sid

    def _hung_up(self, name: str, event: Disconnect) -> None:
        report = self.reports[name]
        if report.final:
            return
        now = self.ua.clock.now()
        if report.answered_at is not None:
            report = report.ended(now, event.cause, event.headers)
        elif report.direction is Direction.INBOUND:
            report = report.failed(now, 487, "Request Terminated", event.cause, event.headers)
        else:
            return  # it answered and hung up at once: who places it sees to both in turn
        if self.root in (name, self.partner(name)):
            peer = EndedBy.CALLER if name == FIRST else PEER_OF[report.direction]
            self.hung_up_by(peer if event.by is Side.PEER else EndedBy.APPLICATION)
        self.tell(name, report)

    def end_all(self) -> None:
        """The root is gone, and the call with it: end everything, hang up the other legs."""
        self.stop_all()
        for name, leg in tuple(self.legs.items()):
            if name != self.root:
                self.hang_up_leg(name, leg)
            else:
                self._unask(leg)

    def hang_up_leg(self, name: str, leg: Leg, parting: Parting | None = None) -> None:
        """Hang `leg` up of our own accord, whatever its state; `parting` is why, if not as all."""
        parting = parting or self.parting
        report = self.reports[name]
        if not report.final:
            now = self.ua.clock.now()
            if report.answered_at is not None:
                self.tell(name, report.ended(now, parting.cause))
            else:
                self.tell(name, report.failed(now, 487, "Request Terminated", Cause.CANCELLED))
        leg.hangup(parting.headers)
        self.remove(leg)

    # offers of ours

    async def ask(self, leg: Leg, sdp: str) -> tuple[str | None, int]:
        """Offer `sdp` to `leg`; its answer, or None and the status to refuse with.

        A peer that takes no offer of ours in the call is not asked: it would refuse with 488.
        """
        if not leg.takes_reinvites:
            return None, 488
        before = self._asked.get(leg)
        asked = self._asked[leg] = asyncio.get_running_loop().create_future()
        if not leg.reoffer(sdp):  # whoever asked before waits on
            if before is None:
                del self._asked[leg]
            else:
                self._asked[leg] = before
            return None, 491
        ended = await asked
        return ended.sdp, ended.status if ended.status >= 300 else 488


def _declined(_: str, referral: Referral) -> None:
    """Default for `on_refer`."""
    referral.refuse(603)


def _no_matter() -> None:
    """Default for `on_fax`."""


def _unheard(_: LegReport) -> None:
    """Default for `on_status` of a call that is closed."""
