"""One call as its application sees it: what it may ask of the legs, and what it hears of them.

A call begins with a leg that came to us, whatever the leg speaks, or with one that we place; it
has any number of legs, by name, and lasts as long as its first. The coroutines here are a thin
face over activities: each starts one and waits for its outcome, and to cancel it stops the
activity, so that something else takes its place.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from sip.b2bua.activities.capturing import Capturing
from sip.b2bua.activities.collecting import prompted
from sip.b2bua.activities.meanwhile import Meanwhile
from sip.b2bua.activities.playing import Playing
from sip.b2bua.activities.referring import Referring
from sip.b2bua.activities.replacing import Replacing
from sip.b2bua.activities.requesting import Requesting
from sip.b2bua.activities.ringing import Ringing
from sip.b2bua.activities.talking import Talking
from sip.b2bua.activities.transferring import Transferring
from sip.b2bua.activities.waiting import Waiting
from sip.b2bua.call_events import Cause, Headers, ReferNews, Stage
from sip.b2bua.detections import Detection
from sip.b2bua.digits import Collected, Wanted
from sip.b2bua.hub import FIRST, Parting
from sip.b2bua.hunt import Attempts
from sip.b2bua.leg_report import LegReport
from sip.b2bua.legs.leg import Direction, MakeLeg
from sip.b2bua.media_failure import media_failure
from sip.b2bua.race import Audience, Race
from sip.b2bua.rooted import Rooted
from sip.core.body import Body
from sip.core.value import changed
from sip.media.detection.found import Found
from sip.media.detection.terms import DetectionTerms
from sip.media.plane import MediaError, Playable, RingbackTone


def _no_news(_: ReferNews) -> None:
    """Default for `on_news`."""


class Call(Rooted):
    """A call and what may be done with it."""

    def refused(
        self,
        status: int,
        reason: str,
        cause: Cause = Cause.UNREACHABLE,
        detail: str | None = None,
        leg: str | None = None,
    ) -> LegReport:
        """The report of a leg that could not even be tried; `leg` is its name (of `new_leg`)."""
        now = self.ua.clock.now()
        begun = LegReport(call_sid=self.ua.ids.sid(), direction=Direction.OUTBOUND, since=now)
        report = begun.failed(now, status, reason, cause, (), detail)
        self.tell(leg or self.new_leg(), report)
        return report

    async def dial(
        self,
        attempts: Attempts,
        *,
        answer_on_bridge: bool,
        timeout_s: float,
        time_limit_s: float | None,
        leg: str | None = None,
        host: str | None = None,
        while_ringing: Playable | None = None,
        ringback: RingbackTone | None = None,
    ) -> LegReport:
        """Place a leg and join it to its host, the first if not said otherwise; returns its report
        when it is over.

        Whoever cancels this finds the report in `reports`, by the name `leg` (of `new_leg`).
        Until the leg is heard or answers, the host hears `while_ringing`, as early media where it
        is not answered; without it, once the leg rings and we are what the host hears, `ringback`.

        Where the host talks to another leg, that goes on until the new one answers, and is over
        then; within a transfer (`transfer`) the two do not hear each other meanwhile.
        """
        name = leg or self.new_leg()
        host = host or self.root
        meanwhile = Meanwhile(self, host, while_ringing, ringback)
        if self.partner(host) is not None:
            ringing = Ringing(
                attempts, leg=name, host=host, timeout_s=timeout_s, meanwhile=meanwhile
            )
            return await self._dial_beside(ringing, name, time_limit_s)
        try:
            await self._before_dialling(answer_on_bridge, while_ringing)
        except MediaError as error:
            failure = media_failure(error)
            return self.refused(failure.status, failure.reason, failure.cause, error.text, leg)
        ringing = Ringing(
            attempts,
            leg=name,
            host=host,
            timeout_s=timeout_s,
            successor=partial(Talking, time_limit_s=time_limit_s),
            meanwhile=meanwhile,
        )
        return await self._report_of(ringing)

    async def race(
        self,
        *,
        answer_on_bridge: bool,
        time_limit_s: float | None,
        host: str | None = None,
        while_ringing: Playable | None = None,
        ringback: RingbackTone | None = None,
    ) -> Race:
        """For several legs that are to ring for one at once; each is placed by `Race.run`.

        The parameters are those of `dial`. Raises MediaError.
        """
        host = host or self.root
        if self.partner(host) is None:
            await self._before_dialling(answer_on_bridge, while_ringing)
        else:
            self._part_for_another()
        audience = Audience(self, host, while_ringing, ringback)
        return Race(self, host, audience, time_limit_s=time_limit_s)

    async def _before_dialling(self, answer_on_bridge: bool, music: Playable | None) -> None:
        if not answer_on_bridge:
            await self.answer()
        elif music is not None:
            await self.open_early()

    def _part_for_another(self) -> None:
        for transferring in self.running(Transferring):
            transferring.part()

    async def _dial_beside(
        self, ringing: Ringing, leg: str, time_limit_s: float | None
    ) -> LegReport:
        self._part_for_another()
        report = await self._report_of(ringing)
        for waiting in self.running(Waiting):
            outcome = self.outcome_of(waiting)
            if waiting.legs[1] != leg or outcome is None:
                continue
            try:
                if await waiting.join(time_limit_s=time_limit_s):
                    joined: LegReport = await outcome
                    return joined
                if leg in self.legs:
                    self.hang_up_leg(leg, self.legs[leg], Parting(Cause.NOT_JOINED))
                else:  # it, or its host, hung up meanwhile
                    self.note(leg, changed(self.reports[leg], cause=Cause.NOT_JOINED))
                return self.reports[leg]
            finally:
                self.stop_for(outcome)
        return report

    def transfer(self, kept: str, *, dismiss_s: float = 0.0) -> asyncio.Future[bool] | None:
        """The leg `kept` is to be brought to somebody else than it talks to, who stays until then.

        What is dialled for it from now on takes the place of that one, which is hung up `dismiss_s`
        later; the call lasts as long as `kept` then. The future tells whether it came to that;
        `keep` ends it. None where the leg talks to nobody.
        """
        guest = self.partner(kept)
        if guest is None:
            return None
        return self.begin(Transferring((kept, guest), dismiss_s=dismiss_s))

    def keep(self, transfer: asyncio.Future[bool]) -> None:
        """Nobody takes the guest's place: the two hear each other again."""
        self.stop_for(transfer)

    async def place(
        self, attempts: Attempts, *, timeout_s: float, host: str | None = None
    ) -> tuple[str, LegReport]:
        """Place a leg that waits, once it has answered; returns its name and report.

        `host` is the leg that it may be joined to, which may be talking; without one the leg is
        the call's first, where there is none yet.
        """
        name = FIRST if self.first is None else self.new_leg()
        ringing = Ringing(attempts, leg=name, host=host, timeout_s=timeout_s)
        return name, await self._report_of(ringing)

    async def join(self, guest: str) -> bool:
        """Join a leg that was placed and waits to its host, and hang up the guest before it.

        False where the host does not change over: then it goes on as it was. Raises MediaError.
        """
        for waiting in self.running(Waiting):
            if waiting.legs[1] == guest:
                return await waiting.join()
        return False

    async def play(
        self, sound: Playable, *, leg: str | None = None, times: int = 1, early: bool = False
    ) -> bool:
        """Play a sound to a leg, the first if not said otherwise, so many times; True at its end.

        A first leg that is not answered yet is, or gets early media if `early`. False where the leg
        is gone, cannot get early media, or something else is played to it before the end. Raises
        MediaError.
        """
        leg = leg or self.root
        if leg == self.root and not await (self.open_early() if early else self._answered()):
            return False
        if self.over or leg not in self.legs:
            return False
        finished: bool = await self._outcome_of(Playing(leg, sound, times=times))
        return finished

    async def collect(
        self,
        wanted: Wanted,
        *,
        leg: str | None = None,
        prompt: Callable[[], Coroutine[Any, Any, object]] | None = None,
        barge_in: bool = False,
    ) -> Collected:
        """Have the peer of a leg enter digits, the first's if not said otherwise. A first leg that
        is not answered yet is.

        `prompt` is awaited meanwhile and says what is to be entered: no time runs while it lasts.
        It is cancelled when enough is entered, with `barge_in` by the first key. Raises MediaError.
        """
        leg = leg or self.root
        if leg == self.root and not await self._answered():
            return Collected("", complete=False)
        if leg not in self.legs:
            return Collected("", complete=False)
        return await prompted(self, wanted, leg, prompt, barge_in=barge_in)

    @contextmanager
    def capturing(
        self, sequences: Mapping[str, tuple[str, ...]], told: Callable[[str, str], None]
    ) -> Iterator[None]:
        """While a block lasts, `told` gets a leg's name and each of its `sequences` of keys that
        the leg's peer presses."""
        outcome = self.begin(Capturing(sequences, told))
        try:
            yield
        finally:
            self.stop_for(outcome)

    def wants_detection(self) -> None:
        """`detect` will be asked for: to be said before the leg is placed, so that of several media
        engines one that can do it gets the call. Raises MediaError unsupported where none can.
        """
        self.rooms.expect_detection()

    async def detect(
        self, leg: str, terms: DetectionTerms, told: Callable[[Found], None]
    ) -> Detection:
        """Listen to the peer of a leg from now on, for who it is; `told` gets what is found.

        It goes on whatever else is done with the leg, until its last verdict (`ENDINGS`), its
        `stop`, or the leg's end, of which `told` hears nothing. Raises MediaError: unsupported
        where the engine or the leg's codec does not allow it, refused where it has no media.
        """
        return await self.detections.begin(leg, terms, told)

    async def press(self, leg: str, keys: str, duration_ms: int) -> None:
        """Send the peer of a leg keys, in whichever form it takes them. Raises MediaError."""
        for key in keys:
            await self.keys.press(self, leg, key, duration_ms)

    async def refer(
        self,
        refer_to: str,
        *,
        leg: str | None = None,
        referred_by: str | None = None,
        headers: Headers = (),
        wait_s: float,
        bye_s: float,
        on_news: Callable[[ReferNews], None] = _no_news,
    ) -> ReferNews:
        """Have a leg's peer, the first's if not said otherwise, call `refer_to` in our stead
        (RFC 3515); the last news of it.

        `refer_to` and `referred_by` are URIs, or addresses as a header has them. `on_news` hears
        all news, the last among them. The outcome is waited for `wait_s` seconds once the peer has
        accepted. Where it got through, the leg has `bye_s` seconds to hang up, then we do (0: at
        once). Raises ValueError for a value that no header can have.
        """
        leg = leg or self.root
        if self.over or leg not in self.legs:
            at = self.ua.clock.now()
            return ReferNews(at=at, stage=Stage.REFUSED, status=481, reason="Leg Is Gone")
        referring = Referring(
            leg,
            refer_to,
            referred_by=referred_by,
            headers=headers,
            wait_s=wait_s,
            bye_s=bye_s,
            on_news=on_news,
        )
        news: ReferNews = await self._outcome_of(referring)
        return news

    async def request(
        self, leg: str, method: str, *, body: Body | None = None, headers: Headers = ()
    ) -> int | None:
        """Send the peer of a leg a request in its dialog; its final status, None for none.

        It must be one that leaves the session as it is, such as INFO or MESSAGE.
        """
        if leg not in self.legs:
            return None
        requesting = Requesting(leg, method, body=body, headers=headers)
        status: int | None = await self._outcome_of(requesting)
        return status

    def replace(self, leg: str, make: MakeLeg) -> None:
        """The leg that `make(on_event)` makes is to take the place of `leg`, which is up."""
        self.begin(Replacing(leg, make))
