"""Keeps the offers and answers of two legs in one room in step (RFC 3264, RFC 3261 14)."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Final, TypeAlias

from sip.b2bua.asking import ask_anew
from sip.b2bua.call_events import Described, Offer
from sip.b2bua.hub import Hub
from sip.b2bua.legs.leg import Leg
from sip.b2bua.rooms import Seat
from sip.core.sdp_edits import off_hold, on_hold, same_session
from sip.errors import ParseError
from sip.media.plane import MediaError
from sip.media.session import A_TAG

#: The key in a line of SDP.
_KEY: Final = re.compile(r"\binline:([^|\s]+)")

#: The leg that refused an offer of ours, and its status.
Refusal: TypeAlias = tuple[Leg | None, int]
WELL: Final[Refusal] = None, 0


class Bridge:
    """The host of a room and its guest, while the guest rings or both talk.

    While they talk, re-INVITEs and UPDATEs cross; mere session refreshes do not. While the guest
    rings, each side's offers are answered here, with what the other side said last.
    """

    def __init__(self, call: Hub, host: Leg, guest: Leg, seat: Seat) -> None:
        """`seat` is the guest's, in the host's room."""
        self.host = host
        self.guest = guest
        self.seat = seat
        self.talking = False
        #: what the host is to be told, where the media was made anew for a guest that waits
        self.renewed: str | None = None
        self._call = call
        self._media = seat.room.media
        self._tags = {host: A_TAG, guest: seat.tag}
        self._tasks: set[asyncio.Task[None]] = set()
        self._rebuilding: asyncio.Task[None] | None = None

    @property
    def lost(self) -> bool:
        """Whether the media engine knows nothing of the room any more."""
        return self._media.lost

    async def answer(self, sdp: str) -> str:
        """What the guest answered (early or finally), ready for the host."""
        return await self._media.answer_to_a(
            self.seat.tag, sdp, sender=self.guest.media_side, reader=self.host.media_side
        )

    def negotiate(self, leg: Leg, event: Offer | Described) -> None:
        """A re-INVITE or UPDATE came from `leg`, or an offer of ours to it was answered."""
        if isinstance(event, Described):
            self._spawn(self._move(leg, event.sdp))
        elif self.talking:
            self._spawn(self._cross(leg, event.sdp))
        else:
            self._spawn(self._answer_apart(leg, event.sdp))

    def tell_host(self, sdp: str) -> None:
        """The host was answered before this guest came and must hear of its media."""
        self._spawn(self._tell_host(sdp))

    def set_right(self, leg: Leg) -> None:
        """`leg` has taken what held elsewhere, and that nobody waits for any more."""
        if self._rebuilding is None or self._rebuilding.done():  # else it is told anyhow
            self._spawn(self.bring_back(leg))

    def move_host(self, sdp: str, moved: Callable[[bool], None]) -> None:
        """The host sits in another room and must come here; `moved` hears whether it did."""

        async def work() -> None:
            try:
                done = await self._update_host(sdp)
            except MediaError:
                done = False
            moved(done)

        self._spawn(work())

    async def bring_host(self) -> bool:
        """Have the host, which sits in another room, change to this one by a re-INVITE.

        False where it refuses: then it stays where it was (RFC 3261 14.1). Raises MediaError.
        """
        return await self._update_host(await self.answer(self.guest.remote_sdp or ""))

    async def bring_back(self, leg: Leg) -> None:
        """`leg`, one of the two, was told of another room and is to stay here after all."""
        other = self._other(leg)
        with suppress(MediaError, ParseError):
            sdp = await self._reoffer(other, other.remote_sdp or "")
            answer, _ = await ask_anew(self._call, leg, sdp)
            if answer is not None:
                await self._move(leg, answer)

    def rebuild(self, moved: Callable[[Leg | None, int], None], *, host: bool = True) -> None:
        """The media engine lost this room: make its media anew and tell both legs by re-INVITE,
        or the guest alone.

        `moved` hears what came of it: the leg that refused and its status; None and 0 if all is
        well, None and 503 if there is no media to be had.
        """

        async def work() -> None:
            try:
                outcome = await (self._rebuild() if host else self._rebuild_for_guest())
            except MediaError:
                outcome = None, 503
            moved(*outcome)

        if self._rebuilding is not None:  # its engine is gone in turn
            self._rebuilding.cancel()
        self._rebuilding = self._spawn(work())

    async def renew(self) -> str:
        """As `rebuild`, for a guest that has just answered: what its host is to be told.

        Raises MediaError where the guest refuses.
        """
        answer, status = await ask_anew(self._call, self.guest, await self._offer_guest())
        if answer is None:
            text = f"the callee refuses its new media with {status}, the engine being gone"
            raise MediaError("refused", text)
        return await self.answer(answer)

    @property
    def busy(self) -> bool:
        """Whether an offer is on its way from one to the other."""
        return bool(self._tasks)

    async def succeed(self, before: Leg, leg: Leg) -> tuple[str | None, int]:
        """`leg` takes the place of `before`: what it is to be answered.

        None, and the status that refuses it, where the other side does not go along: then all is
        as it was. Whoever is not answered after all gives the place back.
        """
        other = self._other(before)
        self._change_leg(before, leg)
        if leg.remote_sdp is None:  # it waits for our offer: what held for the one before
            return self._fresh_offer(before, other), 200
        try:
            sdp = await self._reoffer(leg, leg.remote_sdp)
            answer, status = other.remote_sdp, 200
            if not same_session(sdp, other.local_sdp):
                answer, status = await self._call.ask(other, sdp)
            if answer is not None:
                return await self._reanswer(leg, answer), 200
        except (MediaError, ParseError) as error:
            status = _refusal(error)
        self._change_leg(leg, before)
        with suppress(MediaError, ParseError):
            await self._restore(before)
        return None, status

    async def give_back(self, leg: Leg, before: Leg) -> None:
        """`leg` got the place of `before`, and does not take it."""
        self._change_leg(leg, before)
        with suppress(MediaError, ParseError):
            await self._take_back(before)

    def _change_leg(self, before: Leg, leg: Leg) -> None:
        if self.host is before:
            self.host = leg
        else:
            self.guest = leg
        self._tags[leg] = self._tags.pop(before)

    def close(self) -> None:
        """Stop negotiating; an open re-INVITE is refused, as its other side is gone."""
        for task in self._tasks:
            task.cancel()
        self._rebuilding = None  # a task that was cancelled keeps its frames, and they keep us
        self.guest.refuse(487)
        seat = self._call.rooms.seat(self.host)
        if seat is not None and seat.room is self.seat.room:  # else it negotiates elsewhere
            self.host.refuse(487)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _other(self, leg: Leg) -> Leg:
        return self.guest if leg is self.host else self.host

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
                answer, status = await self._call.ask(other, sdp)
            if answer is None and status in _UNWILLING and other.remote_sdp is not None:
                # a side without hold goes on as it was, and the other falls silent
                answer = other.remote_sdp if _changes_hold(offerer, offer) else None
            if answer is None:
                await self._restore(offerer)
                offerer.refuse(status)
            elif not offerer.accept(await self._reanswer(offerer, answer)):
                await self._take_back(offerer)
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

    async def _restore(self, offerer: Leg) -> None:
        """RFC 3261 14.1: a refused offer leaves the session as it was."""
        if offerer.remote_sdp is not None:
            await self._reoffer(offerer, offerer.remote_sdp)
            await self._reanswer(offerer, self._other(offerer).remote_sdp or "")

    async def _take_back(self, offerer: Leg) -> None:
        """The other side took an offer that was refused or withdrawn meanwhile: undo it there."""
        other, stands = self._other(offerer), offerer.remote_sdp
        if stands is None:
            return
        sdp = await self._reoffer(offerer, stands)
        answer = other.remote_sdp
        if not same_session(sdp, other.local_sdp):
            told, _ = await self._call.ask(other, sdp)
            answer = told or answer
        await self._reanswer(offerer, answer or "")

    async def _rebuild(self) -> Refusal:
        """Both descriptions are known: the engine has its media before either leg hears of it,
        and both are told at the same time. What they answer may differ from what they said."""
        told = {self.guest: await self._offer_guest()}
        try:
            told[self.host] = await self.answer(self.guest.remote_sdp or "")
        except MediaError as error:
            if error.slug != "bad-sdp":
                raise
            return await self._rebuild_in_turn(told[self.guest])
        known = {leg: leg.remote_sdp for leg in told}
        answers = await asyncio.gather(
            *(ask_anew(self._call, leg, sdp) for leg, sdp in told.items())
        )
        for leg, (answer, status) in zip(told, answers, strict=True):
            if answer is None:
                return leg, status
            if answer != known[leg]:
                await self._move(leg, answer)
        return WELL

    async def _rebuild_in_turn(self, to_guest: str) -> Refusal:
        """What the guest said last does not fit the new engine's offer: it is asked first."""
        answer, status = await ask_anew(self._call, self.guest, to_guest)
        if answer is None:
            return self.guest, status
        answer, status = await ask_anew(self._call, self.host, await self.answer(answer))
        if answer is None:
            return self.host, status
        await self._move(self.host, answer)
        return WELL

    async def _rebuild_for_guest(self) -> Refusal:
        answer, status = await ask_anew(self._call, self.guest, await self._offer_guest())
        if answer is None:
            return self.guest, status
        self.renewed = await self.answer(answer)
        if self.talking:  # the host has come meanwhile, and knows the ports of the lost engine
            await self._tell_host(self.renewed)
        return WELL

    async def _offer_guest(self) -> str:
        """The host's description to a new engine, ready for the guest."""
        _, offer = await self._media.offer_to_b(
            self.host.remote_sdp, sender=self.host.media_side, reader=self.guest.media_side
        )
        return offer

    async def _tell_host(self, sdp: str) -> None:
        await self._update_host(sdp)

    async def _update_host(self, sdp: str) -> bool:
        answer, _ = await ask_anew(self._call, self.host, sdp)
        if answer is None:
            return False
        await self._move(self.host, answer)
        return True

    async def _move(self, leg: Leg, sdp: str) -> None:
        """`leg` answered an offer of ours: its media may be elsewhere now, or off hold."""
        other = self._other(leg)
        try:
            described = await self._reoffer(leg, sdp)
            answer = other.remote_sdp
            if self.talking and other.local_sdp and _must_hear(described, other.local_sdp):
                told, _ = await self._call.ask(other, described)
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
            sender=offerer.media_side,
            reader=other.media_side,
        )

    async def _reanswer(self, offerer: Leg, sdp: str) -> str:
        other = self._other(offerer)
        return await self._media.reanswer(
            self._tags[offerer],
            self._tags[other],
            sdp,
            sender=other.media_side,
            reader=offerer.media_side,
        )


