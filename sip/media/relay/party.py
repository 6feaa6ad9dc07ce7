"""One party of a call: its description, the endpoints that face it, and what is done at them."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from sip.core.sdp_edits import TELEPHONE_EVENT
from sip.core.sdp_lines import Codec
from sip.media.plane import Withheld
from sip.media.relay.endpoint import Ear, Poller, RtpEndpoint
from sip.media.relay.key_sender import KeyVoice
from sip.media.relay.keypad import UNKNOWN, Keypad, KeyTerms
from sip.media.relay.keys import Keys
from sip.media.relay.meter import Meter
from sip.media.relay.player import Player, Voice
from sip.media.relay.ports import PortPair
from sip.media.relay.rewrite import Codecs, RemoteMedia
from sip.media.relay.rtcp_endpoint import RtcpEndpoint
from sip.media.relay.timers import Timers
from sip.media.relay.wav import RATE_HZ, Coding
from sip.media.terms import ANY_TERMS, KeyForm, MediaTerms, Signalling

#: Keys, by the name that SDP gives them, as `rewrite` writes it.
_KEYS = TELEPHONE_EVENT.upper()

#: Comfort noise (RFC 3389), likewise.
_COMFORT_NOISE = "CN"

#: The laws of G.711 by theirs.
_LAWS = {"PCMU": Coding.PCMU, "PCMA": Coding.PCMA}


class Description(NamedTuple):
    """A party's SDP as far as the relay acts on it, where it came from, and the party's terms."""

    media: RemoteMedia
    signalling: Signalling | None = None
    terms: MediaTerms = ANY_TERMS

    @property
    def sends(self) -> bool:
        """Whether the party may send, and is not on hold by ``c=0.0.0.0``."""
        return self.media.sends and self.media.rtp is not None


class Agreement(NamedTuple):
    """What two parties have in common: codecs and clock rates by payload type, and keys' types."""

    codecs: Mapping[int, Codec] = MappingProxyType({})
    rates_hz: Mapping[int, int] = MappingProxyType({})
    key_types: Collection[int] = ()


