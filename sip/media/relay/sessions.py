"""Calls, parties and their ports: what offers and answers do to them.

    Call ── parties by tag ── Party ── PortPair ── RtpEndpoint, RtcpEndpoint
         └─ pending: the party that was offered to and has not answered

A party's endpoints face *it*: its packets arrive there, and packets for it leave from there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from sip.core.sdp import Media
from sip.media.detection.found import Found
from sip.media.detection.terms import DetectionTerms
from sip.media.plane import MediaError, Withheld, call_sid_of
from sip.media.relay.dtmf import Press
from sip.media.relay.endpoint import Poller
from sip.media.relay.fillings import PASSED, HoldSound
from sip.media.relay.gaps import Gaps
from sip.media.relay.key_sender import Keystroke
from sip.media.relay.listening import Listening, Wish
from sip.media.relay.meter import Watch
from sip.media.relay.notices import Notices
from sip.media.relay.outlet import NO_TRAFFIC, Traffic
from sip.media.relay.party import Description, Party
from sip.media.relay.player import Player
from sip.media.relay.ports import NoPortsError, PortPool
from sip.media.relay.rewrite import Codecs, codecs_of
from sip.media.relay.tape import Recorder, Tape, recordable
from sip.media.relay.timers import Timers
from sip.media.relay.wav import Clip
from sip.media.silence import Look


class Offer(NamedTuple):
    """An offer, and the codecs that its receiver is told.

    `sender_ms` and `receiver_ms` are the packet times that the parties' terms ask for.
    """

    description: Description
    told: Codecs
    sender_ms: int | None = None
    receiver_ms: int | None = None


@dataclass(slots=True)
class Call:
    """A call's parties. `pending` has no tag yet and belongs to `pending_for`."""

    call_id: str
    parties: dict[str, Party] = field(default_factory=dict)
    peers: dict[str, str] = field(default_factory=dict)
    pending: Party | None = None
    pending_for: str = ""
    listening: Listening | None = None
    tape: Tape | None = None
    watch: Watch | None = None

    @property
    def passed(self) -> Traffic:
        """What was passed on between its parties, those that were dropped left out."""
        total = NO_TRAFFIC
        for party in self.parties.values():
            total = total.plus(party.rtp.passed)
        return total

    def joined(self) -> list[Party]:
        """The parties that have another side."""
        return [party for tag, party in self.parties.items() if tag in self.peers]

    def note_silences(self, now: float) -> None:
        """Its parties' meters know for how long each was not heard."""
        if self.listening is not None:
            for tag, party in self.parties.items():
                party.meter.one_way_s = self.listening.one_way_s(tag, now)

    def looks(self) -> dict[str, Look]:
        """What is known of each party's sound."""
        looks: dict[str, Look] = {}
        for tag, party in self.parties.items():
            peer = self.parties.get(self.peers.get(tag, ""))
            may_send = peer is not None and party.may_send_to(peer)
            looks[tag] = Look(may_send, party.rtp.heard_at, party.rests)
        return looks


def _teller(call: Call, party: Party) -> Callable[[Press, float], None]:
    def tell(press: Press, now: float) -> None:
        if call.listening is not None:
            call.listening.key(party.tag, press, now)

    return tell


