"""Keeps the offers and answers of two joined legs in step (RFC 3264, RFC 3261 14)."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Protocol

from sip.b2bua.call_events import Answer, Offer, OfferEnded
from sip.b2bua.leg import Leg
from sip.core.sdp_edits import off_hold, on_hold, same_session
from sip.errors import ParseError
from sip.media.plane import MediaError
from sip.media.session import A_TAG, MediaSession


class _BSide(Protocol):
    @property
    def media_address(self) -> str: ...


class Bridge:
    """An A-leg and a B-leg that ring or talk.

    While they talk, re-INVITEs and UPDATEs cross; mere session refreshes do not. While the B-leg
    rings, each side's offers are answered here, with what the other side said last.
    """

    def __init__(
        self, a: Leg, b: Leg, b_tag: str, media: MediaSession, a_address: str, b_side: _BSide
    ) -> None:
        self.a = a
        self.b = b
        self._media = media
        self._tags = {a: A_TAG, b: b_tag}
        self._addresses = {a: a_address, b: b_side.media_address}
        self._waiting: dict[Leg, asyncio.Future[OfferEnded]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.talking = False

    def negotiate(self, leg: Leg, event: Offer | OfferEnded | Answer) -> None:
        """A re-INVITE or UPDATE came from `leg`, or an offer of ours to it was answered."""
        if isinstance(event, Offer) and not self.talking:
            self._spawn(self._answer_apart(leg, event.sdp))
        elif isinstance(event, Offer):
            self._spawn(self._cross(leg, event.sdp))
        elif isinstance(event, Answer):
            self._spawn(self._move(leg, event.sdp))
        elif (waiting := self._waiting.pop(leg, None)) is not None and not waiting.done():
            waiting.set_result(event)

    def tell_a(self, sdp: str) -> None:
        """The A-leg was answered before this B-leg came and must hear of its media."""
        self._spawn(self._update_a(sdp))

    def rebuild(self, on_failure: Callable[[], None]) -> None:
        """The media engine lost this call: make its media anew and tell both legs by re-INVITE.

        `on_failure` is called where that cannot be done, and the call is deaf.
        """

        async def work() -> None:
            try:
                done = await self._rebuild()
            except MediaError:
                done = False
            if not done:
                on_failure()

        self._spawn(work())

    async def close(self) -> None:
        """Stop negotiating; an open re-INVITE is refused, as its other side is gone."""
        if self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        for leg in (self.a, self.b):
            leg.refuse(487)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _other(self, leg: Leg) -> Leg:
        return self.b if leg is self.a else self.a

    async def _cross(self, offerer: Leg, offer: str | None) -> None:
        """Carry an offer to the other leg and its answer back."""
        other = self._other(offerer)
        try:
            if offer is None:  # RFC 3261 14.2: asked for an offer
                offerer.accept(self._fresh_offer(offerer, other))
                return
            sdp = await self._reoffer(offerer, offer)
            if same_session(sdp, other.local_sdp):
                answer: str | None = other.remote_sdp
                status = 200
            else:
                answer, status = await self._ask(other, sdp)
            if answer is None and status in _UNWILLING and other.remote_sdp is not None:
                # a side that knows no hold goes on as it was; the other is heard no more
                answer = other.remote_sdp if _changes_hold(offerer, offer) else None
            if answer is None:
                await self._restore(offerer)
                offerer.refuse(status)
            else:
                offerer.accept(await self._reanswer(offerer, answer))
        except (MediaError, ParseError) as error:
            offerer.refuse(_refusal(error))

    @staticmethod
    def _fresh_offer(asking: Leg, other: Leg) -> str:
        """What holds, and off hold unless the other side wants it so (RFC 6337 5.3)."""
        sdp = asking.local_sdp or ""
        held = other.remote_sdp is not None and on_hold(other.remote_sdp)
        return sdp if held or not sdp else off_hold(sdp)

    async def _answer_apart(self, offerer: Leg, offer: str | None) -> None:
        """Answer an offer without the other leg, which cannot be asked yet."""
        other = self._other(offerer).remote_sdp
        if offer is None or other is None:
            offerer.refuse(488)
            return
        try:
            await self._reoffer(offerer, offer)
            offerer.accept(await self._reanswer(offerer, other))
        except (MediaError, ParseError) as error:
            offerer.refuse(_refusal(error))

    async def _ask(self, leg: Leg, sdp: str) -> tuple[str | None, int]:
        """Offer `sdp` to `leg`; its answer, or None and the status to refuse with."""
        if not leg.reoffer(sdp):
            return None, 491
        waiting = self._waiting[leg] = asyncio.get_running_loop().create_future()
        outcome = await waiting
        return outcome.sdp, outcome.status if outcome.status >= 300 else 488

    async def _restore(self, offerer: Leg) -> None:
        """RFC 3261 14.1: a refused offer leaves the session as it was."""
        if offerer.remote_sdp is not None:
            await self._reoffer(offerer, offerer.remote_sdp)
            await self._reanswer(offerer, self._other(offerer).remote_sdp or "")

    async def _rebuild(self) -> bool:
        _, offer = await self._media.offer_to_b(
            self.a.remote_sdp, address=self._addresses[self.b], source=_source(self.a)
        )
        answer, _ = await self._ask(self.b, offer)
        if answer is None:
            return False
        a_sdp = await self._media.answer_to_a(
            self._tags[self.b], answer, address=self._addresses[self.a], source=_source(self.b)
        )
        answer, _ = await self._ask(self.a, a_sdp)
        return answer is not None

    async def _update_a(self, sdp: str) -> None:
        answer, _ = await self._ask(self.a, sdp)
        if answer is not None:
            await self._move(self.a, answer)

    async def _move(self, leg: Leg, sdp: str) -> None:
        """`leg` answered an offer of ours: its media may be elsewhere now, or off hold."""
        other = self._other(leg)
        try:
            described = await self._reoffer(leg, sdp)
            answer = other.remote_sdp
            if self.talking and other.local_sdp and on_hold(described) != on_hold(other.local_sdp):
                told, _ = await self._ask(other, described)
                answer = told or answer
            await self._reanswer(leg, answer or "")
        except (MediaError, ParseError):
            return  # the old description of its side still holds

    async def _reoffer(self, offerer: Leg, sdp: str) -> str:
        other = self._other(offerer)
        return await self._media.reoffer(
            self._tags[offerer],
            self._tags[other],
            sdp,
            address=self._addresses[other],
            source=_source(offerer),
        )

    async def _reanswer(self, offerer: Leg, sdp: str) -> str:
        other = self._other(offerer)
        return await self._media.reanswer(
            self._tags[offerer],
            self._tags[other],
            sdp,
            address=self._addresses[offerer],
            source=_source(other),
        )


#: How a side says that it does not like an offer (RFC 3261 14.2): the session goes on.
_UNWILLING = frozenset({400, 403, 404, 405, 406, 415, 480, 488, 500, 501, 503, 603, 606})


def _refusal(error: MediaError | ParseError) -> int:
    """488 where the description is at fault, else 500."""
    return 500 if isinstance(error, MediaError) and error.slug != "bad-sdp" else 488


def _changes_hold(leg: Leg, offer: str) -> bool:
    """Whether `offer` puts the other side on hold, or takes it off hold."""
    return on_hold(offer) or (leg.remote_sdp is not None and on_hold(leg.remote_sdp))


def _source(leg: Leg) -> str:
    return leg.flow.remote.host