class Party:
    """One party of a call and the port pair that faces it."""

    __slots__ = ("_agreed", "_description", "_staged", "crypto", "keypad", "meter", "pair",
                 "player", "rtcp", "rtp", "tag", "withheld")  # fmt: skip

    def __init__(
        self,
        tag: str,
        pair: PortPair,
        poller: Poller,
        timers: Timers,
        rng: random.Random,
        now: float,
    ) -> None:
        self.tag = tag
        self.pair = pair
        self.rtp = RtpEndpoint(pair.rtp, poller, rng)
        self.rtcp = RtcpEndpoint(pair.rtcp, poller, self.rtp.outlet, rng)
        self.meter = Meter(self.rtp, self.rtcp, now)
        self._description: Description | None = None
        self._staged: Description | None = None
        self._agreed = Agreement()
        #: By which its media is encrypted, both ways.
        self.crypto = Keys(rng)
        #: What is played to it now.
        self.player: Player | None = None
        self.keypad = Keypad(self.rtp, timers)
        #: Why what it says does not reach its other side.
        self.withheld: frozenset[Withheld] = frozenset()

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
        """The offer/answer exchange is complete: what was staged is in force."""
        if self._staged is not None:
            self.crypto.took_offer(self._staged.media, now)
            self._put_in_force(self._staged, now)

    def _put_in_force(self, description: Description, now: float) -> None:
        before = self._description
        self._description, self._staged = description, None
        self._encrypt()
        resumes = description.sends and before is not None and not before.sends
        media, signalling = description.media, description.signalling
        self.rtp.expect(media.rtp, now, signalling=signalling, resumes=resumes)
        self.rtcp.expect(media.rtcp, now, signalling=signalling, resumes=resumes)

    def settle(self, description: Description, now: float) -> None:
        """The party answers: in force at once."""
        self.crypto.took_answer(description.media, now)
        self._put_in_force(description, now)

    def _encrypt(self) -> None:
        guard, sender = self.crypto.guard, self.crypto.sender
        self.rtp.stand_guard(guard)
        self.rtcp.guard = guard
        self.rtp.outlet.protect(None if sender is None else sender.protect)
        self.rtcp.protect = None if sender is None else sender.protect_rtcp

    def join(self, other: Party) -> None:
        """Packets flow between these two, of the payload types that both described."""
        self.rtp.attach(other.rtp)
        self.rtcp.peer, other.rtcp.peer = other.rtcp, self.rtcp
        agreed = _agreement(self._codecs(), other._codecs())
        for party in (self, other):
            party.rtp.stream.negotiate(agreed.rates_hz, agreed.key_types)
            party._agreed = agreed
            party.keypad.terms = party._key_terms()
        self.keypad.join(other.keypad)

    def may_send_to(self, other: Party) -> bool:
        """Whether both descriptions let it speak, and neither is on hold without an address."""
        ours, theirs = self._description, other._description
        if ours is None or theirs is None:
            return False
        reachable = ours.media.rtp is not None and theirs.media.rtp is not None
        return reachable and ours.media.sends and theirs.media.hears

    def codec(self, payload_type: int) -> Codec | None:
        """What was negotiated for a payload type; its name in capitals."""
        return self._agreed.codecs.get(payload_type)

    @property
    def codecs(self) -> list[Codec]:
        """All that was negotiated."""
        return list(self._agreed.codecs.values())

    def listen_in(self, ear: Ear) -> None:
        """See `RtpEndpoint.listen_in`."""
        self.rtp.listen_in(ear)

    def let_be(self, ear: Ear) -> None:
        """See `RtpEndpoint.let_be`."""
        self.rtp.let_be(ear)

    def look(self, now: float) -> None:
        """To be called each second: its leg is measured, and RTCP sent that is due."""
        if self.meter.look(now):
            self.meter.sample(self._codec_name, now)

    def play(self, player: Player, now: float) -> None:
        """Begins to play; what is played already gives way."""
        self.stop_play(now)
        self.player = player
        player.start(now)

    def stop_play(self, now: float) -> None:
        """Ends what is played, if anything is."""
        player, self.player = self.player, None
        if player is not None:
            player.stop(now)

    def keep_from(self, other: Party | None, how: Withheld, kept: bool, now: float) -> None:
        """What it says is kept from its other side, for a reason of several, or is not."""
        self.withheld = self.withheld | {how} if kept else self.withheld - {how}
        if other is not None:
            other.rtp.outlet.mute(bool(self.withheld), now)

    def voice(self) -> Voice | None:
        """How it takes G.711: the first that its description has and that was negotiated."""
        if self._description is None:
            return None
        for number, codec in self._description.media.codecs:
            law = _LAWS.get(codec.name)
            if law is not None and codec.rate == RATE_HZ and number in self._agreed.codecs:
                return Voice(number, law)
        return None

    def _key_terms(self) -> KeyTerms:
        """How it sends and takes keys, as far as it has described itself."""
        description = self._description
        if description is None:
            return UNKNOWN
        codecs, terms = description.media.codecs, description.terms
        voice = self.voice()
        rate_hz = next((codec.rate for _, codec in codecs if codec.name != _KEYS), RATE_HZ)
        events = [KeyVoice(n, codec.rate) for n, codec in codecs if codec.name == _KEYS]
        events.sort(key=lambda each: each.rate_hz != rate_hz)  # by the audio's clock, if it may be
        form = terms.dtmf.settled(events=bool(events), info=terms.takes_info)
        if form is KeyForm.EVENTS:
            return KeyTerms(form, events[0], clean=terms.dtmf is KeyForm.EVENTS)
        if form.by_info:
            return KeyTerms(form)
        tones = None if voice is None else KeyVoice(voice.payload_type, law=voice.law)
        laws = {n: _LAWS[codec.name] for n, codec in codecs if codec.name in _LAWS}
        return KeyTerms(form, tones, laws=laws)

    @property
    def rests(self) -> bool:
        """Whether it sends nothing for now and said so: the last that came was comfort noise."""
        return self._codec_name == _COMFORT_NOISE

    @property
    def _codec_name(self) -> str:
        """Of what it sends now; empty while that is not known."""
        codec = self._agreed.codecs.get(self.rtp.stream.payload_type)
        return "" if codec is None else codec.name

    def _codecs(self) -> Codecs:
        """What the descriptions in force and staged have."""
        codecs: Codecs = ()
        for description in (self._description, self._staged):
            if description is not None:
                codecs += description.media.codecs
        return codecs

    def part(self, now: float) -> None:
        """Nothing flows to or from this party any more."""
        self.stop_play(now)
        self.meter.end(self._codec_name, now)
        self.keypad.part()
        self.rtp.attach(None)
        if self.rtcp.peer is not None and self.rtcp.peer.peer is self.rtcp:
            self.rtcp.peer.peer = None
        self.rtcp.peer = None
        self.rtp.close()
        self.rtcp.close()


@lru_cache(maxsize=256)
def _agreement(one: Codecs, other: Codecs) -> Agreement:
    """What two parties have in common. It is remembered: most calls have what others had.

    RFC 3264 5.1 has each side send with the numbers of the other's description, and an answer
    may number otherwise than its offer (6.1); some send with their own numbers all the same. So
    a type passes if its codec, or its number, is in both. Keys pass in whatever form each side
    has. With one side unknown yet, all of the other's pass.
    """
    if one and other:
        numbers = {number for number, _ in one} & {number for number, _ in other}
        named = {codec for _, codec in one if codec.name} & {codec for _, codec in other}
        codecs = {
            number: codec
            for number, codec in one + other
            if number in numbers or codec in named or codec.name == _KEYS
        }
    else:
        codecs = dict(one or other)
    return Agreement(
        MappingProxyType(codecs),
        MappingProxyType({number: codec.rate for number, codec in codecs.items()}),
        frozenset(number for number, codec in codecs.items() if codec.name == _KEYS),
    )
