"""One party's keys: what it was told, what it told us, what is in force (RFC 4568, SDES)."""

from __future__ import annotations

import random
from typing import Final

from sip.core.sdp_crypto import CLEAR, ENCRYPTED, Crypto, Suite, chosen, offered_keys, taken_up
from sip.media.plane import MediaError
from sip.media.relay.rewrite import RemoteMedia, Transport
from sip.media.relay.srtp import Guard, Sender, available

#: What a party is offered encrypted audio by, where it has not said another way.
_ENCRYPTED: Final = "RTP/SAVP"
_CLEAR: Final = "RTP/AVP"


class Keys:
    """One party's. `guard` and `sender` are None while its media is in the clear.

    A key of ours lasts as long as its suite is used: its context counts on over re-INVITEs. It is
    never used by two contexts, which could give one number to two packets.
    """

    __slots__ = ("_protocol", "_rng", "_senders", "_told", "guard", "sender")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        #: By what its audio is described, "" before that was said.
        self._protocol = ""
        #: The lines that the party has of us, in our offer or our answer.
        self._told: tuple[Crypto, ...] = ()
        self._senders: dict[bytes, Sender] = {}
        self.guard: Guard | None = None
        self.sender: Sender | None = None

    @property
    def suite(self) -> Suite | None:
        """By which its media is encrypted; None while it is in the clear."""
        return None if self.sender is None else self.sender.crypto.suite

    def offered(self, protocol: str) -> Transport:
        """How the party is offered audio: as it is spoken to already, else by `protocol`.

        Who has said nothing yet may be another than was offered the same before: a carrier that is
        tried next gets keys that the one before never saw.
        """
        if self._protocol:
            protocol, encrypted = self._protocol, self.sender is not None
        else:
            encrypted = protocol.upper() in ENCRYPTED
        if not encrypted:
            return Transport(protocol if protocol.upper() in CLEAR else _CLEAR)
        if not (self._told and self._protocol):
            self._told = tuple(offered_keys(available(), self._rng.randbytes))
        return Transport(protocol, self._told)

    def answered(self) -> Transport:
        """How an offer of the party is answered, once `took_offer` has read it."""
        return Transport(self._protocol or _CLEAR, self._told if self.sender is not None else ())

    def check_answer(self, media: RemoteMedia) -> None:
        """Raises `MediaError` bad-sdp for an answer with keys that takes up none of ours."""
        if media.keys and taken_up(self._told, media.keys) is None:
            raise MediaError("bad-sdp", "a=crypto takes up no line of our offer")

    def took_offer(self, media: RemoteMedia, now: float) -> None:
        """A description of the party is in force that is not known for an answer.

        It may be one all the same: to an offer that our 200 made, or a re-INVITE of ours. So what
        takes up a line that the party has leaves our key as it is.
        """
        if not media.codecs:  # it has no audio now, and what it has else is not encrypted by us
            return
        self._protocol = media.protocol
        if not media.keys:
            self.guard = self.sender = None
            self._told = ()
            return
        pair = taken_up(self._told, media.keys)
        line = chosen(media.keys, available())
        if pair is not None:
            self._apply(*pair, now)
        elif line is not None:
            sender = self.sender
            known = sender is not None and sender.crypto.suite is line.suite
            key = sender.crypto.key if known and sender is not None else self._key(line)
            ours = line.answered(key)
            self._told = (ours,)
            self._apply(ours, line, now)
        else:
            self.guard = self.sender = None
            self._told = ()

    def took_answer(self, media: RemoteMedia, now: float) -> None:
        """An answer of the party is in force; forks may answer one offer several times."""
        if not media.codecs:
            return
        self._protocol = media.protocol
        pair = taken_up(self._told, media.keys) if media.keys else None
        if pair is not None:
            self._apply(*pair, now)
        else:  # another fork may still take one of our lines up
            self.guard = self.sender = None

    def _apply(self, ours: Crypto, theirs: Crypto, now: float) -> None:
        self._senders = {
            key: sender
            for key, sender in self._senders.items()
            if any(key == told.key for told in self._told)
        }
        sender = self._senders.get(ours.key)
        if sender is None:
            sender = self._senders[ours.key] = Sender(ours)
        self.sender = sender
        if self.guard is None:
            self.guard = Guard(theirs)
        else:
            self.guard.rekey(theirs, now)

    def _key(self, line: Crypto) -> bytes:
        return self._rng.randbytes(line.suite.key_size)
