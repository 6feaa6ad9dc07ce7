"""One party's keys: what it was told, what it told us, what is in force (RFC 4568, SDES)."""

from __future__ import annotations

import random
from typing import Final

from sip.core.sdp_crypto import CLEAR, ENCRYPTED, Crypto, chosen, offered_keys, taken_up
from sip.media.plane import MediaError
from sip.media.relay.rewrite import RemoteMedia, Transport
from sip.media.relay.srtp import Guard, Sender, available

#: What a party is offered encrypted audio by, where it has not said another way.
_ENCRYPTED: Final = "RTP/SAVP"
_CLEAR: Final = "RTP/AVP"


class Keys:
    """One party's. `guard` and `sender` are None while its media is in the clear.

    A key of ours stays for as long as the party's does: its context counts on over re-INVITEs. It
    is never used by two contexts, which could give one number to two packets.
    """

    __slots__ = ("_protocol", "_rng", "_senders", "_told", "guard", "sender")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        #: By what its audio is described, "" before that was said.
        self._protocol = ""
        #: The lines that the party has of us, in our offer or our answer.
        self._told: tuple[Crypto, ...] = ()
        self._senders: dict[Crypto, Sender] = {}
        self.guard: Guard | None = None
        self.sender: Sender | None = None

    def offered(self, protocol: str) -> Transport:
        """How the party is offered audio: as it is spoken to already, else by `protocol`."""
        if self._protocol:
            protocol = self._protocol
            encrypted = self.sender is not None
        else:
            encrypted = protocol.upper() in ENCRYPTED
        if not encrypted:
            return Transport(protocol if protocol.upper() in CLEAR else _CLEAR)
        if not self._told:
            self._told = tuple(offered_keys(available(), self._random))
        return Transport(protocol, self._told)

    def answered(self) -> Transport:
        """How an offer of the party is answered, once `took_offer` read it."""
        return Transport(self._protocol, self._told if self.sender is not None else ())

    def check_answer(self, media: RemoteMedia) -> None:
        """Raises `MediaError` bad-sdp for an answer with keys that takes up none of ours."""
        if media.keys and taken_up(self._told, media.keys) is None:
            raise MediaError("bad-sdp", "a=crypto takes up no line of our offer")

    def took_offer(self, media: RemoteMedia, now: float) -> None:
        """An offer of the party is in force."""
        line = chosen(media.keys, available())
        self._protocol = media.protocol
        if line is None:
            self.guard = self.sender = None
            self._told = ()
            self._senders = {}
            return
        held, sender = self.guard, self.sender
        same = held is not None and held.receiver.crypto.same_key(line)
        if same and sender is not None:
            ours = line.answered(sender.crypto.key)
            self._senders = {ours: sender}
        else:  # who changes its key gets another of ours, as it may begin its counting anew
            ours = line.answered(self._random(line.suite.key_size))
            self._senders = {}
        self._told = (ours,)
        self._apply(ours, line, now)

    def took_answer(self, media: RemoteMedia, now: float) -> None:
        """An answer of the party is in force; forks may answer one offer several times."""
        pair = taken_up(self._told, media.keys)
        self._protocol = media.protocol
        if pair is None:  # another fork may still take one of our lines up
            self.guard = self.sender = None
        else:
            self._apply(*pair, now)

    def _apply(self, ours: Crypto, theirs: Crypto, now: float) -> None:
        sender = self._senders.get(ours)
        if sender is None:
            sender = self._senders[ours] = Sender(ours)
        self.sender = sender
        if self.guard is None:
            self.guard = Guard(theirs)
        else:
            self.guard.rekey(theirs, now)

    def _random(self, size: int) -> bytes:
        return self._rng.randbytes(size)