def _fax_teller(call: Call, party: Party) -> Callable[[float], None]:
    def tell(now: float) -> None:
        if call.listening is not None:
            call.listening.fax_tone(party.tag, now)

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
        recorder: Recorder | None = None,
        gaps: Gaps | None = None,
    ) -> None:
        """Without a `recorder` nothing can be recorded. `gaps` are those of all
        parties, on the same timers unless told otherwise.
        """
        self._recorder = recorder
        self._timers = timers
        self._gaps = gaps or Gaps(timers)
        self._notices = notices
        self._rng = rng
        #: For what need not be secret: unlike the other it asks the system for nothing.
        self._jitter = random.Random(rng.getrandbits(64))
        self._pool = pool
        self._poller = poller
        self._calls: dict[str, Call] = {}
        #: Calls that are over, and what was passed on in them.
        self.ended = 0
        self._passed_before = NO_TRAFFIC

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
        offer: Offer,
        now: float,
        wish: Wish | None = None,
        *,
        hold: HoldSound = PASSED,
    ) -> Party:
        """Takes an offer and returns the party that it is for. Changes nothing if it fails.

        `wish` is what its client wants to hear of the call from now on, `hold` what the party that
        is returned hears on hold.
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
        sender.packet_ms, receiver.packet_ms = offer.sender_ms, offer.receiver_ms
        receiver.offered(offer.told)
        sender.stage(offer.description, now)
        sender.join(receiver, now)
        receiver.hold = hold
        self._attend(call, now)
        if wish is not None:
            self._listen(call, wish, now)
        return receiver

    def answer(
        self,
        call_id: str,
        from_tag: str,
        to_tag: str,
        description: Description,
        now: float,
        *,
        hold: HoldSound = PASSED,
    ) -> tuple[Party, Media | None]:
        """Takes `to_tag`'s answer; the party that had offered, and the audio that it is told.

        That is None where the answer goes on as it is. `hold` is what that party hears on hold.
        """
        call = self.find(call_id)
        sender = call.parties.get(from_tag)
        if sender is None:
            raise MediaError("unknown-call", f"no offer from tag {from_tag!r} in this call")
        told = sender.answer_to(description)
        receiver = call.parties.get(to_tag)
        if receiver is None or call.peers.get(from_tag) != to_tag:
            receiver = self._adopt(call, sender, to_tag, now)
        receiver.crypto.check_answer(description.media)
        receiver.settle(description, now)
        sender.commit(now)
        sender.answered(description.media.codecs if told is None else codecs_of(told))
        sender.join(receiver, now)
        sender.told = receiver.told = True
        sender.hold = hold
        self._attend(call, now)
        if call.tape is not None:
            for party in (sender, receiver):
                call.tape.hear(party)
        for one, other in ((sender, receiver), (receiver, sender)):
            other.rtp.outlet.mute(bool(one.withheld), now)
        if call.watch is None:
            call.watch = Watch(call.joined, self._timers, self._jitter, now)
        if call.listening is not None:
            call.listening.renew(now)
        return sender, told

    def delete(self, call_id: str, now: float) -> Call:
        """Ends the call and frees its ports; the returned call is for its counters."""
        call = self.find(call_id)
        del self._calls[call_id]
        self.ended += 1
        self._passed_before = self._passed_before.plus(call.passed)
        call.note_silences(now)
        if call.watch is not None:
            call.watch.close()
            call.watch = None
        if call.listening is not None:
            call.listening.close()
            call.listening = None
        if call.tape is not None:
            call.tape.end("ended", now)
        for party in call.parties.values():
            self._end(party, now)
        if call.pending is not None:
            self._end(call.pending, now)
        return call

    def play(
        self, call_id: str, tag: str, clip: Clip, play_id: int, now: float, *, times: int = 1
    ) -> None:
        """Begins to play to a party; what is played to it already gives way."""
        call = self.find(call_id)
        party = _party_of(call, tag)
        if party.voice() is None:
            raise MediaError("unsupported", "the party takes no codec that can be made here")

        def over(finished: bool, now: float) -> None:
            if call.listening is not None:
                call.listening.played(party.tag, play_id, finished, now)

        player = Player(clip, party.rtp.outlet, party.voice, self._timers, over, times=times)
        party.play(player, now)

    def stop_play(self, call_id: str, tag: str, now: float) -> None:
        """Ends what is played to a party."""
        _party_of(self.find(call_id), tag).stop_play(now)

    def detect(
        self, call_id: str, tag: str, number: int, terms: DetectionTerms, now: float
    ) -> None:
        """Listens to a party from now on for who it is; its client is told what is found."""
        call = self.find(call_id)
        party = _party_of(call, tag)

        def tell(found: Found, now: float) -> None:
            if call.listening is not None:
                call.listening.detected(party.tag, number, found, now)

        party.detections.begin(number, party.codecs, terms, tell, now)

    def stop_detecting(self, call_id: str, tag: str, number: int) -> None:
        """Nothing more is told by that number."""
        _party_of(self.find(call_id), tag).detections.end(number)

    def press(self, call_id: str, tag: str, stroke: Keystroke, now: float) -> None:
        """A key as if the party had pressed it: its other side is sent it, and nothing is told."""
        call = self.find(call_id)
        _party_of(call, tag)
        other = call.parties.get(call.peers.get(tag, ""))
        sender = None if other is None else other.keypad.sender
        if sender is None:
            raise MediaError("unsupported", "the other side takes no keys in its media")
        if not sender.press(stroke, now):
            raise MediaError("refused", "too many keys wait for the ones before them")

    def record(self, call_id: str, recording: str, left: str, now: float) -> None:
        """Begins the recording of that name, or goes on with one that is paused.

        What the party `left` says is the left channel.
        """
        call = self.find(call_id)
        if call.tape is not None and not call.tape.over:
            call.tape.pause(False, now)
            return
        if self._recorder is None:
            raise MediaError("unsupported", "this relay was started without a recorder")
        for party in call.parties.values():
            if not recordable(party.codecs):
                raise MediaError("unsupported", f"the codec of party {party.tag!r} is not recorded")
        about: dict[str, object] = {"recording": recording, "call_sid": call_sid_of(call_id)}
        call.tape = Tape(self._recorder, about, left, now)
        for party in call.parties.values():
            call.tape.hear(party)

    def pause_recording(self, call_id: str, now: float) -> None:
        """What is said from now on is left out of the recording."""
        tape = self.find(call_id).tape
        if tape is not None:
            tape.pause(True, now)

    def stop_recording(self, call_id: str, now: float) -> None:
        """Ends the recording."""
        call = self.find(call_id)
        if call.tape is not None:
            call.tape.end("ended", now)
            call.tape = None

    def withhold(self, call_id: str, tag: str, how: Withheld, kept: bool, now: float) -> None:
        """Keeps what a party says from its other side, or lets it pass again."""
        call = self.find(call_id)
        other = call.parties.get(call.peers.get(tag, ""))
        _party_of(call, tag).keep_from(other, how, kept, now)

    @property
    def call_ids(self) -> Iterable[str]:
        """Those of calls that are there."""
        return self._calls.keys()

    @property
    def passed(self) -> Traffic:
        """What was ever passed on, in calls that are there and in those that are over."""
        total = self._passed_before
        for call in self._calls.values():
            total = total.plus(call.passed)
        return total

    def close(self, now: float) -> None:
        """Ends every call."""
        for call_id in list(self._calls):
            self.delete(call_id, now)

    def _attend(self, call: Call, now: float) -> None:
        """Parties may hear something from now on, or may not any more."""
        for tag, party in call.parties.items():
            party.attend(call.parties.get(call.peers.get(tag, "")), self._gaps, now)

    def _listen(self, call: Call, wish: Wish, now: float) -> None:
        """Its client hears of the call, of every party's keys, and of a fax that calls."""
        if call.listening is None or call.listening.wish != wish:
            if call.listening is not None:
                call.listening.close()
            call.listening = Listening(call.call_id, wish, self._notices, self._timers, call.looks)
            if call.watch is not None:  # before its first answer nobody may speak to anybody
                call.listening.renew(now)
        for party in (*call.parties.values(), call.pending):
            if party is not None and party.keypad.tell is None:
                party.keypad.tell = _teller(call, party)
        caller = None if wish.fax is None else call.parties.get(wish.fax)
        if caller is not None:
            caller.listen_for_fax(_fax_teller(call, caller))

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
        party = Party(tag, pair, self._poller, self._timers, self._rng, now)
        new.append(party)
        return party

    def _end(self, party: Party, now: float) -> None:
        self._gaps.forget(party.gap)
        party.part(now)
        self._pool.release(party.pair, now)
