"""The media plane as the softswitch sees it: SDP in, SDP out, events, counters at the end.

Two engines stand behind it, both spoken to by rtpengine's NG control protocol
(`sip.media.ng.client`): our own relay (`sip.media.relay`) and rtpengine itself.

A call has *parties*, named by their SIP tags. An offer makes its sender's party and a pending
one for whoever will answer; the answer fixes the latter. Ports facing a party never move while
the call lasts, so that neither hunting nor a re-INVITE is seen from the other side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from sip.core.value import frozen
from sip.errors import Fault, SipError
from sip.media.detection.terms import DetectionTerms
from sip.media.events import Listener
from sip.media.quality import UNMEASURED, Course, Quality
from sip.media.terms import ANY_TERMS, MediaTerms, Signalling

MediaSlug = Literal[
    "timeout", "no-ports", "unknown-call", "bad-sdp", "bad-audio", "unsupported", "refused"
]

#: Longest file, in octets, that goes to an engine by its control protocol, which is UDP: 7.5 s of
#: G.711, 3.7 s of PCM16. A longer one is named by its path.
MAX_BLOB: Final = 60_000


#: Seconds without a packet after which a party that may send counts as silent: what a caller takes
#: for a fault, and longer than any loss that mends itself.
SILENCE_S: Final = 2.0

#: Why a call is not told who has answered.
NO_DETECTION: Final = (
    "this media engine cannot tell a person from an answering machine; the builtin one can"
)

_FAULTS: Final = {"bad-sdp": Fault.PEER, "no-ports": Fault.OPERATOR}


class MediaError(SipError):
    """The media plane did not do what it was asked.

    `slug` says which way, for tables of endings:

    - ``timeout``: the engine did not answer in time; it may or may not have acted.
    - ``no-ports``: no port pair is left (or no file descriptor for one).
    - ``unknown-call``: the engine does not know the call, for instance after its restart.
    - ``bad-sdp``: the session description cannot be relayed; the sender's fault (SIP 488).
    - ``bad-audio``: the file cannot be played; the operator's or application's fault.
    - ``unsupported``: the engine, or the party's codec, has no way to do this.
    - ``refused``: anything else the engine said no to, or it cannot be run at all.
    """

    fault = Fault.ENGINE

    def __init__(self, slug: MediaSlug, text: str) -> None:
        super().__init__(f"{slug}: {text}", fault=_FAULTS.get(slug))
        self.slug: MediaSlug = slug
        self.text = text


class RingbackTone(NamedTuple):
    """A cycle of what is heard in a country while the other side rings (`sip.media.ringback`).

    `country` is two letters of ISO 3166.
    """

    country: str


#: What can be played: a WAV file itself (up to `MAX_BLOB`), its path on the engine's host, a tone.
Playable: TypeAlias = bytes | Path | RingbackTone

#: How often a sound is repeated that is played until it is stopped; NG has no word for it.
FOREVER: Final = 1_000_000


def session_id(call_sid: str, number: int) -> str:
    """What an engine calls a call's media session; the first, number 0, as the call itself."""
    return f"{call_sid}/{number}" if number else call_sid


def call_sid_of(session_id: str) -> str:
    """The call that a media session is of."""
    return session_id.partition("/")[0]


class Capability(Enum):
    """What an engine can do beside relaying; what it cannot is refused as ``unsupported``."""

    __hash__ = object.__hash__  # members are singletons

    PLAY = "play"
    """Play a sound to a party, and tell its end."""
    DIGITS = "digits"
    """Tell the keys that a party presses in its media."""
    KEYS = "keys"
    """Send keys to a party in the form that it takes, whatever form they came in."""
    RECORD = "record"
    """Record what a call's parties say, in a channel each."""
    SILENCE = "silence"
    """Tell that a party is not heard."""
    WITHHOLD = "withhold"
    """Keep what a party says from its other side."""
    FAX_TONE = "fax-tone"
    """Tell that a party is a fax machine that calls."""
    DETECTION = "detection"
    """Tell whether a party is a person, a machine, a fax, or nobody."""
    SUBSCRIBE = "subscribe"
    """Send a copy of what a party says to somebody who is no party."""


