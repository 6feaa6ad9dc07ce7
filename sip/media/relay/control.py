"""NG requests in, NG replies out: the relay's commands, without sockets.

The dialect is rtpengine's (its docs/ng_control_protocol.md): ``cookie SP dictionary`` each way, in
JSON or bencode, `result` "ok", "pong" or "error" with `error-reason`. Our reasons begin with a slug
of `MediaError`. Counters come in rtpengine's shape (`tags`, `medias`, `streams`, `stats`) as far as
our client reads them, with the ones that rtpengine has not under further keys of `stats`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from sip.core.info_keys import KEYS, LEAST_MS, MOST_MS, USUAL_MS
from sip.core.sdp import Media
from sip.core.sdp_crypto import CLEAR, ENCRYPTED
from sip.media.ng.bencode import Decoded, Encodable
from sip.media.ng.detections import terms_of_keys
from sip.media.ng.form import Form, FormError, decode, encode
from sip.media.plane import MediaError, Withheld, call_sid_of
from sip.media.relay import codec_keys, report, rewrite, wav
from sip.media.relay.fillings import PASSED, HoldSound
from sip.media.relay.key_sender import PAUSE_MS, VOLUME, Keystroke
from sip.media.relay.listening import Wish
from sip.media.relay.notices import Client, Notices, Problems
from sip.media.relay.party import Description, Party
from sip.media.relay.rewrite import ReceivedSdp, Transport
from sip.media.relay.sessions import Offer, Sessions
from sip.media.relay.sounds import Sounds
from sip.media.relay.wav import Clip
from sip.media.ringback import ringback
from sip.media.terms import KeyForm, MediaTerms, Signalling

#: Seconds that a reply is kept for retransmissions of its request.
REPLY_LIFETIME_S = 30.0

#: Replies kept at most, whatever their age.
MAX_REPLIES = 20_000

#: Longest cookie of an NG message.
MAX_COOKIE = 256

#: Calls that ``list`` names unless it asks for more or fewer.
LISTED = 32

Reply = dict[str, Encodable]


class _Request(NamedTuple):
    """A request's keys, from where it came, and in which form."""

    keys: Mapping[str, Decoded]
    source: object
    form: Form


