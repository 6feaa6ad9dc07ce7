"""Where a transfer goes: a pure decision from the configuration, the call, and who is asked for.

Whom a name means, and at which hours, is `directory.py`'s; whether a number may be called,
`guard.py`'s; whether the caller's own side is asked by REFER, `transfer_ways.py`'s.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime

from config.settings import Settings
from config.trunk_settings import PeerSettings
from gateway.calls import transfer_ways
from gateway.calls.carriers import carriers_for, pick_of
from gateway.calls.directory import Directory, Place, Step, TransferPlan
from gateway.calls.endings import CLOSED, Role
from gateway.calls.guard import Chooser
from gateway.calls.no_way import NoWay
from gateway.calls.numbers import e164
from gateway.calls.overrides import Override, override_of
from gateway.calls.routing import (
    CORRELATION_HEADER,
    Attempt,
    limited,
    with_trunk_headers,
    x_headers,
)
from gateway.calls.targets import asked_for, is_extension
from gateway.calls.transfer_order import (
    PEER_BYE_S,
    Callee,
    Policy,
    ReferTry,
    RingTry,
    SayTry,
    TransferOrder,
    Try,
)
from gateway.jambonz.verbs import PhoneTarget, SipTarget, Target
from gateway.value import frozen

#: Why a place may not be called on a trunk, while those places ring on theirs; None if it may.
Judge = Callable[[str, str, Chooser, Sequence[tuple[str, str]]], NoWay | None]


@frozen(kw_only=True)
class Wish:
    """A transfer that is asked for, of a call as it stands.

    `to` is whom it asks for, as it was written; `by` who asks. `person` is the number of who is to
    be handed on, and `trunk` where they are; `number` is ours. `headers` are those of the REFER;
    `referrer` is the trunk of who sent it, None where it was no REFER.
    """

    transfer_id: str
    call_id: str
    by: str
    to: str
    person: str
    number: str
    trunk: str
    referrer: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def order(self, tries: tuple[Try, ...] = (), policy: Policy = "bridge") -> TransferOrder:
        """What is to be tried for it; nothing where it is refused."""
        return TransferOrder(
            transfer_id=self.transfer_id,
            by=self.by,
            policy=policy,
            target=asked_for(self.to).user[:128],
            tries=tries,
        )


class TransferRouting:
    """The rules of one configuration."""

    def __init__(self, settings: Settings, directory: Directory) -> None:
        self._settings = settings
        self._directory = directory
        self._peers = {peer.name: peer for peer in settings.every_trunk()}

    def order(self, wish: Wish, now: datetime, judge: Judge) -> TransferOrder | NoWay:
        """What is tried for a wish, one after another, or why nothing is; `now` has a time zone."""
        override = self._override(wish)
        if isinstance(override, NoWay):
            return override
        planned = self._planned(wish, override, now)
        return planned if isinstance(planned, NoWay) else self.carried(wish, planned, judge)

    def carried(
        self, wish: Wish, planned: TransferPlan, judge: Judge, *, refer: bool = True
    ) -> TransferOrder | NoWay:
        """How a plan is carried out; without `refer`, from here alone."""
        allowed = list(self._allowed(planned.steps, judge))
        steps = [step for step in allowed if isinstance(step, Step)]
        if not steps:
            return next(step for step in allowed if isinstance(step, NoWay))
        peer = self._peers.get(wish.trunk) if refer else None
        policy = "bridge" if peer is None else peer.transfer.policy
        return wish.order(tuple(self._tries(wish, peer, steps)), policy)

    # -- who ----------------------------------------------------------------------------------

    def _override(self, wish: Wish) -> Override | NoWay:
        """What the headers of Retell's REFER say; nobody else's are read."""
        who = wish.referrer or ""
        if self._settings.retell.workspace_by(who, who) is None:
            return Override()
        return override_of(self._settings, wish.headers)

    def _planned(self, wish: Wish, override: Override, now: datetime) -> TransferPlan | NoWay:
        if override.number is not None:
            return self._to_number(wish, override.number, override.carrier)
        own = self._own_extension(wish)
        if own is not None and "replaces=" in wish.to.lower():
            return own  # the PBX itself has the other call (RFC 3891)
        planned = self._directory.plan(wish.to, now, wish.number, pick_of(wish.call_id))
        if isinstance(planned, NoWay):
            return own or planned
        if override.carrier is None:
            return planned
        return TransferPlan(tuple(self._by(step, override.carrier) for step in planned.steps))

    def _to_number(self, wish: Wish, number: str, carrier: str | None) -> TransferPlan | NoWay:
        """A number that X-Override-Number names, and its list allows."""
        trunks: tuple[str, ...] | NoWay = (carrier,) if carrier is not None else ()
        if not trunks:
            pick = pick_of(wish.call_id)
            trunks = carriers_for(self._settings, number, wish.number, pick=pick)
        if isinstance(trunks, NoWay):
            return trunks
        return self._single(Place(trunks=trunks, to=number))

    def _own_extension(self, wish: Wish) -> TransferPlan | None:
        """A phone of a PBX hands a call on to another of the same PBX: that needs no entry."""
        peer = self._peers.get(wish.referrer or "")
        asked = asked_for(wish.to)
        if peer is None or peer.kind != "pbx" or not is_extension(asked.user):
            return None
        if not self._directory.is_here(asked):
            return None
        return self._single(Place(trunks=(peer.name,), to=asked.user))

    def _single(self, place: Place) -> TransferPlan:
        transfer = self._settings.transfer
        return TransferPlan(
            (
                Step(
                    entry=None,
                    places=(place,),
                    ring_s=transfer.ring_s,
                    announcement=transfer.announcement,
                    ringing=transfer.ringing,
                    after=transfer.after,
                    named=True,
                ),
            )
        )

    def _by(self, step: Step, carrier: str) -> Step:
        """The step with that carrier for its telephone numbers."""
        country = self._settings.outbound.default_country
        places = (
            replace(place, trunks=(carrier,)) if e164(place.to, country) else place
            for place in step.places
        )
        return replace(step, places=tuple(places))

    def _allowed(self, steps: tuple[Step, ...], judge: Judge) -> Iterator[Step | NoWay]:
        """The steps with the places that may be called; of a step without any, why."""
        for step in steps:
            chooser = Chooser.AGENT if step.named else Chooser.OPERATOR
            places: list[Place] = []
            barred: list[NoWay] = []
            for place in step.places:
                ringing = [(other.to, other.trunks[0]) for other in places]
                judged = {trunk: judge(place.to, trunk, chooser, ringing) for trunk in place.trunks}
                trunks = tuple(trunk for trunk, no_way in judged.items() if no_way is None)
                barred += [no_way for no_way in judged.values() if no_way is not None]
                if trunks:
                    places.append(replace(place, trunks=trunks))
            if places or not step.places:
                yield replace(step, places=tuple(places))
            yield from barred

    # -- how ----------------------------------------------------------------------------------

    def _tries(self, wish: Wish, peer: PeerSettings | None, steps: list[Step]) -> Iterator[Try]:
        """REFER is for a caller who still talks to the agent: none follows a call from here."""
        bridged = False
        for step in steps:
            if not step.places:
                if step.announcement is not None:
                    yield _said(wish, step)
                continue
            ways = ("bridge",) if peer is None else transfer_ways.means(self._settings, peer, step)
            if peer is not None and "refer" in ways and not bridged:
                yield self._refer(wish, peer, step.places[0])
            if "bridge" in ways or bridged:
                bridged = True
                yield from self._rings(wish, step)

    def _refer(self, wish: Wish, peer: PeerSettings, place: Place) -> ReferTry:
        """Our softswitch knows by itself what else the peer wants; a real jambonz does not."""
        refer = transfer_ways.refer(self._settings, peer, place)
        asked = ReferTry(target=place.to, refer_to=refer.refer_to, referred_by=wish.number or None)
        if self._settings.sip.listen:
            return asked
        return replace(
            asked,
            headers=refer.headers,
            hang_up_after_s=0.0 if peer.transfer.bye == "us" else PEER_BYE_S,
        )

    def _rings(self, wish: Wish, step: Step) -> Iterator[RingTry]:
        """All places at once; again by each place's next trunk, where that could not carry it."""
        for turn in range(max(len(place.trunks) for place in step.places)):
            places = [place for place in step.places if turn < len(place.trunks)]
            yield RingTry(
                callees=tuple(self._callee(wish, step, place, turn) for place in places),
                ring_s=step.ring_s,
                announcement=step.announcement if turn == 0 else None,
                music=step.ringing,
                after=step.after,
                failover=turn > 0,
            )

    def _callee(self, wish: Wish, step: Step, place: Place, turn: int) -> Callee:
        name = place.trunks[turn]
        peer = self._peers[name]
        shown = transfer_ways.shown(peer, wish.person, wish.number)
        headers: dict[str, str] = {}
        if peer.kind == "pbx":
            headers[CORRELATION_HEADER] = wish.call_id
            headers |= x_headers(wish.headers)
        diversion = transfer_ways.diversion(peer, shown)
        if diversion is not None:
            headers["Diversion"] = diversion
        return Callee(
            attempt=Attempt(
                role=Role.TRANSFER,
                trunk=name,
                target=_target(place.to, name),
                caller_id=shown.number,
                timeout_s=step.ring_s,
                headers=with_trunk_headers(self._settings, name, limited(headers)),
            ),
            whisper=place.whisper,
            confirm=place.confirm,
        )


def _said(wish: Wish, step: Step) -> SayTry:
    assert step.announcement is not None
    return SayTry(
        file=step.announcement,
        target=step.entry or asked_for(wish.to).user,
        code=CLOSED.status,
        reason=CLOSED.reason,
    )


def _target(to: str, trunk: str) -> Target:
    return SipTarget(to) if to.startswith(("sip:", "sips:")) else PhoneTarget(to, trunk)