class Withheld(Enum):
    """What a party's other side gets in the stead of what the party says."""

    BLOCKED = "blocked"
    """nothing of the party's"""
    SILENCED = "silenced"
    """silence"""


class Subscription(NamedTuple):
    """A subscriber: the tag by which the engine knows it, and the description to offer it."""

    tag: str
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatistics:
    """What an engine has done since its start, whoever's calls they were.

    `sessions` are in it now and `ended` no more; `packets` and `octets` are RTP that was passed on.
    """

    sessions: int = 0
    ended: int = 0
    packets: int = 0
    octets: int = 0
    uptime_s: int = 0


@frozen(kw_only=True)
class PartyStats:
    """One party's side of the media, RTP only.

    `packets_received` and `octets_received` (RTP payload and header, no UDP/IP) are what the
    party sent us and we took; `packets_sent` what we sent to it. `lost` is what was missing in
    its sequence numbers (RFC 3550 A.3, never below 0), `jitter_ms` its interarrival jitter
    (RFC 3550 A.8). `foreign` packets came from a source that is not the party's. `refused`
    packets came from the party and were dropped: payload type not negotiated, a second SSRC
    while the first still spoke, or no RTP at all. `payload_type` is the last one taken.
    `silent_s` is the time since the last packet taken, None if there was none. `keys_received` and
    `keys_sent` (DTMF in any form, also by signalling) are counted by the call. `crypto_suite` is
    how its media is encrypted, None where it is in the clear.

    `rtcp_sent` are the RTCP packets that it was sent, the other side's and ours. `quality` is how
    good the leg was and `samples` its course, None where the engine took none.

    What an engine does not count is 0 or None: rtpengine reports no foreign or refused packets
    and no payload type, and has loss and jitter only from the parties' RTCP.
    """

    address: tuple[str, int] | None = None
    packets_received: int = 0
    octets_received: int = 0
    packets_sent: int = 0
    octets_sent: int = 0
    lost: int = 0
    jitter_ms: float = 0.0
    foreign: int = 0
    refused: int = 0
    payload_type: int | None = None
    silent_s: float | None = None
    crypto_suite: str | None = None
    rtcp_received: int = 0
    rtcp_sent: int = 0
    keys_received: int = 0
    keys_sent: int = 0
    quality: Quality = UNMEASURED
    samples: Course | None = None


@frozen(kw_only=True)
class MediaStats:
    """A call's counters, by party tag. A party that was offered but never answered has none.

    `moves` is how often the call's engine died: what was counted until then is missing.
    """

    parties: dict[str, PartyStats] = field(default_factory=dict)
    moves: int = 0