class Control:
    """Answers datagrams of the control socket.

    `advertise` is the address written into SDP, `began` the time at which the relay did.
    """

    def __init__(
        self,
        sessions: Sessions,
        notices: Notices,
        *,
        advertise: str,
        version: int,
        problems: Problems,
        began: float = 0.0,
    ) -> None:
        self._began = began
        self._sessions = sessions
        self._notices = notices
        self._advertise = advertise
        self._version = version
        self._problems = problems
        self._sounds = Sounds()
        self._replies: OrderedDict[tuple[object, bytes], tuple[float, bytes]] = OrderedDict()
        self._commands: dict[str, Callable[[_Request, float], Reply]] = {
            "ping": self._ping,
            "offer": self._offer,
            "answer": self._answer,
            "delete": self._delete,
            "query": self._query,
            "play media": self._play,
            "stop media": self._stop_play,
            "play DTMF": self._press,
            "start detection": self._detect,
            "stop detection": self._stop_detecting,
            "start recording": self._record,
            "pause recording": self._pause_recording,
            "stop recording": self._stop_recording,
            "block media": partial(self._withhold, Withheld.BLOCKED, True),
            "unblock media": partial(self._withhold, Withheld.BLOCKED, False),
            "silence media": partial(self._withhold, Withheld.SILENCED, True),
            "unsilence media": partial(self._withhold, Withheld.SILENCED, False),
            "list": self._list,
            "statistics": self._statistics,
        }

    def handle(self, datagram: bytes, source: object, now: float) -> bytes | None:
        """The reply to one datagram; None if it is not even addressed like an NG request.

        A cookie seen before from the same source gets the same reply and nothing is done again:
        control runs over UDP, so a request may come twice.
        """
        cookie, space, body = datagram.partition(b" ")
        if not space or not cookie or len(cookie) > MAX_COOKIE:
            self._problems.problem("relay.control-garbage", source=source, size=len(datagram))
            return None
        key = (source, cookie)
        cached = self._replies.get(key)
        if cached is not None:
            return cached[1]
        performed = self._perform(body, source, now)
        if performed is None:
            return None
        reply = cookie + b" " + encode(*performed)
        self._replies[key] = (now + REPLY_LIFETIME_S, reply)
        self.forget_replies(now)
        return reply

    def forget_replies(self, now: float) -> None:
        """Drops cached replies that are too old or too many."""
        replies = self._replies
        while replies:
            expires, _ = next(iter(replies.values()))
            if expires > now and len(replies) <= MAX_REPLIES:
                return
            replies.popitem(last=False)

    def _perform(self, body: bytes, source: object, now: float) -> tuple[Reply, Form] | None:
        """The reply to a request, and the form of both; None for an answer to a notice."""
        try:
            message, form = decode(body)
        except FormError as error:
            self._problems.problem("relay.control-malformed", source=source, reason=error)
            return _error(MediaError("refused", f"malformed request: {error}")), Form.BENCODE
        if "command" not in message and "number" in message:
            self._notices.acknowledged(source, message, now)
            return None
        return self._obey(_Request(message, source, form), now), form

    def _obey(self, request: _Request, now: float) -> Reply:
        try:
            name = _text(request, "command")
            command = self._commands.get(name)
            if command is None:
                known = ", ".join(self._commands)
                raise MediaError("unsupported", f"command {name!r} is not known ({known} are)")
            return command(request, now)
        except MediaError as error:
            if error.slug == "no-ports":
                self._problems.problem("relay.no-ports", **_ids(request), reason=error.text)
            return _error(error)
        except Exception as error:
            # Our fault. The request gets an answer and every other call goes on.
            self._problems.problem("relay.internal-error", **_ids(request), reason=repr(error))
            return _error(MediaError("refused", f"internal error: {error!r}"))

    def _ping(self, request: _Request, now: float) -> Reply:
        used, all_of_them = self._sessions.ports
        return {"result": "pong", "ports": all_of_them, "ports-in-use": used}

    def _offer(self, request: _Request, now: float) -> Reply:
        signalling = _received_from(request)
        sdp = self._read(request, signalling, offer=True)
        protocol = _protocol(request)
        from_tag = _text(request, "from-tag")
        to_tag = _text(request, "to-tag") if "to-tag" in request.keys else None
        _check_tags(from_tag, to_tag)
        asked = codec_keys.read(request.keys)
        told = asked.told(sdp.media.audio)
        receiver = self._sessions.offer(
            _text(request, "call-id"),
            from_tag,
            to_tag,
            Offer(
                Description(sdp.media, signalling, _terms(request), asked.wanted),
                sdp.media.codecs if told is None else rewrite.codecs_of(told),
                asked.sender_ms,
                asked.receiver_ms,
            ),
            now,
            _wish(request),
            hold=self._hold(request),
        )
        transport = receiver.crypto.offered(protocol or sdp.media.protocol)
        return self._sdp_reply(request, sdp, receiver, (transport, told))

    def _answer(self, request: _Request, now: float) -> Reply:
        signalling = _received_from(request)
        sdp = self._read(request, signalling, offer=False)
        from_tag, to_tag = _text(request, "from-tag"), _text(request, "to-tag")
        _check_tags(from_tag, to_tag)
        sender, told = self._sessions.answer(
            _text(request, "call-id"),
            from_tag,
            to_tag,
            Description(sdp.media, signalling, _terms(request)),
            now,
            hold=self._hold(request),
        )
        return self._sdp_reply(request, sdp, sender, (sender.crypto.answered(), told))

    def _delete(self, request: _Request, now: float) -> Reply:
        call = self._sessions.delete(_text(request, "call-id"), now)
        ids = _ids(request)
        for party in call.parties.values():
            foreign = party.rtp.foreign + party.rtcp.foreign
            if foreign:
                self._problems.problem(
                    "relay.foreign-packets", **ids, party=party.tag, packets=foreign
                )
            unsent = party.rtp.outlet.send_errors
            if unsent:
                self._problems.problem("relay.send-errors", **ids, party=party.tag, packets=unsent)
        return {"result": "ok", **report.of_call(call, now)}

    def _query(self, request: _Request, now: float) -> Reply:
        call = self._sessions.find(_text(request, "call-id"))
        call.note_silences(now)
        return {"result": "ok", **report.of_call(call, now)}

    def _play(self, request: _Request, now: float) -> Reply:
        clip = self._sound(request)
        times = _number(request, "repeat-times", 1)
        self._sessions.play(
            _text(request, "call-id"),
            _text(request, "from-tag"),
            clip,
            _number(request, "play-id", 0),
            now,
            times=max(1, times),
        )
        return {"result": "ok", "duration": clip.duration_ms}

    def _sound(self, request: _Request) -> Clip:
        """What is to be played: in the request itself, by its path on this host, or a tone."""
        if "blob" in request.keys:
            return wav.read(_text(request, "blob").encode("utf-8", "surrogateescape"))
        country = request.keys.get("ringback")
        if isinstance(country, str):  # "" is none in particular
            return self._sounds.ringback(ringback(country))
        return self._sounds.file(Path(_text(request, "file")))

    def _hold(self, request: _Request) -> HoldSound:
        """What the reader of the description hears on hold; silence in the stead of a bad file."""
        if "hold" not in request.keys:
            return PASSED
        music = None
        if "hold-music" in request.keys:
            try:
                music = self._sounds.file(Path(_text(request, "hold-music")))
            except MediaError as error:
                self._problems.problem("relay.hold-music", **_ids(request), reason=error.text)
        return HoldSound(passed=False, music=music)

    def _stop_play(self, request: _Request, now: float) -> Reply:
        self._sessions.stop_play(_text(request, "call-id"), _text(request, "from-tag"), now)
        return {"result": "ok"}

    def _press(self, request: _Request, now: float) -> Reply:
        self._sessions.press(
            _text(request, "call-id"), _text(request, "from-tag"), _keystroke(request), now
        )
        return {"result": "ok"}

    def _detect(self, request: _Request, now: float) -> Reply:
        call_id, tag = _text(request, "call-id"), _text(request, "from-tag")
        try:
            terms = terms_of_keys(request.keys)
        except ValueError as error:
            raise MediaError("refused", str(error)) from None
        self._sessions.detect(call_id, tag, _number(request, "detection", 0), terms, now)
        return {"result": "ok"}

    def _stop_detecting(self, request: _Request, now: float) -> Reply:
        call_id, tag = _text(request, "call-id"), _text(request, "from-tag")
        self._sessions.stop_detecting(call_id, tag, _number(request, "detection", 0))
        return {"result": "ok"}

    def _record(self, request: _Request, now: float) -> Reply:
        self._sessions.record(
            _text(request, "call-id"), _text(request, "recording"), _text(request, "left"), now
        )
        return {"result": "ok"}

    def _pause_recording(self, request: _Request, now: float) -> Reply:
        self._sessions.pause_recording(_text(request, "call-id"), now)
        return {"result": "ok"}

    def _stop_recording(self, request: _Request, now: float) -> Reply:
        self._sessions.stop_recording(_text(request, "call-id"), now)
        return {"result": "ok"}

    def _withhold(self, how: Withheld, kept: bool, request: _Request, now: float) -> Reply:
        call_id, tag = _text(request, "call-id"), _text(request, "from-tag")
        self._sessions.withhold(call_id, tag, how, kept, now)
        return {"result": "ok"}

    def _list(self, request: _Request, now: float) -> Reply:
        limit = _number(request, "limit", LISTED)
        if limit < 1:
            raise MediaError("refused", "limit is not above 0")
        return {"result": "ok", "calls": list(islice(self._sessions.call_ids, limit))}

    def _statistics(self, request: _Request, now: float) -> Reply:
        """Some of rtpengine's figures, under its names."""
        calls, passed = len(self._sessions), self._sessions.passed
        return {
            "result": "ok",
            "statistics": {
                "currentstatistics": {"sessionsown": calls, "sessionstotal": calls},
                "totalstatistics": {
                    "uptime": str(int(now - self._began)),
                    "managedsessions": self._sessions.ended,
                    "relayedpackets": passed.packets,
                    "relayedbytes": passed.octets,
                },
            },
        }

    def _read(
        self, request: _Request, signalling: Signalling | None, *, offer: bool
    ) -> ReceivedSdp:
        host = None if signalling is None else signalling.host
        return rewrite.read(_text(request, "sdp"), self._version, offer=offer, signalling_ip=host)

    def _sdp_reply(
        self,
        request: _Request,
        sdp: ReceivedSdp,
        facing: Party,
        described: tuple[Transport, Media | None],
    ) -> Reply:
        address = self._advertise
        if "media-address" in request.keys:
            address = rewrite.own_address(_text(request, "media-address"), self._version)
        return {"result": "ok", "sdp": sdp.rewritten(address, facing.pair.port, *described)}


