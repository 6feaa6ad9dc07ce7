"""Calls, parties and their ports: what offers and answers do to them.

    Call ── parties by tag ── Party ── PortPair ── RtpEndpoint, RtcpEndpoint
         └─ pending: the party that was offered to and has not answered

A party's endpoints face *it*: its packets arrive there, and packets for it leave from there.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from sip.media.plane import MediaError
from sip.media.relay.dtmf import Press
from sip.media.relay.endpoint import Poller
from sip.media.relay.key_sender import Keystroke
from sip.media.relay.listening import Listening, Wish
from sip.media.relay.notices import Notices
from sip.media.relay.party import Description, Party
from sip.media.relay.player import Player
from sip.media.relay.ports import NoPortsError, PortPool
from sip.media.relay.timers import Timers
from sip.media.relay.wav import Clip
from sip.media.silence import Look


@dataclass(slots=True)
class Call:
    """A call's parties. `pending` has no tag yet and belongs to `pending_for`."""

    call_id: str
    parties: dict[str, Party] = field(default_factory=dict)
    peers: dict[str, str] = field(default_factory=dict)
    pending: Party | None = None
    pending_for: str = ""
    listening: Listening | None = None

    def looks(self) -> dict[str, Look]:
        """What is known of each party's sound."""
        looks: dict[str, Look] = {}
        for tag, party in self.parties.items():
            peer = self.parties.get(self.peers.get(tag, ""))
            may_send = peer is not None and party.may_send_to(peer)
            looks[tag] = Look(may_send, party.rtp.stream.heard_at)
        return looks


def _teller(call: Call, party: Party) -> Callable[[Press, float], None]:
    def tell(press: Press, now: float) -> None:
        if call.listening is not None:
            call.listening.key(party.tag, press, now)

    return tell


def _party_of(call: Call, tag: str) -> Party:
    party = call.parties.get(tag)
    if party is None:
        raise MediaError("unknown-call", f"no party {tag!r} in this call")
    return party


class Sessions:
    """Every call of the relay. `now` is monotonic seconds throughout."""

    def __init__(
        self,
        pool: PortPool,
        poller: Poller,
        *,
        timers: Timers,
        notices: Notices,
        rng: random.Random,
    ) -> None:
        self._timers = timers
        self._notices = notices
        self._rng = rng
        self._pool = pool
        self._poller = poller
        self._calls: dict[str, Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def ports(self) -> tuple[int, int]:
        """Ports that calls use now, and all that there are."""
        return 2 * self._pool.leased, 2 * self._pool.size

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
        wish: Wish | None = None,
    ) -> Party:
        """Takes an offer and returns the party that it is for. Changes nothing if it fails.

        `wish` is what its client wants to hear of the call from now on.
        """
        call = self._calls.get(call_id) or Call(call_id)
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
        if wish is not None:
            self._listen(call, wish, now)
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
        if call.listening is not None:
            call.listening.close()
            call.listening = None
        for party in call.parties.values():
            self._end(party, now)
        if call.pending is not None:
            self._end(call.pending, now)
        return call

    def play(self, call_id: str, tag: str, clip: Clip, play_id: int, now: float) -> None:
        """Begins to play to a party; what is played to it already gives way."""
        call = self.find(call_id)
        party = _party_of(call, tag)
        if party.voice() is None:
            raise MediaError("unsupported", "the party takes neither PCMU nor PCMA")

        def over(finished: bool, now: float) -> None:
            if call.listening is not None:
                call.listening.played(party.tag, play_id, finished, now)

        player = Player(clip, party.rtp.outlet, party.voice, self._timers, over)
        party.play(player, now)

    def stop_play(self, call_id: str, tag: str, now: float) -> None:
        """Ends what is played to a party."""
        _party_of(self.find(call_id), tag).stop_play(now)

    def press(self, call_id: str, tag: str, stroke: Keystroke, now: float) -> None:
        """A key as if the party had pressed it: its other side is sent it, and nothing is told."""
        call = self.find(call_id)
        _party_of(call, tag)
        other = call.parties.get(call.peers.get(tag, ""))
        sender = None if other is None else other.keys.sender
        if sender is None:
            raise MediaError("unsupported", "the other side takes no keys in its media")
        if not sender.press(stroke, now):
            raise MediaError("refused", "too many keys wait for the ones before them")

    def close(self, now: float) -> None:
        """Ends every call."""
        for call_id in list(self._calls):
            self.delete(call_id, now)

    def _listen(self, call: Call, wish: Wish, now: float) -> None:
        """Its client hears of the call, and of every party's keys."""
        if call.listening is None or call.listening.wish != wish:
            if call.listening is not None:
                call.listening.close()
            call.listening = Listening(
                call.call_id, wish, self._notices, self._timers, call.looks, now
            )
        for party in (*call.parties.values(), call.pending):
            if party is not None and party.keys.tell is None:
                party.keys.tell = _teller(call, party)

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
        party = Party(tag, pair, self._poller, self._timers, self._rng)
        new.append(party)
        return party

    def _end(self, party: Party, now: float) -> None:
        party.part(now)
        self._pool.release(party.pair, now)
