"""What one party does with keys: those that it presses, and those that it is sent.

A party's keys come as events (RFC 4733), or as tones where it has no other form (`terms.KeyForm`).
Each is read, told, and sent on in the form that the other party takes, by that party's sender: one
clean event or tone, whatever was lost of it on the way here. Only where both take events by the
same number, the other's terms ask for nothing, and nothing else of its stream is ours, its packets
pass as they are.
"""

from __future__ import annotations

import audioop
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from sip.core.sdp_codecs import TELEPHONE_EVENT
from sip.media.key_tones import KeyToneReader
from sip.media.relay.dtmf import RELEASE_S, KeyReader, Press, has_key
from sip.media.relay.key_sender import Held, KeySender, KeyVoice
from sip.media.relay.rewrite import Codecs
from sip.media.relay.rtp import payload_of
from sip.media.relay.rtp_endpoint import Ear, RtpEndpoint
from sip.media.relay.timers import Timer, Timers
from sip.media.relay.voice import Voice
from sip.media.relay.wav import Coding
from sip.media.terms import KeyForm, MediaTerms

#: The laws of G.711, by the names that SDP gives them.
_LAWS: Final = {"PCMU": Coding.PCMU, "PCMA": Coding.PCMA}

_DECODE: Final = {Coding.PCMU: audioop.ulaw2lin, Coding.PCMA: audioop.alaw2lin}

Tell = Callable[[Press, float], None]


def _deaf(_: bytes, __: float) -> None:
    """The ear of who is gone."""


def _dumb() -> Voice | None:
    """The voice to who is gone."""
    return None


class KeyTerms(NamedTuple):
    """How a party takes and sends keys, as its description and terms have it.

    `events` is how it is sent events by us, where it takes them; `clean` says that none passes as
    it came. `laws` are those of G.711 by payload type, where its keys must be heard in its audio;
    else there are none.
    """

    form: KeyForm
    events: KeyVoice | None = None
    clean: bool = False
    laws: Mapping[int, Coding] = {}


#: A party that has not described itself yet: what is sent to it passes as it is.
UNKNOWN: Final = KeyTerms(KeyForm.AUTO)


def key_terms(codecs: Codecs, terms: MediaTerms) -> KeyTerms:
    """How a party that described `codecs` sends and takes keys, its own terms being `terms`."""
    return _key_terms(codecs, terms.dtmf, terms.takes_info)


@lru_cache(maxsize=256)
def _key_terms(codecs: Codecs, dtmf: KeyForm, takes_info: bool) -> KeyTerms:
    events = [KeyVoice(n, codec.rate) for n, codec in codecs if codec.name == TELEPHONE_EVENT]
    form = dtmf.settled(events=bool(events), info=takes_info)
    if form is KeyForm.EVENTS:
        clocks = [codec.rate for _, codec in codecs if codec.name != TELEPHONE_EVENT]
        fitting = [each for each in events if each.rate_hz in clocks[:1]]
        return KeyTerms(form, (fitting or events)[0], clean=dtmf is KeyForm.EVENTS)
    if form.by_info:
        return KeyTerms(form)
    return KeyTerms(form, laws={n: _LAWS[codec.name] for n, codec in codecs if codec.name in _LAWS})


