"""A leg's peer is asked to call somebody else (REFER), while the leg goes on as it was."""

from collections.abc import Callable

from sip.b2bua.call_events import (
    Cause,
    Disconnect,
    Event,
    Headers,
    ReferNews,
    Side,
    Stage,
)
from sip.b2bua.hub import Hub
from sip.b2bua.legs.leg import Leg
from sip.clock import Timer


class Referring:
    """Refers one leg. The outcome is the last news of the REFER.

    Who was referred, and got through, is to hang up; who does not is hung up. Where the outcome was
    waited for in vain, `Overdue` follows.
    """

    name = "referring"

    def __init__(
        self,
        leg: str,
        refer_to: str,
        *,
        referred_by: str | None,
        headers: Headers,
        wait_s: float,
        bye_s: float,
        on_news: Callable[[ReferNews], None],
    ) -> None:
        """`leg` is the name of a leg that is there; the rest as `Call.refer` takes it."""
        self.legs = (leg,)
        self._refer_to = refer_to
        self._referred_by = referred_by
        self._headers = headers
        self._wait_s = wait_s
        self._on_news = on_news
        self._goodbye = _Goodbye(bye_s)
        self._newest: ReferNews | None = None

    def start(self, call: Hub) -> None:
        """Send it."""
        self._call = call
        self._leg = call.legs[self.legs[0]]
        for overdue in call.running(Overdue):
            if overdue.leg is self._leg:  # nobody could tell its news from those of this one
                call.stop(overdue)
        try:
            asked = self._leg.refer(
                self._refer_to,
                referred_by=self._referred_by,
                headers=self._headers,
                wait_s=self._wait_s,
            )
        except ValueError as error:
            call.fail(self, error)
            return
        if not asked and self._leg.up:
            call.finish(self, self._refused(491, "Cannot Be Referred Now"))
        elif not asked:
            call.finish(self, self._refused(481, "Leg Is Not Up"))

    def on(self, leg: Leg, event: Event) -> bool:
        """The news; and whether the leg is still there."""
        if leg is not self._leg:
            return False
        match event:
            case ReferNews():
                self._newest = event
                self._on_news(event)
                if event.succeeded:
                    self._goodbye.expect(self._call, self._leg)
                elif event.stage.final:
                    self._end(event)
                return True
            case Disconnect():
                self._call.finish(self, self.stop())
        return False

    def stop(self) -> ReferNews:
        """Wait no longer; what the peer does with the REFER is its business."""
        self._goodbye.cancel()
        if self._newest is not None and self._newest.stage.final:
            return self._newest
        return self._news(Stage.UNKNOWN, 0 if self._newest is None else 202, "Given Up")

    def _end(self, news: ReferNews) -> None:
        call = self._call
        if news.stage is Stage.UNKNOWN and self._leg.up:
            call.begin(Overdue(self.legs[0], self._goodbye, self._on_news))
        call.finish(self, news)

    def _refused(self, status: int, reason: str) -> ReferNews:
        news = self._news(Stage.REFUSED, status, reason)
        self._on_news(news)
        return news

    def _news(self, stage: Stage, status: int, reason: str) -> ReferNews:
        return ReferNews(at=self._call.ua.clock.now(), stage=stage, status=status, reason=reason)


class Overdue:
    """A REFER that nobody waits for any more, whose peer may get through all the same.

    Then the leg is where it was to be, as if that had been told in time; unless it talks to
    somebody else by now. There is no outcome.
    """

    name = "overdue"
    #: it is no matter to whatever else is done with the leg
    legs: tuple[str, ...] = ()

    def __init__(self, leg: str, goodbye: "_Goodbye", on_news: Callable[[ReferNews], None]) -> None:
        """The rest as `Referring` has it."""
        self._name = leg
        self._goodbye = goodbye
        self._on_news = on_news

    def start(self, call: Hub) -> None:
        """Wait for it."""
        self._call = call
        self.leg = call.legs[self._name]
        self._partner = call.partner(self._name)

    def on(self, leg: Leg, event: Event) -> bool:
        """The news that comes late."""
        if leg is not self.leg:
            return False
        match event:
            case ReferNews() if event.succeeded and self._talks_on():
                self._on_news(event)
                self._goodbye.expect(self._call, leg)
            case ReferNews() | Disconnect():
                self.stop()
                self._call.finish(self, None)
        return isinstance(event, ReferNews)

    def stop(self) -> None:
        """It is of no interest any more."""
        self._goodbye.cancel()

    def _talks_on(self) -> bool:
        """Whether it has nobody else than before to talk to; who has left is nobody."""
        return self._call.partner(self._name) in (self._partner, None)


class _Goodbye:
    """A leg that is somewhere else now has some time to hang up by itself."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._timer: Timer | None = None

    def expect(self, call: Hub, leg: Leg) -> None:
        """Hang it up after that time, or at once if it is 0."""
        if self._within_s > 0:
            self._timer = call.ua.clock.call_later(self._within_s, _hang_up, call, leg)
        else:
            _hang_up(call, leg)

    def cancel(self) -> None:
        """It has hung up, or something else is wanted of it."""
        if self._timer is not None:
            self._timer.cancel()


def _hang_up(call: Hub, leg: Leg) -> None:
    """The leg ends as if by itself, so that everything hears of it."""
    leg.hangup(call.parting.headers)
    call.handle(leg, Disconnect(at=call.ua.clock.now(), by=Side.US, cause=Cause.BYE))