def _error(error: MediaError) -> Reply:
    return {"result": "error", "error-reason": str(error)}


def _text(request: _Request, key: str) -> str:
    value = request.keys.get(key)
    if not isinstance(value, str) or not value:
        raise MediaError("refused", f"key {key!r} is missing or not a string")
    return value


def _ids(request: _Request) -> dict[str, str]:
    """The call's, for a line of the log."""
    call_id = request.keys.get("call-id")
    return {"call_sid": call_sid_of(call_id)} if isinstance(call_id, str) else {}


def _check_tags(from_tag: str, to_tag: str | None) -> None:
    if from_tag == to_tag:
        raise MediaError("refused", "from-tag and to-tag are the same")


def _received_from(request: _Request) -> Signalling | None:
    """rtpengine's form: a list of family and address, ["IP4", "192.0.2.1"]; `direct` is our own."""
    value = request.keys.get("received-from")
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], str):
        normal = rewrite.normal_address(value[1])
        if normal is not None:
            return Signalling(normal, direct=request.keys.get("direct") == 1)
    raise MediaError("refused", "received-from is not a list of family and address")


def _protocol(request: _Request) -> str | None:
    """rtpengine's `transport-protocol`: by what the reader of an offer is offered audio."""
    if "transport-protocol" not in request.keys:
        return None
    protocol = _text(request, "transport-protocol")
    if protocol not in CLEAR | ENCRYPTED:
        raise MediaError("unsupported", f"transport-protocol {protocol!r} is not RTP/(S)AVP(F)")
    return protocol