class Keypad:
    """One party's keys. `join` says whose other side it is, and again after each negotiation."""

    __slots__ = ("_deadline", "_ear", "_endpoint", "_held", "_listens", "_passing", "_peer",
                 "_reader", "_sender", "_taken", "_timer", "_timers", "_tones", "_voice", "tell",
                 "terms")  # fmt: skip

    def __init__(
        self, endpoint: RtpEndpoint, timers: Timers, voice: Callable[[], Voice | None]
    ) -> None:
        """`voice` is how tones are said to the party."""
        self._endpoint = endpoint
        self._voice = voice
        self._timers = timers
        self.terms = UNKNOWN
        #: Who is told the keys that the party lets go of.
        self.tell: Tell | None = None
        self._peer: Keypad | None = None
        #: Made for the first key: most calls have none.
        self._reader: KeyReader | None = None
        self._sender: KeySender | None = None
        self._tones: KeyToneReader | None = None
        #: The key that is down: as we send it on; or whether its packets pass as they are.
        self._held: Held | None = None
        self._passing = False
        #: Whether the packets of the newest key are ours, and do not pass.
        self._taken = False
        self._timer: Timer | None = None
        self._deadline = 0.0
        endpoint.stream.on_key = self.take
        self._ear: Ear = self.hear  # one object, by which it is let be
        self._listens = False

    def join(self, peer: Keypad) -> None:
        """`peer` is the other side, and both sides' `terms` are known."""
        self._peer, peer._peer = peer, self
        for each in (self, peer):
            each._listen()

    def part(self) -> None:
        """The party is gone: nothing more is sent or told."""
        self.tell = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sender is not None:
            self._sender.close()
            self._sender = None
        if self._peer is not None and self._peer._peer is self:
            self._peer._peer = None
        self._peer = None
        self._endpoint.stream.on_key = None
        self._endpoint.let_be(self._ear)
        self._ear, self._voice = _deaf, _dumb

    @property
    def sender(self) -> KeySender | None:
        """What sends keys to the party; None where it is sent none."""
        if self._says() is None:
            return None
        if self._sender is None:
            self._sender = KeySender(self._endpoint.outlet, self._says, self._timers)
        return self._sender

    def _says(self) -> KeyVoice | Voice | None:
        """How the party is sent a key now."""
        return self._voice() if self.terms.form is KeyForm.TONES else self.terms.events

    # keys that the party presses

    def take(self, packet: bytes, tick_s: float, now: float) -> None:
        """An RTP packet of an event, before it passes."""
        if not has_key(packet):
            return
        if self.terms.form.by_info:  # the same come by signalling
            self._leave_out(now)
            return
        reader = self._reader
        if reader is None:
            reader = self._reader = KeyReader()
        number = packet[1] & 0x7F
        for press in reader.take(packet, tick_s):
            self._up(press, number, now)
        held = reader.held
        if held is not None:
            self._down(held, number, now)
            self._release_later(now)
        if self._taken:
            self._leave_out(now)

    def hear(self, packet: bytes, now: float) -> None:
        """A packet of its audio, in which its keys are."""
        law = self.terms.laws.get(packet[1] & 0x7F)
        if law is None:
            return
        tones = self._tones
        if tones is None:
            tones = self._tones = KeyToneReader()
        for change in tones.take(_DECODE[law](payload_of(packet), 2)):
            if change.held_s is not None:
                self._up(Press(change.key, change.held_s), None, now)
        held = tones.held
        if held is not None:
            self._down(Press(held.key, held.held_s or 0.0), None, now)
            self._release_later(now)
        peer = self._peer
        if tones.sounding and peer is not None and peer.terms.form is not KeyForm.TONES:
            self._leave_out(now)

    def _down(self, held: Press, number: int | None, now: float) -> None:
        """A key is down, as long so far. `number` is its payload type, None of a tone."""
        if self._held is not None:
            self._held.lasts(held.held_s)
        elif not self._passing:
            self._passing = self._passes(number)
            self._taken = not self._passing
            if self._taken:
                self._held = Held(held.key, held.held_s)
                self._send(self._held, now)

    def _up(self, press: Press, number: int | None, now: float) -> None:
        """A key was let go of."""
        if self._held is not None:
            self._held.end(press.held_s)
        elif not self._passing:  # all of it was lost but its end
            self._taken = not self._passes(number)
            if self._taken:
                whole = Held(press.key)
                whole.end(press.held_s)
                self._send(whole, now)
        self._held, self._passing = None, False
        if self.tell is not None:
            self.tell(press, now)

    def _send(self, held: Held, now: float) -> None:
        """Sends a key to the other side, unless that hears something else."""
        peer = self._peer
        if peer is not None and peer.sender is not None and not peer._endpoint.outlet.deaf:
            peer.sender.send(held, now)

    def _leave_out(self, now: float) -> None:
        """The packet that is just being looked at does not pass."""
        if self._peer is not None:
            self._peer._endpoint.outlet.leave_out(now)

    def _passes(self, number: int | None) -> bool:
        """Whether a key passes as it is."""
        peer = self._peer
        if peer is None or peer.terms is UNKNOWN:
            return True
        if number is None:
            return peer.terms.form is KeyForm.TONES
        events = peer.terms.events
        return (
            events is not None
            and events.payload_type == number
            and not peer.terms.clean
            and peer._endpoint.outlet.forwards
        )

    # a key whose end is lost

    def _release_later(self, now: float) -> None:
        self._deadline = now + RELEASE_S
        if self._timer is None:
            self._timer = self._timers.at(self._deadline, self._release)

    def _release(self, now: float) -> None:
        self._timer = None
        events = self._reader is not None and self._reader.held is not None
        tones = self._tones is not None and self._tones.held is not None
        if not (events or tones):
            return
        if now < self._deadline:
            self._timer = self._timers.at(self._deadline, self._release)
            return
        if self._reader is not None:
            for press in self._reader.release():
                self._up(press, None, now)
        if self._tones is not None:
            for change in self._tones.end():
                if change.held_s is not None:
                    self._up(Press(change.key, change.held_s), None, now)

    def _listen(self) -> None:
        """Whether its audio is looked at depends on its terms."""
        listens = bool(self.terms.laws)
        if listens is not self._listens:
            self._listens = listens
            (self._endpoint.listen_in if listens else self._endpoint.let_be)(self._ear)
