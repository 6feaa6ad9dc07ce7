"""The media of one call: which party is which to the media plane, and what each side was told.

Every B-leg gets a tag of its own, so that hunting over carriers leaves the A-leg's port alone: the
caller sees one answer, however many carriers were tried (RFC 3261 13.3.1.4 allows no second).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Final, ParamSpec, TypeVar

from sip.core.sdp import parse
from sip.core.sdp_crypto import PREFERENCE, Crypto, Encryption, is_encrypted
from sip.core.sdp_edits import (
    UNKNOWN,
    answer_to,
    heard_hold,
    off_hold,
    sent_to,
    silent_answer,
)
from sip.core.sdp_keys import has_keys, with_keys, without_keys
from sip.errors import ParseError
from sip.media.detection.terms import DetectionTerms
from sip.media.events import Listener, Lost, MediaEvent
from sip.media.plane import (
    FOREVER,
    NO_DETECTION,
    Capability,
    MediaError,
    MediaPlane,
    MediaStats,
    PartyStats,
    Playable,
    RingbackTone,
    Withheld,
)
from sip.media.terms import PASSED_HOLD, KeyForm, MediaSide, MediaTerms

P = ParamSpec("P")
R = TypeVar("R")


A_TAG: Final = "a"
_OFF: Final = Encryption.OFF
_ONE_WAY: Final = re.compile(r"^a=(?:sendonly|recvonly|inactive)\b", re.MULTILINE)


class MediaSession:
    """Offers and answers of one call, and what is played in it. Raises MediaError.

    `on_event` gets digits, ends of plays, silences and the loss of the engine, as far as the
    plane's `capabilities` reach; without it the plane looks for none of them.
    """

    def __init__(
        self, plane: MediaPlane, call_id: str, *, on_event: Listener | None = None
    ) -> None:
        self._plane = plane
        self._call_id = call_id
        self._on_event = on_event
        self._fax = self._detects = False
        self._open = False
        #: whether the engine knows nothing of it any more: an answer can be made ready only after
        #: another offer
        self.lost = False
        self._attempts = 0
        self._plays = 0
        #: the open or newest offer of each party: an answer must fit it
        self._offered: dict[str, str] = {}
        #: what each party said last
        self._said: dict[str, str] = {}
        #: whether the media of each party is encrypted, as far as it has said
        self._encrypted: dict[str, bool] = {}

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the engine can do beside relaying."""
        return self._plane.capabilities

    async def offer_to_b(
        self, a_sdp: str | None, *, sender: MediaSide, reader: MediaSide
    ) -> tuple[str, str]:
        """The A-leg's description, ready for a new B-leg: (the B-leg's tag, SDP).

        Without one, because the A-leg waits for our offer, the B-leg is offered what every peer
        knows. Here and below, `sender` is the side whose description is given, and `reader` the one
        that gets what is returned.
        """
        if not self._open:
            self._listen()
        self._open = True
        self._attempts += 1
        _check_fax(a_sdp, reader.terms)
        if a_sdp is None and sender.terms.encryption is not Encryption.REQUIRED:
            # it cannot be asked twice, should it have no encryption
            sender = sender.encrypted(_OFF)
        described = _unknown(sender.terms) if a_sdp is None else a_sdp
        sdp = await self._plane.offer(
            self._call_id,
            A_TAG,
            described,
            media_address=reader.address,
            received_from=sender.source,
            sender=sender.terms,
            reader=reader.terms,
        )
        self.lost = False
        self._note(A_TAG, described, sender.terms)
        tag = f"b{self._attempts}"
        if a_sdp is None:
            return tag, _read(sent_to, sdp, reader.address)
        self._offered[A_TAG] = self._said[A_TAG] = a_sdp
        return tag, self._keyed(sdp, tag, reader)

    async def offer_to_a(self, *, reader: MediaSide) -> str:
        """What every peer knows, for an A-leg that we place for no other one: nobody speaks.

        `reader` is the A-leg's side.
        """
        self._listen()
        self._open = True
        self._attempts += 1
        nobody = reader.encrypted(_OFF)
        sdp = await self._plane.offer(
            self._call_id,
            self.facing(A_TAG),
            UNKNOWN,
            media_address=reader.address,
            received_from=nobody.source,
            sender=nobody.terms,
            reader=reader.terms,
        )
        return _read(off_hold, _read(sent_to, sdp, reader.address))

    async def answer_of_a(self, a_sdp: str, *, side: MediaSide) -> None:
        """What the A-leg answered to `offer_to_a`, early or finally."""
        nobody = side.encrypted(_OFF)
        await self._plane.answer(
            self._call_id,
            self.facing(A_TAG),
            A_TAG,
            a_sdp,
            media_address=side.address,
            received_from=side.source,
            sender=side.terms,
            reader=nobody.terms,
        )
        self._note(A_TAG, a_sdp, side.terms)
        self._said[A_TAG] = a_sdp

    def notice_fax(self) -> None:
        """Have `FaxTone` told where the A-leg is a fax machine, from the next offer on."""
        self._need(Capability.FAX_TONE, "hear a fax's calling tone")
        self._fax = True
        if self._open:
            self._listen()

    def expect_detection(self) -> None:
        """Of several engines, have one that can `detect`, from when the session is in none."""
        self._detects = True
        if self._open:
            self._listen()

    def _listen(self) -> None:
        if self._on_event is not None:
            fax_of = A_TAG if self._fax else None
            self._plane.listen(self._call_id, self._heard, fax_of=fax_of, detects=self._detects)

    async def answer_to_a(
        self, b_tag: str, b_sdp: str, *, sender: MediaSide, reader: MediaSide
    ) -> str:
        """A B-leg's answer (early or final), ready for the A-leg."""
        return await self.reanswer(A_TAG, b_tag, b_sdp, sender=sender, reader=reader)

    async def hold_a(self, a_sdp: str | None, *, side: MediaSide) -> str:
        """An answer for an A-leg whose other side has not come yet.

        The A-leg gets an address to send to: its keys are heard, and its port is learned where it
        is behind NAT, so that something can be played to it.
        """
        side = side._replace(terms=replace(side.terms, hold=PASSED_HOLD))  # nobody holds it
        nobody = side.encrypted(_OFF)
        b_tag, offered = await self.offer_to_b(a_sdp, sender=side, reader=nobody)
        answer = await self.answer_to_a(
            b_tag, _read(silent_answer, offered), sender=nobody, reader=side
        )
        told = _read(off_hold, _read(sent_to, answer, side.address))
        return told if a_sdp is None else _read(answer_to, a_sdp, told)

    async def reoffer(
        self, offerer: str, answerer: str, sdp: str, *, sender: MediaSide, reader: MediaSide
    ) -> str:
        """A re-INVITE's offer from one side, ready for the other.

        A hold in which nothing is sent becomes one in which something is heard, where the reader's
        terms want it.
        """
        _check_fax(sdp, reader.terms)
        described = await self._plane.offer(
            self._call_id,
            offerer,
            sdp,
            to_tag=answerer,
            media_address=reader.address,
            received_from=sender.source,
            sender=sender.terms,
            reader=self._as_known(answerer, reader.terms),
        )
        self._offered[offerer] = sdp  # a refused one is left out: no answer has to fit it
        self._said[offerer] = sdp
        described = self._keyed(described, answerer, reader)
        if reader.terms.hold.passed:
            return described
        return _read(heard_hold, described, reader.address)

    async def reanswer(
        self, offerer: str, answerer: str, sdp: str, *, sender: MediaSide, reader: MediaSide
    ) -> str:
        """The answer to `reoffer`, ready for who offered: what it offered, in its directions."""
        answer = await self._plane.answer(
            self._call_id,
            offerer,
            answerer,
            sdp,
            media_address=reader.address,
            received_from=sender.source,
            sender=sender.terms,
            reader=reader.terms,
        )
        self._note(answerer, sdp, sender.terms)
        self._said[answerer] = sdp
        answer = self._keyed(answer, offerer, reader)
        offer = self._offered.get(offerer)
        if offer is None:
            return answer
        self._note(offerer, offer, reader.terms)
        if offer.count("\nm=") == answer.count("\nm=") and not _ONE_WAY.search(offer):
            return answer
        return _read(answer_to, offer, answer)

    async def play(self, party: str, sound: Playable, *, times: int = 1) -> int:
        """Plays a sound to a party, in the stead of what its other side says.

        Returns when it began; `Played` with the returned number tells its end. A play under way
        to the same party gives way. `bytes` must fit a datagram (`plane.MAX_BLOB`); a path is read
        by the engine, on its own host.
        """
        self._need(Capability.PLAY, "play a file")
        self._plays += 1
        await self._plane.play(self._call_id, party, sound, self._plays, times=times)
        return self._plays

    async def ring(self, party: str, country: str) -> int:
        """Plays a country's ringback tone to a party, until it is stopped."""
        return await self.play(party, RingbackTone(country), times=FOREVER)

    async def stop_play(self, party: str) -> None:
        """Ends what is played to a party; without effect if nothing is."""
        self._need(Capability.PLAY, "play a file")
        await self._plane.stop_play(self._call_id, party)

    async def press(self, party: str, key: str, duration_ms: int) -> None:
        """Sends a key as if the party had pressed it: its other side hears it."""
        self._need(Capability.KEYS, "send keys")
        await self._plane.press(self._call_id, party, key, duration_ms)

    async def detect(self, party: str, number: int, terms: DetectionTerms) -> None:
        """Listens to a party from now on for who it is: `Detected` with `number` tells."""
        if Capability.DETECTION not in self._plane.capabilities:
            raise MediaError("unsupported", NO_DETECTION)
        await self._plane.detect(self._call_id, party, number, terms)

    async def stop_detecting(self, party: str, number: int) -> None:
        """Nothing more is told by that number; without effect where it is over."""
        await self._plane.stop_detecting(self._call_id, party, number)

    def facing(self, party: str) -> str:
        """The tag of whom a party hears."""
        return f"b{self._attempts}" if party == A_TAG else A_TAG

    async def record(self, recording: str) -> None:
        """Begins the recording of that name, or goes on with one that is paused.

        The host is the left channel.
        """
        self._need(Capability.RECORD, "record")
        await self._plane.record(self._call_id, recording, A_TAG)

    async def pause_recording(self) -> None:
        """What is said from now on is left out."""
        self._need(Capability.RECORD, "record")
        await self._plane.pause_recording(self._call_id)

    async def stop_recording(self) -> None:
        """Ends the recording; without effect if nothing is recorded."""
        self._need(Capability.RECORD, "record")
        await self._plane.stop_recording(self._call_id)

    async def withhold(self, party: str, how: Withheld) -> None:
        """What a party says does not reach its other side, until `let_pass`."""
        self._need(Capability.WITHHOLD, "withhold what a party says")
        await self._plane.withhold(self._call_id, party, how)

    async def let_pass(self, party: str, how: Withheld) -> None:
        """The end of `withhold`; without effect if nothing is withheld in that way."""
        self._need(Capability.WITHHOLD, "withhold what a party says")
        await self._plane.let_pass(self._call_id, party, how)

    async def query(self) -> MediaStats | None:
        """The counters so far, or None if there was no media yet."""
        return await self._plane.query(self._call_id) if self._open else None

    async def close(self) -> MediaStats | None:
        """Give the ports back; the final counters, or None if there never was media."""
        self._on_event = None  # which may hold the room that holds this session
        if not self._open:
            return None
        self._open = False
        return await self._plane.delete(self._call_id)

    def _keyed(self, sdp: str, party: str, side: MediaSide) -> str:
        """What `party` is told, with keys as events if it takes them so: the engine converts."""
        if Capability.KEYS not in self._plane.capabilities:
            return sdp
        known = self._said.get(party)
        takes = side.terms.dtmf in (KeyForm.AUTO, KeyForm.EVENTS)
        if takes and known is not None:
            takes = has_keys(known)
        if takes == has_keys(sdp):
            return sdp
        return _read(with_keys, sdp, known) if takes else _read(without_keys, sdp)

    def _note(self, party: str, sdp: str, terms: MediaTerms) -> None:
        """Whether it is encrypted, by its description."""
        encrypted = is_encrypted(sdp, terms.encryption)
        if encrypted is not None:
            self._encrypted[party] = encrypted

    def _heard(self, event: MediaEvent) -> None:
        if isinstance(event, Lost):
            self.lost = True
        if self._on_event is not None:
            self._on_event(event)

    def _as_known(self, party: str, terms: MediaTerms) -> MediaTerms:
        """The terms of a party that is offered something anew: in the clear where it is.

        Who is encrypted is offered that by its own terms, which may take fax in the clear.
        """
        known_clear = self._encrypted.get(party) is False
        return terms.encrypted(Encryption.OFF) if known_clear else terms

    def _need(self, capability: Capability, what: str) -> None:
        if capability not in self._plane.capabilities:
            raise MediaError("unsupported", f"this media engine cannot {what}")


