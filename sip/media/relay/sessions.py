"""Calls, parties and their ports: what offers and answers do to them.

    Call ── parties by tag ── Party ── PortPair ── RtpEndpoint, RtcpEndpoint
         └─ pending: the party that was offered to and has not answered

A party's endpoints face *it*: its packets arrive there, and packets for it leave from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sip.core.sdp import Codec
from sip.media.plane import Learn, MediaError
from sip.media.relay.endpoint import Poller, RtcpEndpoint, RtpEndpoint
from sip.media.relay.latch import WINDOW_S
from sip.media.relay.ports import NoPortsError, PortPair, PortPool
from sip.media.relay.rewrite import RemoteMedia


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A party's SDP as far as the relay acts on it, and how its packets may be recognised."""

    media: RemoteMedia
    signalling_ip: str | None = None
    learn: Learn = Learn.PEER


class Party:
    """One party of a call and the port pair that faces it."""

    __slots__ = ("_description", "_staged", "pair", "rtcp", "rtp", "tag")

    def __init__(self, tag: str, pair: PortPair, poller: Poller, window_s: float) -> None:
        self.tag = tag
        self.pair = pair
        self.rtp = RtpEndpoint(pair.rtp, poller, window_s)
        self.rtcp = RtcpEndpoint(pair.rtcp, poller, window_s)
        self._description: Description | None = None
        self._staged: Description | None = None

    @property
    def described(self) -> bool:
        """Whether the party's SDP is known and in force."""
        return self._description is not None

    def stage(self, description: Description, now: float) -> None:
        """The party offers. The first description is in force at once, a later one once answered.

        RFC 3264 8.3.1: until the answer the old address is sent to, and after a refusal
        (RFC 6141) the session is what it was.
        """
        self._staged = description
        if self._description is None:
            self.commit(now)

    def commit(self, now: float) -> None:
        """The offer/answer exchange is complete: what was staged is in force.

        Done again with nothing new it reopens the learning window of a source not learned yet.
        """
        description = self._staged or self._description
        if description is None:
            return
        self._staged = None
        self._description = description
        media = description.media
        self.rtp.expect(
            media.rtp, now, signalling_ip=description.signalling_ip, learn=description.learn
        )
        self.rtcp.expect(
            media.rtcp, now, signalling_ip=description.signalling_ip, learn=description.learn
        )

    def settle(self, description: Description, now: float) -> None:
        """The party answers: in force at once."""
        self._staged = description
        self.commit(now)

    def join(self, other: Party) -> None:
        """Packets flow between these two, of the payload types that both described."""
        self.rtp.attach(other.rtp)
        self.rtcp.peer, other.rtcp.peer = other.rtcp, self.rtcp
        rates_hz = _negotiated(self._codecs(), other._codecs())
        for party in (self, other):
            party.rtp.stream.negotiate(rates_hz)

    def _codecs(self) -> list[tuple[int, Codec]]:
        """What the descriptions in force and staged have."""
        return [
            item
            for description in (self._description, self._staged)
            if description is not None
            for item in description.media.codecs.items()
        ]

    def part(self) -> None:
        """Nothing flows to or from this party any more."""
        self.rtp.attach(None)
        if self.rtcp.peer is not None and self.rtcp.peer.peer is self.rtcp:
            self.rtcp.peer.peer = None
        self.rtcp.peer = None
        self.rtp.close()
        self.rtcp.close()


def _negotiated(one: list[tuple[int, Codec]], other: list[tuple[int, Codec]]) -> dict[int, int]:
    """Clock rate by payload type of what two parties have in common.

    RFC 3264 5.1 has each side send with the numbers of the other's description, and an answer
    may number otherwise than its offer (6.1); some send with their own numbers all the same. So
    a type passes if its codec, or its number, is in both. With one side unknown yet, all of the
    other's pass.
    """
    if not one or not other:
        return {number: codec.rate for number, codec in one or other}
    numbers = {number for number, _ in one} & {number for number, _ in other}
    named = {codec for _, codec in one if codec.name} & {codec for _, codec in other}
    return {
        number: codec.rate
        for number, codec in [*one, *other]
        if number in numbers or codec in named
    }


@dataclass(slots=True)
class Call:
    """A call's parties. `pending` has no tag yet and belongs to `pending_for`."""

    call_id: str
    created: float
    parties: dict[str, Party] = field(default_factory=dict)
    peers: dict[str, str] = field(default_factory=dict)
    pending: Party | None = None
    pending_for: str = ""


