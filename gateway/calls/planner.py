"""What is to become of a call, and of a transfer, by one configuration: the rules of routing, of
the directory's hours and of the guard, one after another."""

from config.settings import NumberSettings, Settings
from gateway.calls.directory import Directory, TransferPlan
from gateway.calls.endings import Refusal
from gateway.calls.entries import entry_of
from gateway.calls.incoming import Incoming, Rules
from gateway.calls.no_way import NoWay
from gateway.calls.outgoing import Outgoing
from gateway.calls.plan import Elsewhere, Plan
from gateway.calls.routing import (
    Dialling,
    Direction,
    Refusing,
    Routed,
    direction_of,
    route,
)
from gateway.calls.transfer_order import TransferOrder
from gateway.calls.transfer_routing import TransferRouting, Wish
from gateway.jambonz.messages import NewCall

#: Who asked for the transfer of a call that came out of hours.
BY_SCHEDULE = "schedule"


class Planner:
    """Decides; `outgoing` judges what leaves, `incoming` what comes."""

    def __init__(self, settings: Settings, outgoing: Outgoing, incoming: Incoming) -> None:
        self._settings = settings
        self._outgoing = outgoing
        self._incoming = incoming
        self._directory = Directory(settings)
        self._transfers = TransferRouting(settings, self._directory)

    @property
    def names(self) -> tuple[str, ...]:
        """Whom an agent may ask for."""
        return tuple(self._settings.directory)

    def plan(
        self, new: NewCall, call_id: str, number: str | None = None, *, again: bool = False
    ) -> Plan:
        """What is to become of a call that begins; `number` is ours, that of a caller whom Retell
        hands on by it. `again`: a former run of this program has let it in."""
        routed = route(self._settings, new, call_id, number=number)
        if isinstance(routed, Dialling) and routed.direction is Direction.INBOUND:
            _, entry = entry_of(self._settings, new.to_number, new.trunk)
            if not again and (barred := self._barred(routed, entry)) is not None:
                return barred
            if entry is not None:
                out = self._directory.out_of_hours(entry, self._outgoing.now)
                if out is not None:
                    return self._elsewhere(routed, new, call_id, out)
        return self._outgoing.guarded(routed, call_id)

    def refusing(self, new: NewCall, refusal: Refusal) -> Refusing:
        """The plan of a call that is not to be."""
        return Refusing(
            direction=direction_of(self._settings, new),
            from_number=new.from_number,
            to_number=new.to_number,
            refusal=refusal,
        )

    def transfer(self, wish: Wish) -> TransferOrder | NoWay:
        """What is tried for a transfer that is asked for, or why nothing is."""
        order = self._transfers.order(wish, self._outgoing.now, self._outgoing.judge)
        return order if isinstance(order, NoWay) else self._outgoing.limited(order)

    def rules(self, new: NewCall) -> Rules:
        """What holds for the calls that come for that number."""
        return self._incoming.rules(entry_of(self._settings, new.to_number, new.trunk)[1])

    def _barred(self, routed: Dialling, entry: NumberSettings | None) -> Refusing | None:
        """Why a caller does not reach one of our numbers, whose entry that is."""
        rules = self._incoming.rules(entry)
        no_way = self._incoming.judge(routed.from_number, routed.to_number, rules)
        return None if no_way is None else _refusing(routed, no_way)

    def _elsewhere(
        self, routed: Routed, new: NewCall, call_id: str, out: TransferPlan | NoWay
    ) -> Plan:
        wish = Wish(
            transfer_id=call_id,
            call_id=call_id,
            by=BY_SCHEDULE,
            to=routed.to_number,
            person=routed.from_number,
            number=routed.to_number,
            trunk=new.trunk,
        )
        order: TransferOrder | NoWay
        if isinstance(out, NoWay):
            order = out
        else:
            order = self._transfers.carried(wish, out, self._outgoing.judge, refer=False)
            order = order if isinstance(order, NoWay) else self._outgoing.limited(order)
        if isinstance(order, NoWay):
            return _refusing(routed, order)
        return Elsewhere(
            direction=routed.direction,
            from_number=routed.from_number,
            to_number=routed.to_number,
            order=order,
        )


def _refusing(routed: Routed, no_way: NoWay) -> Refusing:
    return Refusing(
        direction=routed.direction,
        from_number=routed.from_number,
        to_number=routed.to_number,
        refusal=no_way.refusal,
        why=no_way.words,
    )