async def bring_to_host(call: Hub, host: Leg, guest: Leg) -> tuple[Bridge, str] | None:
    """Have a guest that sits elsewhere change to its host's room by a re-INVITE.

    What joins them there, and the host's description, which may be the one that it has. None where
    the host is no host where it sits, or the guest refuses. Raises MediaError.
    """
    seat = call.rooms.seat(host)
    if seat is None or seat.tag != A_TAG:
        return None
    tag, offer = await seat.room.media.offer_to_b(
        host.remote_sdp, sender=host.media_side, reader=guest.media_side
    )
    answer, _ = await ask_anew(call, guest, offer)
    if answer is None:
        return None
    bridge = Bridge(call, host, guest, Seat(seat.room, tag))
    call.rooms.sit(guest, bridge.seat)
    return bridge, await bridge.answer(answer)


#: How a side says that it does not like an offer (RFC 3261 14.2): the session goes on.
_UNWILLING = frozenset({400, 403, 404, 405, 406, 415, 480, 488, 500, 501, 503, 603, 606})


def _refusal(error: MediaError | ParseError) -> int:
    """488 where the description is at fault, 503 where no port is left, else 500."""
    if isinstance(error, ParseError) or error.slug == "bad-sdp":
        return 488
    return 503 if error.slug == "no-ports" else 500


def _must_hear(described: str, told: str) -> bool:
    """Whether a leg that was `told` something must hear of what is `described` to it now: it is
    put on hold or taken off, or will be sent audio with another key (RFC 4568)."""
    keys = frozenset(_KEY.findall(told))
    return on_hold(described) != on_hold(told) or not keys <= set(_KEY.findall(described))


def _changes_hold(leg: Leg, offer: str) -> bool:
    """Whether `offer` puts the other side on hold, or takes it off hold."""
    return on_hold(offer) or (leg.remote_sdp is not None and on_hold(leg.remote_sdp))