def _wish(request: _Request) -> Wish | None:
    """What the client wants to hear of the call: `notify`, perhaps with `silence`, `fax`."""
    if "notify" not in request.keys:
        return None
    silence_ms = _number(request, "silence", 0)
    return Wish(
        client=Client(request.source, request.form),
        silence_s=silence_ms / 1000 if silence_ms > 0 else None,
        fax=_text(request, "fax") if "fax" in request.keys else None,
    )


def _terms(request: _Request) -> MediaTerms:
    """The terms of the party whose SDP it is; the keys are our own."""
    dtmf = _text(request, "dtmf") if "dtmf" in request.keys else KeyForm.AUTO.value
    return _terms_of(dtmf, request.keys.get("takes-info") == 1)


@lru_cache(maxsize=64)
def _terms_of(dtmf: str, takes_info: bool) -> MediaTerms:
    try:
        return MediaTerms(dtmf=KeyForm(dtmf), takes_info=takes_info)
    except ValueError as error:
        raise MediaError("refused", str(error)) from None


def _keystroke(request: _Request) -> Keystroke:
    """rtpengine's keys of ``play DTMF``: times in ms; `volume` in dB, above 0 or below."""
    code = request.keys.get("code")
    if isinstance(code, int) and 0 <= code < len(KEYS):
        key = KEYS[code]
    elif isinstance(code, str) and len(code) == 1 and code.upper() in KEYS:
        key = code.upper()
    else:
        raise MediaError("refused", "code is none of 0-15, 0-9, *, #, A-D")
    return Keystroke(
        key,
        duration_s=_within(LEAST_MS, _number(request, "duration", USUAL_MS), MOST_MS) / 1000,
        pause_s=_within(LEAST_MS, _number(request, "pause", PAUSE_MS), MOST_MS) / 1000,
        volume=abs(_within(-63, _number(request, "volume", VOLUME), 63)),
    )


def _within(least: int, value: int, most: int) -> int:
    return min(max(value, least), most)


def _number(request: _Request, key: str, default: int) -> int:
    value = request.keys.get(key, default)
    if not isinstance(value, int):
        raise MediaError("refused", f"key {key!r} is not a number")
    return value
