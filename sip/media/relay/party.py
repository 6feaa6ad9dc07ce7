"""One party of a call: its description, the endpoints that face it, and what is done at them."""

from __future__ import annotations

import random
from typing import NamedTuple

from sip.core.sdp import Media
from sip.core.sdp_codecs import (
    AS_IT_CAME,
    COMFORT_NOISE,
    NoCodecError,
    Wanted,
    answered,
    packet_ms_of,
)
from sip.core.sdp_lines import Codec
from sip.media.plane import MediaError, Withheld
from sip.media.relay import fillings
from sip.media.relay.agreement import Agreement, agree, fits
from sip.media.relay.convert import Conversion, Relabelling
from sip.media.relay.detections import Detections
from sip.media.relay.endpoint import Poller
from sip.media.relay.fax_ear import FaxEar, Tell
from sip.media.relay.fillings import PASSED
from sip.media.relay.gaps import Filling, Gap, Gaps
from sip.media.relay.keypad import Keypad, key_terms
from sip.media.relay.keys import Keys
from sip.media.relay.meter import Meter
from sip.media.relay.player import Player
from sip.media.relay.ports import PortPair
from sip.media.relay.rewrite import Codecs, RemoteMedia
from sip.media.relay.rtcp_endpoint import RtcpEndpoint
from sip.media.relay.rtp_endpoint import Ear, RtpEndpoint
from sip.media.relay.timers import Timers
from sip.media.relay.voice import Voice, voice
from sip.media.relay.ways import one_to_one, ways
from sip.media.terms import ANY_TERMS, MediaTerms, Signalling


class Description(NamedTuple):
    """A party's SDP as far as the relay acts on it, where it came from, and the party's terms."""

    media: RemoteMedia
    signalling: Signalling | None = None
    terms: MediaTerms = ANY_TERMS
    #: Of an offer: what becomes of its codecs.
    wanted: Wanted = AS_IT_CAME

    @property
    def sends(self) -> bool:
        """Whether the party may send, and is not on hold by ``c=0.0.0.0``."""
        return self.media.sends and self.media.rtp is not None