def by_leg(stats: MediaStats) -> dict[str, PartyStats]:
    """The counters by leg: `a` for the A-leg's party, `b` for the last B-leg's."""
    return {A_TAG if tag == A_TAG else "b": party for tag, party in stats.parties.items()}


def _check_fax(sdp: str | None, reader: MediaTerms) -> None:
    """Fax by T.38 alone is offered to nobody who takes none. Raises `MediaError` bad-sdp."""
    if sdp is None or reader.t38 or "m=image" not in sdp:
        return
    if _read(parse, sdp).fax is not None:
        raise MediaError("bad-sdp", "the other side takes no fax by T.38: media.t38 of its trunk")


def _unknown(terms: MediaTerms) -> str:
    """A party that waits for our offer: where it must be encrypted, with a key that nobody has."""
    if terms.encryption is not Encryption.REQUIRED:
        return UNKNOWN
    suite = PREFERENCE[0]
    key = Crypto(1, suite, secrets.token_bytes(suite.key_size))
    return f"{UNKNOWN.replace('RTP/AVP', 'RTP/SAVP')}a=crypto:{key.value}\r\n"


def _read(edit: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """An engine may take what we cannot read: the same as if it had refused it. MediaError."""
    try:
        return edit(*args, **kwargs)
    except ParseError as error:
        raise MediaError("bad-sdp", str(error)) from None
