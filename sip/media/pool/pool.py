"""Several media engines as one: a call goes to the least loaded, and stays there.

A pool is a `MediaPlane`. Its engines may be of any kind. What can be asked of it is what each of
them can, so that no call depends on where it went. A call that says beforehand that it wants to
know who its parties are goes to an engine that can tell.

When an engine is gone, the calls in it are told `Lost`, one after another (`lost_calls`); the next
offer of such a call, which its peers hear of by re-INVITE, goes to another engine.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Final

import structlog

from sip.clock import Clock, LoopClock
from sip.log_throttle import Throttle
from sip.media.detection.terms import DetectionTerms
from sip.media.events import Listener, Lost, MediaEvent
from sip.media.plane import (
    Capability,
    EngineStatistics,
    MediaError,
    MediaPlane,
    MediaStats,
    Playable,
    Subscription,
    Withheld,
)
from sip.media.pool.lost_calls import LostCalls
from sip.media.pool.member import Engine, Health, Member
from sip.media.pool.roster import Roster
from sip.media.terms import ANY_TERMS, MediaTerms, Signalling

log = structlog.get_logger(__name__)

#: Seconds until it is logged again that every engine is full.
FULL_AGAIN_S: Final = 60.0

#: What an engine says that another would say as well: the call need not be tried there.
_SAME_ELSEWHERE: Final = frozenset({"bad-sdp", "bad-audio", "unsupported"})


#: What a call goes to an engine for that can do it.
_CHOSEN_FOR: Final = frozenset({Capability.DETECTION})


@lru_cache(maxsize=16)
def _joint(each: tuple[frozenset[Capability], ...]) -> frozenset[Capability]:
    by_choice = _CHOSEN_FOR.intersection(frozenset[Capability]().union(*each))
    return frozenset(Capability).intersection(*each) | by_choice


class EnginePool:
    """A `MediaPlane` of several engines; made by `EnginePool(members)`, which must be reachable.

    `start` begins to watch them.
    """

    def __init__(self, members: Sequence[Member], *, clock: Clock | None = None) -> None:
        self._clock = clock or LoopClock()
        self._throttle = Throttle(FULL_AGAIN_S)
        #: the engines themselves, which may change while calls are up
        self.roster = Roster(self._clock, on_fall=self._lose_all, on_return=self._tidy)
        self._placed: dict[str, Engine] = {}
        self._listeners: dict[str, Listener] = {}
        #: of each session that is listened to: the party that may be a fax, and whether it is to
        #: be told who its parties are
        self._wishes: dict[str, tuple[str | None, bool]] = {}
        self._lost = LostCalls(self._clock, self._can_go_on, self._tell_lost)
        #: sessions that are being offered to their first engine, or their next
        self._trying: set[str] = set()
        #: since the start, by the engine that was lost: calls that lost it, and those of them that
        #: went on in another
        self.calls_lost: Counter[str] = Counter()
        self.calls_moved: Counter[str] = Counter()
        #: how often each session lost its engine
        self._moves: Counter[str] = Counter()
        for member in members:
            self.roster.add(member)

    def start(self) -> None:
        """Begin to watch the engines."""
        self.roster.start()

    # `MediaPlane`

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What each of its engines can do beside relaying; and detection if one can, as a call that
        wants it goes there."""
        return _joint(tuple([engine.plane.capabilities for engine in self.roster.in_use]))

    @property
    def ports(self) -> tuple[int, int] | None:
        """Those of all engines that tell them."""
        told = [ports for e in self.roster if (ports := e.plane.ports) is not None]
        return (sum(used for used, _ in told), sum(all_ for _, all_ in told)) if told else None

    @property
    def heard_at(self) -> float | None:
        """When any engine last said anything."""
        told = [at for e in self.roster if (at := e.plane.heard_at) is not None]
        return max(told, default=None)

    def listen(
        self,
        call_id: str,
        listener: Listener,
        *,
        fax_of: str | None = None,
        detects: bool = False,
    ) -> None:
        """See `MediaPlane.listen`."""
        self._listeners[call_id] = listener
        self._wishes[call_id] = fax_of, detects
        engine = self._placed.get(call_id)
        if engine is not None:
            self._listen(call_id, engine)

    def _listen(self, call_id: str, engine: Engine) -> None:
        said = partial(self._said, call_id, engine)
        fax_of, detects = self._wishes[call_id]
        engine.plane.listen(call_id, said, fax_of=fax_of, detects=detects)

    async def offer(
        self,
        call_id: str,
        from_tag: str,
        sdp: str,
        *,
        to_tag: str | None = None,
        media_address: str | None = None,
        received_from: Signalling | None = None,
        sender: MediaTerms = ANY_TERMS,
        reader: MediaTerms = ANY_TERMS,
    ) -> str:
        """See `MediaPlane.offer`. A call that is in no engine goes to the least loaded."""

        def ask(plane: MediaPlane) -> Coroutine[None, None, str]:
            return plane.offer(
                call_id,
                from_tag,
                sdp,
                to_tag=to_tag,
                media_address=media_address,
                received_from=received_from,
                sender=sender,
                reader=reader,
            )

        engine = self._placed.get(call_id)
        if engine is not None:
            return await engine.asked(ask(engine.plane))
        return await self._place(call_id, ask)

    async def answer(
        self,
        call_id: str,
        from_tag: str,
        to_tag: str,
        sdp: str,
        *,
        media_address: str | None = None,
        received_from: Signalling | None = None,
        sender: MediaTerms = ANY_TERMS,
        reader: MediaTerms = ANY_TERMS,
    ) -> str:
        """See `MediaPlane.answer`."""
        engine = self._engine_of(call_id)
        return await engine.asked(
            engine.plane.answer(
                call_id,
                from_tag,
                to_tag,
                sdp,
                media_address=media_address,
                received_from=received_from,
                sender=sender,
                reader=reader,
            )
        )

    async def delete(self, call_id: str) -> MediaStats:
        """See `MediaPlane.delete`."""
        self._listeners.pop(call_id, None)
        self._wishes.pop(call_id, None)
        self._lost.found(call_id)
        moves = self._moves.pop(call_id, 0)
        engine = self._engine_of(call_id)
        try:
            stats = await engine.asked(engine.plane.delete(call_id))
            return replace(stats, moves=moves) if moves else stats
        except MediaError as error:
            if error.slug == "timeout":
                engine.left_behind.add(call_id)
            raise
        finally:
            self._take_out(call_id)

    async def query(self, call_id: str) -> MediaStats:
        """See `MediaPlane.query`."""
        engine = self._engine_of(call_id)
        return await engine.asked(engine.plane.query(call_id))

    async def play(
        self, call_id: str, tag: str, sound: Playable, play_id: int, *, times: int = 1
    ) -> None:
        """See `MediaPlane.play`."""
        engine = self._engine_of(call_id)
        await engine.asked(engine.plane.play(call_id, tag, sound, play_id, times=times))

    async def stop_play(self, call_id: str, tag: str) -> None:
        """See `MediaPlane.stop_play`."""
        engine = self._engine_of(call_id)
        await engine.asked(engine.plane.stop_play(call_id, tag))

    async def press(self, call_id: str, tag: str, key: str, duration_ms: int) -> None:
        """See `MediaPlane.press`."""
        engine = self._engine_of(call_id)
        await engine.asked(engine.plane.press(call_id, tag, key, duration_ms))

    async def detect(self, call_id: str, tag: str, number: int, terms: DetectionTerms) -> None:
        """See `MediaPlane.detect`."""
        engine = self._engine_of(call_id)
        await engine.asked(engine.plane.detect(call_id, tag, number, terms))

    async def stop_detecting(self, call_id: str, tag: str, number: int) -> None:
        """See `MediaPlane.stop_detecting`."""
        engine = self._engine_of(call_id)
        await engine.asked(engine.plane.stop_detecting(call_id, tag, number))

    async def record(self, call_id: str, recording: str, left: str) -> None:
        """See `MediaPlane.record`."""
        engine = self._engine_of(call_id)
        await engine.asked(engine.plane.record(call_id, recording, left))

    async def pause_recording(self, call_id: str) -> None:
        """See `MediaPlane.pause_recording`."""
        engine = self._engine_of(call_id)
        await engine.asked(engine.plane.pause_recording(call_id))

    async def stop_recording(self, call_id: str) -> None:
        """See `MediaPlane.stop_recording`."""
        engine = self._engine_of(call_id)
        await engine.asked(engine.plane.stop_recording(call_id))

    async def withhold(self, call_id: str, tag: str, how: Withheld) -> None:
        """See `MediaPlane.withhold`."""
        engine = self._engine_of(call_id)
        await engine.asked(engine.plane.withhold(call_id, tag, how))

    async def let_pass(self, call_id: str, tag: str, how: Withheld) -> None:
        """See `MediaPlane.let_pass`."""
        engine = self._engine_of(call_id)
        await engine.asked(engine.plane.let_pass(call_id, tag, how))

    async def subscribe(self, call_id: str, tag: str) -> Subscription:
        """See `MediaPlane.subscribe`."""
        engine = self._engine_of(call_id)
        return await engine.asked(engine.plane.subscribe(call_id, tag))

    async def answer_subscription(self, call_id: str, tag: str, sdp: str) -> None:
        """See `MediaPlane.answer_subscription`."""
        engine = self._engine_of(call_id)
        await engine.asked(engine.plane.answer_subscription(call_id, tag, sdp))

    async def unsubscribe(self, call_id: str, tag: str) -> None:
        """See `MediaPlane.unsubscribe`."""
        engine = self._engine_of(call_id)
        await engine.asked(engine.plane.unsubscribe(call_id, tag))

    async def calls(self) -> tuple[str, ...]:
        """See `MediaPlane.calls`: those of every engine that answers."""
        up = [engine for engine in self.roster if engine.health is Health.UP]
        told = await asyncio.gather(*(engine.asked(engine.plane.calls()) for engine in up))
        return tuple(call for calls in told for call in calls)

    async def statistics(self) -> EngineStatistics:
        """See `MediaPlane.statistics`: the sums of those that answer, and the longest uptime."""
        up = [engine for engine in self.roster if engine.health is Health.UP]
        told = await asyncio.gather(*(engine.asked(engine.plane.statistics()) for engine in up))
        return EngineStatistics(
            sessions=sum(one.sessions for one in told),
            ended=sum(one.ended for one in told),
            packets=sum(one.packets for one in told),
            octets=sum(one.octets for one in told),
            uptime_s=max((one.uptime_s for one in told), default=0),
        )

    async def ping(self) -> None:
        """See `MediaPlane.ping`: one engine that takes calls is enough."""
        if not self.roster.some_up:
            raise MediaError("timeout", f"none of {self._names} answers")

    async def close(self) -> None:
        """Closes every engine, whatever is in it."""
        self._lost.close()
        await self.roster.close()

    # where calls are

    def _engine_of(self, call_id: str) -> Engine:
        engine = self._placed.get(call_id)
        if engine is None:
            raise MediaError("unknown-call", "its engine is gone")
        return engine

    async def _place(self, call_id: str, offer: Callable[[MediaPlane], Awaitable[str]]) -> str:
        """Offers to one engine after another until one takes the call."""
        self._trying.add(call_id)
        try:
            return await self._try_each(call_id, offer)
        finally:
            self._trying.discard(call_id)

    async def _try_each(self, call_id: str, offer: Callable[[MediaPlane], Awaitable[str]]) -> str:
        tried: list[Engine] = []
        failed: MediaError | None = None
        while True:
            _, detects = self._wishes.get(call_id, (None, False))
            engine = self.roster.choose(tried, _CHOSEN_FOR if detects else frozenset())
            if engine is None:
                # a relay that died is there again in half a second: a call had better wait
                if failed is None and await self.roster.some_back():
                    continue
                raise failed or self._none()
            self._put_in(call_id, engine)
            try:
                sdp = await engine.asked(offer(engine.plane))
            except MediaError as error:
                self._take_out(call_id)
                if error.slug in _SAME_ELSEWHERE:
                    raise
                if error.slug == "no-ports":
                    engine.is_full(self._clock.now())
                if error.slug == "timeout":  # it may have acted
                    engine.left_behind.add(call_id)
                log.warning("media.engine-refuses", engine=engine.name, error=str(error))
                if engine.health is not Health.DOWN:
                    tried.append(engine)
                    failed = error
            else:
                lost = self._lost.found(call_id)
                if lost is not None:
                    self.calls_moved[lost] += 1
                return sdp

    def _none(self) -> MediaError:
        if self.roster.some_up:
            calls = len(self._placed)
            if self._throttle.is_new("engines", "full", self._clock.now()):
                log.warning("media.engines-full", calls=calls, key="media.ports")
            text = f"every media engine is full, with {calls} calls in all"
            return MediaError("no-ports", f"{text}: widen media.ports, or add an engine")
        return MediaError("refused", f"no media engine answers: {self._names}")

    @property
    def _names(self) -> str:
        return ", ".join(engine.name for engine in self.roster)

    def _put_in(self, call_id: str, engine: Engine) -> None:
        self._placed[call_id] = engine
        engine.calls[call_id] = None
        engine.left_behind.discard(call_id)
        if call_id in self._listeners:
            self._listen(call_id, engine)

    def _take_out(self, call_id: str) -> None:
        engine = self._placed.pop(call_id, None)
        if engine is not None:
            engine.calls.pop(call_id, None)
            self.roster.close_if_idle(engine)

    # what engines say, and their ends

    def _said(self, call_id: str, engine: Engine, event: MediaEvent) -> None:
        """An engine speaks of a call; of one that is elsewhere now, nobody need hear."""
        if self._placed.get(call_id) is not engine or call_id in self._trying:
            return
        if isinstance(event, Lost):
            self._lose(call_id, engine)
            return
        listener = self._listeners.get(call_id)
        if listener is not None:
            listener(event)

    def _lose(self, call_id: str, engine: Engine) -> None:
        self._take_out(call_id)
        self._moves[call_id] += 1
        self.calls_lost[engine.name] += 1
        self._lost.add(call_id, engine.name)

    def _can_go_on(self) -> bool:
        return self.roster.choose() is not None

    def _tell_lost(self, call_id: str) -> None:
        listener = self._listeners.get(call_id)
        if listener is None:
            return
        try:
            listener(Lost(at=self._clock.now()))
        except Exception:
            # The listener's fault; the others must be told all the same.
            log.exception("media.event-failed", call_sid=call_id, media_event="Lost")

    def _lose_all(self, engine: Engine) -> None:
        """An engine is gone. What it was being asked to take goes to the next by itself."""
        engine.left_behind.update(engine.calls)
        for call_id in [one for one in engine.calls if one not in self._trying]:
            self._lose(call_id, engine)

    async def _tidy(self, engine: Engine) -> None:
        """An engine is back: what it still has of calls that went on elsewhere, or ended, goes."""
        while engine.left_behind and engine.health is Health.UP:
            call_id = engine.left_behind.pop()
            if self._placed.get(call_id) is engine:
                continue
            try:
                await engine.plane.delete(call_id)
            except MediaError as error:
                if error.slug == "unknown-call":
                    continue
                log.warning("media.engine-untidy", engine=engine.name, error=str(error))