class Party:
    """One party of a call and the port pair that faces it."""

    __slots__ = ("_agreed", "_conversion", "_converted", "_description", "_detections",
                 "_fax_ear", "_held", "_rng", "_staged", "_timers", "_told", "_told_staged",
                 "_voice", "crypto", "gap", "hold", "keypad", "meter", "packet_ms", "pair",
                 "player", "rtcp", "rtp", "tag", "told", "withheld")  # fmt: skip

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
        self._rng = rng
        self._agreed = Agreement()
        #: What it was told that it may send, and what an open offer to it says.
        self._told: Codecs = ()
        self._told_staged: Codecs = ()
        #: The packet time that it wants by its terms, in ms.
        self.packet_ms: int | None = None
        #: What it hears is converted by; None while that passes as it is.
        self._converted: tuple[Agreement, int | None] | None = None
        self._conversion: Conversion | None = None
        #: By which its media is encrypted, both ways.
        self.crypto = Keys(rng)
        #: What is played to it now.
        self.player: Player | None = None
        self.keypad = Keypad(self.rtp, timers, self.voice)
        #: Whether it has our description: before, it expects nothing of us.
        self.told = False
        #: What it hears while its other side has put it on hold and says nothing.
        self.hold = PASSED
        self._held = False
        self._voice: Voice | None = None
        #: What listens, or listened, for the tone of a fax that calls.
        self._fax_ear: FaxEar | None = None
        self._detections: Detections | None = None
        self._timers = timers
        self.gap = Gap(self.rtp.outlet, self._filling)
        #: Why what it says does not reach its other side.
        self.withheld: frozenset[Withheld] = frozenset()

    @property
    def detections(self) -> Detections:
        """What listens for who it is."""
        if self._detections is None:
            self._detections = Detections(self.rtp, self.codec, self._timers)
        return self._detections

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
            if not self._staged.media.fax:
                self.crypto.took_offer(self._staged.media, now)
            self._put_in_force(self._staged, now)

    def _put_in_force(self, description: Description, now: float) -> None:
        before = self._description
        self._description, self._staged = description, None
        self._told, self._told_staged = self._told_staged or self._told, ()
        self._encrypt()
        resumes = description.sends and before is not None and not before.sends
        media, signalling = description.media, description.signalling
        self.meter.described(media.audio)
        self.keypad.terms = key_terms(media.codecs, description.terms)
        self.rtp.expect(media.rtp, now, signalling=signalling, resumes=resumes)
        self.rtcp.expect(media.rtcp, now, signalling=signalling, resumes=resumes)

    def settle(self, description: Description, now: float) -> None:
        """The party answers: in force at once."""
        told = self._told_staged or self._told
        if told:
            # an answer of more than the offer had is one to an offer before it, which still holds
            offered = {codec for _, codec in told}
            more = [each for each in description.media.codecs if each[1] not in offered]
            self._told_staged = (*told, *more)
        if not description.media.fax:
            self.crypto.took_answer(description.media, now)
        self._put_in_force(description, now)

    def _encrypt(self) -> None:
        """Fax is in the clear; the keys of the audio wait meanwhile."""
        fax = self._faxes
        guard = None if fax else self.crypto.guard
        sender = None if fax else self.crypto.sender
        if not (guard or sender or self.rtcp.guard or self.rtcp.protect):
            return  # in the clear, as before
        self.rtp.stand_guard(guard)
        self.rtcp.guard = guard
        self.rtp.outlet.encrypt(sender)
        self.rtcp.protect = None if sender is None else sender.protect_rtcp

    def offered(self, told: Codecs) -> None:
        """An offer to it says that it may send `told`; in force with its answer."""
        if self._description is None:
            self._told = told
        else:
            self._told_staged = told

    def answer_to(self, description: Description) -> Media | None:
        """The audio that answers its offer, where the other side answered by `description`.

        None where that passes as it is. Raises `MediaError` bad-sdp where neither can be.
        """
        offer, theirs = self._staged or self._description, description.media.audio
        ours = None if offer is None else offer.media.audio
        if offer is None or ours is None or theirs is None:
            return None
        codecs = description.media.codecs, offer.media.codecs
        if self.packet_ms is None and fits(*codecs, offer.wanted.strip):
            return None
        try:
            told = answered(ours, theirs, offer.wanted, self.packet_ms)
        except NoCodecError as error:
            raise MediaError("bad-sdp", str(error)) from None
        return None if told is theirs else told

    def answered(self, told: Codecs) -> None:
        """The answer to its offer says that it may send `told`."""
        self._told, self._told_staged = told, ()

    def join(self, other: Party, now: float) -> None:
        """Packets flow between these two, of the payload types that both described.

        Where what one says is not what the other takes, it is converted.
        """
        self.rtp.attach(other.rtp)
        self.rtcp.peer, other.rtcp.peer = other.rtcp, self.rtcp
        ours, theirs = self._codecs(), other._codecs()
        for party, own, heard in ((self, ours, theirs), (other, theirs, ours)):
            agreed = agree(own, party._told + party._told_staged, heard)
            party.rtp.stream.negotiate(agreed.rates_hz, agreed.key_types)
            party._agreed = agreed
        self.keypad.join(other.keypad)
        self._hear(other, now)
        other._hear(self, now)
        fax = self._faxes and other._faxes
        for party in (self, other):
            party.rtp.datagrams = party.rtp.outlet.datagrams = fax

    @property
    def _faxes(self) -> bool:
        return self._description is not None and self._description.media.fax

    def _hear(self, speaker: Party, now: float) -> None:
        """Chooses what `speaker`'s packets go through before they are heard here."""
        agreed, outlet = speaker._agreed, self.rtp.outlet
        packet_ms = self._repacked(speaker)
        chosen = None if agreed.ways is None and packet_ms is None else (agreed, packet_ms)
        if chosen == self._converted:
            return
        self._converted, self._conversion = chosen, None
        if chosen is None:
            outlet.convert(None, now)
            return
        heard = self._codecs()
        of = agreed.ways or ways(agreed.codecs, heard)
        outlet.rate_hz = next((w.target.rate for w in of.values()), outlet.rate_hz)
        if packet_ms is None and one_to_one(of):
            outlet.convert(Relabelling(of), now)
            return
        audio = self._audio
        self._conversion = Conversion(
            of,
            packet_ms or self._wished_ms,
            self._rng,
            lambda number: None if audio is None else audio.fmtp(number),
            speaker.meter.loudness.take,
        )
        outlet.convert(self._conversion, now)

    def _repacked(self, speaker: Party) -> int | None:
        """The packet time that it is sent, where its own terms or the speaker's ask for one."""
        if self.packet_ms is None and speaker.packet_ms is None:
            return None
        if not (self.described and speaker.described):
            return None
        return self._wished_ms if self._wished_ms != speaker._wished_ms else None

    @property
    def _audio(self) -> Media | None:
        return None if self._description is None else self._description.media.audio

    @property
    def _wished_ms(self) -> int:
        """The packet time that it is sent, and sends as far as is known."""
        return self.packet_ms or (20 if self._audio is None else packet_ms_of(self._audio))

    def may_send_to(self, other: Party) -> bool:
        """Whether both descriptions let it speak, and neither is on hold without an address."""
        ours, theirs = self._description, other._description
        if ours is None or theirs is None:
            return False
        reachable = ours.media.rtp is not None and theirs.media.rtp is not None
        return reachable and ours.media.sends and theirs.media.hears

    def attend(self, other: Party | None, gaps: Gaps, now: float) -> None:
        """A negotiation is over: may it hear something, and what fills its gaps?"""
        theirs = None if other is None else other._description
        self._held = theirs is not None and not theirs.media.hears
        self._voice = None
        if self._may_hear(theirs):
            gaps.watch(self.gap, now)
            self.gap.refill()
        else:
            gaps.forget(self.gap)

    def _may_hear(self, theirs: Description | None) -> bool:
        """Whether its description lets it receive, and it was told that something may come.

        An other side that is still to come, or has no address yet, leaves it with us alone. One
        that holds it, and sends nothing, was passed on as such or was not.
        """
        if self._description is None or not self.told:
            return False
        media = self._description.media
        if media.rtp is None or not media.hears:
            return False
        if theirs is None or theirs.media.rtp is None or theirs.media.sends:
            return True
        return self._held and not self.hold.passed

    def _filling(self) -> Filling | None:
        """What fills a gap that begins: music where its other side holds it, else silence."""
        self._voice = None  # in what it heard last
        voice = self.voice()
        if self._held and self.hold.music is not None and voice is not None:
            return fillings.music(self.hold.music, self.voice)
        conversion = self._conversion
        if voice is not None and conversion is not None and conversion.noise_level is not None:
            return fillings.noise(voice, lambda: conversion.noise_level, self._rng)
        return fillings.silence(voice, self._takes)

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

    def listen_for_fax(self, tell: Tell) -> None:
        """Tells its calling tone of a fax; without effect where it was listened for before."""
        if self._fax_ear is None:
            self._fax_ear = FaxEar(self.rtp, self.codec, tell)

    def look(self, now: float) -> None:
        """To be called each second: its leg is measured, and RTCP sent that is due."""
        if self.meter.look(now):
            self.meter.sample(self._codec_name, now)

    def play(self, player: Player, now: float) -> None:
        """Begins to play; what is played already gives way."""
        self.stop_play(now)
        self._voice = None
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
        """How we speak to it, the same until the next negotiation: as it hears its other side."""
        if self._voice is None:
            audio = self._audio
            fmtp = _says_nothing if audio is None else audio.fmtp
            self._voice = voice(self._takes, self._heard_type, fmtp)
            if self._voice is not None:
                self.rtp.outlet.rate_hz = self._voice.codec.rate
        return self._voice

    @property
    def _takes(self) -> Codecs:
        """What it described and was told of, too."""
        if self._description is None:
            return ()
        told = {codec for _, codec in self._told}
        codecs = self._description.media.codecs
        return tuple([each for each in codecs if each[1] in told or not told])

    @property
    def _heard_type(self) -> int | None:
        """The payload type under which it heard its other side last."""
        source = self.rtp.outlet.source
        if source is None:
            return None
        number = source.stream.payload_type
        found = None if self._converted is None else self._converted[0].ways
        way = None if found is None else found.get(number)
        return number if way is None else way.payload_type

    @property
    def rests(self) -> bool:
        """Whether it sends nothing for now and said so: the last that came was comfort noise."""
        return self._codec_name == COMFORT_NOISE

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
        self.gap.close()
        self.meter.end(self._codec_name, now)
        self.keypad.part()
        if self._fax_ear is not None:
            self._fax_ear.close()
        if self._detections is not None:
            self._detections.close()
        self.rtp.attach(None)
        if self.rtcp.peer is not None and self.rtcp.peer.peer is self.rtcp:
            self.rtcp.peer.peer = None
        self.rtcp.peer = None
        self.rtp.close()
        self.rtcp.close()


def _says_nothing(_: int) -> str | None:
    """What a party that is not described says of a payload type."""