class MediaPlane(Protocol):
    """What `MediaSession` needs of any media engine. Every coroutine may raise `MediaError`."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it can do beside relaying."""
        ...

    @property
    def ports(self) -> tuple[int, int] | None:
        """Its ports in use and in all, as of the last ping; None where it does not tell."""
        ...

    @property
    def heard_at(self) -> float | None:
        """When it last said anything, by its client's clock; None if it never did."""
        ...

    def listen(
        self,
        call_id: str,
        listener: Listener,
        *,
        fax_of: str | None = None,
        detects: bool = False,
    ) -> None:
        """Tells `listener` the call's events, from its next offer until it is deleted.

        `fax_of` is the tag of the party whose calling tone of a fax is one of them. With `detects`
        its parties will perhaps be listened to for who they are: of several engines it gets one
        that can, if one of those has room.
        """
        ...

    async def offer(
        self,
        call_id: str,
        from_tag: str,
        sdp: str,
        *,
        to_tag: str | None = None,
        media_address: str | None = None,
        received_from: Signalling | None = None,
        sender: MediaTerms = ANY_TERMS,
        reader: MediaTerms = ANY_TERMS,
    ) -> str:
        """Takes `from_tag`'s offer and returns the one to send on.

        Without `to_tag`: an initial INVITE. Until a party has answered, a repeated offer returns
        the same ports; after an answer it drops the party that answered and makes a new one
        (hunting). With `to_tag`: a re-INVITE or UPDATE in that direction; the new address is
        sent to once the answer came, so that a refused re-INVITE leaves everything as it was.

        `media_address` is written into the returned SDP in place of the engine's own address,
        `received_from` is where the signalling came from: the party's packets may come from that
        host as well as from the SDP's (RFC 4961, NAT), and from no other. `sender` and `reader`
        are the terms of the party whose `sdp` this is and of the one that gets what is returned.
        """
        ...

    async def answer(
        self,
        call_id: str,
        from_tag: str,
        to_tag: str,
        sdp: str,
        *,
        media_address: str | None = None,
        received_from: Signalling | None = None,
        sender: MediaTerms = ANY_TERMS,
        reader: MediaTerms = ANY_TERMS,
    ) -> str:
        """Takes `to_tag`'s answer to `from_tag`'s offer and returns the one for `from_tag`."""
        ...

    async def delete(self, call_id: str) -> MediaStats:
        """Ends the call's media, frees its ports and returns the final counters."""
        ...

    async def query(self, call_id: str) -> MediaStats:
        """The counters so far."""
        ...

    async def play(
        self, call_id: str, tag: str, sound: Playable, play_id: int, *, times: int = 1
    ) -> None:
        """Begins to play to the party `tag`, so many times; `Played` with `play_id` tells the end.

        While it lasts the party does not hear its other side. A play under way gives way.
        """
        ...

    async def stop_play(self, call_id: str, tag: str) -> None:
        """Ends what is played to the party; without effect if nothing is."""
        ...

    async def press(self, call_id: str, tag: str, key: str, duration_ms: int) -> None:
        """Sends a key as if the party `tag` had pressed it: its other side hears it.

        Returns when the engine has taken it; it is sent after those before it.
        """
        ...

    async def detect(self, call_id: str, tag: str, number: int, terms: DetectionTerms) -> None:
        """Listens to the party `tag` from now on for who it is; `Detected` with `number` tells.

        Another detection of the same number gives way.
        """
        ...

    async def stop_detecting(self, call_id: str, tag: str, number: int) -> None:
        """Nothing more is told by that number; without effect where it is over."""
        ...

    async def record(self, call_id: str, recording: str, left: str) -> None:
        """Begins the recording of that name, or goes on with one that is paused.

        What the party `left` says is its left channel.
        """
        ...

    async def pause_recording(self, call_id: str) -> None:
        """What is said from now on is left out; without effect where nothing is recorded."""
        ...

    async def stop_recording(self, call_id: str) -> None:
        """Ends the recording; without effect where nothing is recorded."""
        ...

    async def withhold(self, call_id: str, tag: str, how: Withheld) -> None:
        """What the party `tag` says does not reach its other side from now on."""
        ...

    async def let_pass(self, call_id: str, tag: str, how: Withheld) -> None:
        """The end of `withhold`; without effect if nothing is withheld in that way."""
        ...

    async def subscribe(self, call_id: str, tag: str) -> Subscription:
        """Somebody is to hear what the party `tag` says; it hears once it has answered."""
        ...

    async def answer_subscription(self, call_id: str, tag: str, sdp: str) -> None:
        """The subscriber `tag` answers what it was offered."""
        ...

    async def unsubscribe(self, call_id: str, tag: str) -> None:
        """The subscriber `tag` hears no more."""
        ...

    async def calls(self) -> tuple[str, ...]:
        """The ids of calls that are in it, a thousand at most, whoever's they are."""
        ...

    async def statistics(self) -> EngineStatistics:
        """What it has done since its start."""
        ...

    async def ping(self) -> None:
        """Returns if the engine is alive; `MediaError` refused at once where nobody listens."""
        ...

    async def close(self) -> None:
        """Lets go of the engine; calls in it are not ended."""
        ...