class Sessions:
    """Every call of the relay. `now` is monotonic seconds throughout."""

    def __init__(self, pool: PortPool, poller: Poller, *, window_s: float = WINDOW_S) -> None:
        self._pool = pool
        self._poller = poller
        self._window_s = window_s
        self._calls: dict[str, Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def find(self, call_id: str) -> Call:
        """The call; `MediaError` unknown-call without it."""
        call = self._calls.get(call_id)
        if call is None:
            raise MediaError("unknown-call", "Unknown call-id")
        return call

    def offer(
        self,
        call_id: str,
        from_tag: str,
        to_tag: str | None,
        description: Description,
        now: float,
    ) -> Party:
        """Takes an offer and returns the party that it is for. Changes nothing if it fails."""
        call = self._calls.get(call_id) or Call(call_id, now)
        new: list[Party] = []
        try:
            sender = call.parties.get(from_tag)
            if sender is None:
                sender = self._party(from_tag, now, new)
            receiver = self._receiver(call, from_tag, to_tag)
            if receiver is None:
                receiver = self._party(to_tag or "", now, new)
        except NoPortsError as error:
            for party in new:
                self._end(party, now)
            raise MediaError("no-ports", str(error)) from error
        self._calls[call_id] = call
        call.parties[from_tag] = sender
        self._place(call, sender, receiver, to_tag, now)
        sender.stage(description, now)
        sender.join(receiver)
        return receiver

    def answer(
        self, call_id: str, from_tag: str, to_tag: str, description: Description, now: float
    ) -> Party:
        """Takes `to_tag`'s answer and returns the party that had offered."""
        call = self.find(call_id)
        sender = call.parties.get(from_tag)
        if sender is None:
            raise MediaError("unknown-call", f"no offer from tag {from_tag!r} in this call")
        receiver = call.parties.get(to_tag)
        if receiver is None or call.peers.get(from_tag) != to_tag:
            receiver = self._adopt(call, sender, to_tag, now)
        receiver.settle(description, now)
        sender.commit(now)
        sender.join(receiver)
        return sender

    def delete(self, call_id: str, now: float) -> Call:
        """Ends the call and frees its ports; the returned call is for its counters."""
        call = self.find(call_id)
        del self._calls[call_id]
        for party in call.parties.values():
            self._end(party, now)
        if call.pending is not None:
            self._end(call.pending, now)
        return call

    def close(self, now: float) -> None:
        """Ends every call."""
        for call_id in list(self._calls):
            self.delete(call_id, now)

    def _receiver(self, call: Call, from_tag: str, to_tag: str | None) -> Party | None:
        """The party that an offer is for, if it exists."""
        pending = call.pending if call.pending_for == from_tag else None
        if to_tag is None:
            return pending
        return call.parties.get(to_tag) or pending

    def _place(
        self, call: Call, sender: Party, receiver: Party, to_tag: str | None, now: float
    ) -> None:
        """Writes the offer's receiver into the call; an earlier one of this sender is dropped."""
        earlier = call.peers.get(sender.tag)
        if to_tag is None:
            if earlier is not None:
                self._drop(call, earlier, now)
            if call.pending is not None and call.pending is not receiver:
                self._end(call.pending, now)
            call.pending, call.pending_for = receiver, sender.tag
            return
        if receiver is call.pending:
            call.pending = None
        receiver.tag = to_tag
        if earlier is not None and earlier != to_tag:
            self._drop(call, earlier, now)
        call.parties[to_tag] = receiver
        call.peers[sender.tag] = to_tag
        call.peers[to_tag] = sender.tag

    def _adopt(self, call: Call, sender: Party, to_tag: str, now: float) -> Party:
        """The party that answers under a tag not seen before.

        It is the pending one; or, where a forked INVITE answers under another tag than before
        (RFC 3261 13.2.2.4), the party that was offered the same ports.
        """
        receiver = call.pending if call.pending_for == sender.tag else None
        if receiver is None:
            earlier = call.peers.get(sender.tag)
            receiver = call.parties.pop(earlier, None) if earlier is not None else None
            if earlier is not None:
                call.peers.pop(earlier, None)
        else:
            call.pending = None
        if receiver is None:
            raise MediaError("unknown-call", f"nothing was offered to tag {to_tag!r}")
        stale = call.parties.get(to_tag)
        if stale is not None and stale is not sender:
            self._drop(call, to_tag, now)
        receiver.tag = to_tag
        call.parties[to_tag] = receiver
        call.peers[sender.tag] = to_tag
        call.peers[to_tag] = sender.tag
        return receiver

    def _drop(self, call: Call, tag: str, now: float) -> None:
        party = call.parties.pop(tag, None)
        peer = call.peers.pop(tag, None)
        if peer is not None and call.peers.get(peer) == tag:
            del call.peers[peer]
        if party is not None:
            self._end(party, now)

    def _party(self, tag: str, now: float, new: list[Party]) -> Party:
        pair = self._pool.lease(now)
        party = Party(tag, pair, self._poller, self._window_s)
        new.append(party)
        return party

    def _end(self, party: Party, now: float) -> None:
        party.part()
        self._pool.release(party.pair, now)
