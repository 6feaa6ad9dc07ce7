"""One call: placed through pyVoIP, played to, listened to, and reported on."""

import math
import socket
import threading
import time
from pathlib import Path
from typing import Any

from testkit import melody
from testkit.melody import AGENT, CALLER, Match
from testkit.phone import audio, wire
from testkit.phone.library import RTP, SIP, CallState, VoIPCall, VoIPPhone
from testkit.phone.options import CallOptions, Expect, PhoneError, resolve
from testkit.phone.recorder import Recorder
from testkit.phone.report import CallReport, Ended, Heard
from testkit.phone.rtp import Player, RtpStream
from testkit.phone.sip import SipClient

_LISTEN_EVERY_S = 0.25
_SILENT_S = 10.0  # after this without any response, none will come
_GREETING_S = 3.0  # we begin to play after this, if no agent's melody was heard
_GREETING_AT_MOST_S = 8.0  # and after this, if it was and does not stop speaking
_PAUSE_MS = 400
_MELODY_PAUSE_MS = 2040  # a loop of three seconds: an echo's delay is told up to that
_PLAYED_PAUSE_MS = 1000
_PLAYED_AT_LEAST_MS = 1000  # anything shorter is like too much else
_LAST_NOTES_S = 0.4
_SOUND_WANTED_MS = 2000
_ECHO_WITHIN_S = 2.0  # who hangs up sooner after a sound's end cannot say that none came back
#: How like what was played what comes back must be (testkit.phone.audio.similarity).
_LIKE_FROM = 0.7


class _Call(VoIPCall):
    """pyVoIP's call, with our audio stream on a port that is already bound."""

    def __init__(self, caller: "Caller", *args: Any, **keywords: Any) -> None:
        self._caller = caller
        super().__init__(*args, **keywords)

    def __del__(self) -> None:
        """pyVoIP's own releases a port that it never leased."""

    def create_rtp_clients(
        self, codecs: Any, ip: str, port: int, request: SIP.SIPMessage, baseport: int
    ) -> None:
        if self.RTPClients:
            return
        remote = (request.body["c"][0]["address"], baseport)
        self.RTPClients.append(self._caller.stream(codecs, remote))

    def answered(self, request: SIP.SIPMessage) -> None:
        """A 200 may come again; without usable SDP it cannot be talked on."""
        if self.state is CallState.DIALING and request.body.get("m") and request.body.get("c"):
            super().answered(request)


def _read_played(path: Path) -> bytes:
    pcm = audio.read_wav(path)
    if audio.sound_ms(pcm) < _PLAYED_AT_LEAST_MS:
        raise audio.AudioError(
            f"{path}: less than {_PLAYED_AT_LEAST_MS / 1000:g} s of sound, too little to know again"
        )
    return pcm


class _Phone(VoIPPhone):
    """pyVoIP's phone around our SIP client; it keeps the call and takes its messages."""

    def __init__(self, own: str, options: CallOptions, address: str) -> None:
        super().__init__(address, options.port, options.from_user, "", myIP=own, callCallback=None)


class Caller:
    """Places one call with `call()`; not to be used again."""

    def __init__(self, options: CallOptions) -> None:
        self._options = options
        self._address, self._own = resolve(options.host, options.port)
        self._played = _read_played(options.play) if options.play else None
        self._player = (
            Player(self._played, _PLAYED_PAUSE_MS)
            if self._played is not None
            else Player(melody.synthesise(CALLER), _MELODY_PAUSE_MS)
        )
        self._recorder = Recorder()
        self._stream: RtpStream | None = None
        self._audio_socket = self._bind_audio()
        self._changed = threading.Condition()
        self._began = 0.0
        self._ringing_at: float | None = None
        self._answered_at: float | None = None
        self._final: wire.Message | None = None
        self._anything_back = False
        self._phone = _Phone(self._own, options, self._address)
        self._sip = self._phone.sip = SipClient(
            remote=(self._address, options.port),
            own=(self._own, options.listen_port),
            from_user=options.from_user,
            login=(options.user, options.password or "") if options.user else None,
            phone=self._phone,
            on_message=self._message,
            on_response=self._response,
        )

    def call(self) -> CallReport:
        try:
            self._sip.start()
        except OSError as error:
            self._audio_socket.close()
            port = f"{self._own}:{self._options.listen_port}"
            raise PhoneError(f"the phone cannot use udp:{port}: {error.strerror}") from error
        call = self._dial()
        try:
            ended = self._wait_for_answer(call)
            if ended is None:
                ended = self._talk(call)
            talked_until = time.monotonic()
            self._hang_up(call, ended)
        finally:
            self._sip.stop()
            for stream in call.RTPClients:
                stream.stop()
            self._audio_socket.close()
        if self._options.record is not None:
            audio.write_wav(self._options.record, self._recorder.pcm())
        return self._report(call, ended, talked_until)

    def stream(self, codecs: dict[int, Any], remote: tuple[str, int]) -> RtpStream:
        """For the call, once the other side's SDP is known."""
        known = {pt: kind for pt, kind in codecs.items() if isinstance(kind, RTP.PayloadType)}
        self._stream = RtpStream(known, self._audio_socket, remote, self._player, self._recorder)
        return self._stream

    # --- the call's course ------------------------------------------------------------------

    def _bind_audio(self) -> socket.socket:
        """RFC 3550 11: an even port, held from here on."""
        while True:
            held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            held.bind((self._own, 0))
            if held.getsockname()[1] % 2 == 0:
                return held
            held.close()

    def _dial(self) -> _Call:
        # Both laws and keypad digits; pyVoIP's own `call` offers mu-law only.
        port = self._audio_socket.getsockname()[1]
        kinds = RTP.PayloadType
        media = {port: {0: kinds.PCMU, 8: kinds.PCMA, 101: kinds.EVENT}}
        direction = RTP.TransmitType.SENDRECV
        text, call_id, session = self._sip.invite_text(self._options.number, media, direction)
        for name, value in self._options.headers:
            text = text.replace("\r\nContent-Type:", f"\r\n{name}: {value}\r\nContent-Type:", 1)
        call = _Call(
            self,
            self._phone,
            CallState.DIALING,
            SIP.SIPMessage(wire.tidied(wire.parse(text.encode()))),
            session,
            self._own,
            ms=media,
            sendmode=self._phone.sendmode,
        )
        self._phone.calls[call_id] = call  # before a response can come, unlike pyVoIP
        self._began = time.monotonic()
        self._sip.send_invite(text)
        return call

    def _wait_for_answer(self, call: _Call) -> Ended | None:
        """None once it is answered, otherwise how it failed."""
        give_up_at = self._began + self._options.answer_within_s
        silent_at = self._began + _SILENT_S
        with self._changed:
            while self._final is None:
                now = time.monotonic()
                if not self._anything_back and now >= min(silent_at, give_up_at):
                    return Ended.NOTHING_CAME_BACK
                if now >= give_up_at:
                    return Ended.NO_ANSWER
                self._changed.wait(timeout=0.1)
                if not self._anything_back and now > self._began + 1 and self._nobody_listens():
                    return Ended.NOTHING_LISTENS
            status = self._final.status or 0
        if status >= 300:
            return Ended.REFUSED
        return None

    def _nobody_listens(self) -> bool:
        """A connected socket hears of a closed port on this machine, and on some others."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.1)
            try:
                probe.connect((self._address, self._options.port))
                probe.send(b"\r\n\r\n")  # a keep-alive, which SIP ignores
                probe.recv(16)
            except ConnectionRefusedError:
                return True
            except OSError:
                return False
        return False

    def _talk(self, call: _Call) -> Ended:
        """Plays and listens until all is heard, the other side hangs up, or the time is over."""
        until = time.monotonic() + self._options.max_talk_s
        greeting_until = time.monotonic() + _GREETING_S
        if self._options.expect is Expect.SOUND:
            self._player.start()
        greeted = False
        while time.monotonic() < until:
            with self._changed:
                self._changed.wait_for(
                    lambda: call.state is CallState.ENDED, timeout=_LISTEN_EVERY_S
                )
            if call.state is CallState.ENDED:
                return Ended.OTHER_SIDE
            if self._options.expect is Expect.SOUND:
                continue  # a real agent is listened to for the whole time
            if not greeted and melody.find(AGENT, self._recorder.pcm(last_ms=2500)).heard:
                greeted = True
                greeting_until = time.monotonic() + _GREETING_AT_MOST_S
            paused = greeted and not audio.sound_ms(self._recorder.pcm(last_ms=_PAUSE_MS))
            if paused or time.monotonic() > greeting_until:
                self._player.start()  # an agent that still speaks does not listen
            if greeted and self._echoed_lately():
                # Known by its first notes; the rest is on its way.
                until = min(until, time.monotonic() + _LAST_NOTES_S)
        return Ended.PHONE

    def _echoed_lately(self) -> bool:
        """Whether the echo is in the last few seconds: all there is to search while talking."""
        if self._played is None:
            return melody.find(CALLER, self._recorder.pcm(last_ms=2500)).heard
        lately = self._recorder.pcm(last_ms=audio.REFERENCE_MS + 2500)
        return audio.similarity(self._played, lately).score >= _LIKE_FROM

    def _hang_up(self, call: _Call, ended: Ended) -> None:
        if ended is Ended.PHONE and call.state is CallState.ANSWERED:
            call.hangup()
            self._sip.ended.wait(timeout=4.0)
        elif self._answered_at is not None and ended is not Ended.OTHER_SIDE:
            self._sip.bye(call.request)  # answered, but with nothing to talk on
            self._sip.ended.wait(timeout=4.0)
        elif ended is Ended.NO_ANSWER:
            self._sip.cancel()
            with self._changed:
                self._changed.wait_for(lambda: self._final is not None, timeout=4.0)

    # --- what pyVoIP and its wire tell us (on the receiving thread) ---------------------------

    def _message(self, message: SIP.SIPMessage) -> None:
        """A 200 to our INVITE, a re-INVITE or a BYE: pyVoIP's own business."""
        self._phone.callback(message)
        with self._changed:
            self._changed.notify_all()

    def _response(self, message: wire.Message) -> None:
        status = message.status or 0
        with self._changed:
            self._anything_back = True
            if 180 <= status < 190 and self._ringing_at is None:
                self._ringing_at = time.monotonic()
            if status >= 200 and self._final is None:
                self._final = message
                if status < 300:
                    self._answered_at = time.monotonic()
            self._changed.notify_all()

    # --- what it all showed -------------------------------------------------------------------

    def _heard(self, talked_s: float, talked_until: float) -> tuple[Heard, ...]:
        pcm = self._recorder.pcm()
        if self._options.expect is Expect.SOUND:
            loud = audio.sound_ms(pcm) >= _SOUND_WANTED_MS
            judged = loud or talked_s >= _SOUND_WANTED_MS / 1000 + _ECHO_WITHIN_S
            return (Heard(direction="agent → caller", what="sound", heard=loud, judged=judged),)
        greeting = melody.find(AGENT, pcm)
        if self._played is None:
            echo, enough = melody.find(CALLER, pcm), melody.HEARD_FROM
            what = "our melody"
        else:
            echo, enough = audio.similarity(self._played, pcm), _LIKE_FROM
            what = "the played file"
        return (
            Heard(
                direction="agent → caller",
                what="its melody",
                heard=greeting.heard,
                similarity=round(greeting.score, 3),
                at_ms=greeting.at_ms if greeting.heard else None,
                judged=greeting.heard or talked_s >= _GREETING_S,
            ),
            Heard(
                direction="caller → agent → caller",
                what=what,
                heard=echo.score >= enough,
                similarity=round(echo.score, 3),
                at_ms=echo.at_ms if echo.score >= enough else None,
                delay_ms=self._delay_ms(echo) if echo.score >= enough else None,
                judged=echo.score >= enough or self._played_long_before(talked_until),
            ),
        )

    def _played_long_before(self, talked_until: float) -> bool:
        """Whether our sound was played once, and could come back, before the call was over."""
        began = self._player.started_at
        return began is not None and talked_until >= began + self._player.sound_s + _ECHO_WITHIN_S

    def _delay_ms(self, echo: Match) -> int | None:
        """From the last time we began to play to hearing it begin."""
        heard_at, started_at = self._recorder.arrived_at(echo.at_ms), self._player.started_at
        if heard_at is None or started_at is None:
            return None
        since = heard_at - started_at
        # A place is known to 40 ms only, so an instant echo may seem to come before its sound.
        return max(0, round(1000 * ((since + 0.06) % self._player.loop_s - 0.06)))

    def _report(self, call: _Call, ended: Ended, talked_until: float) -> CallReport:
        final, stream, pcm = self._final, self._stream, self._recorder.pcm()
        reception = self._recorder.reception()
        level = audio.level_dbfs(pcm)
        answered_at = self._answered_at
        talked_s = talked_until - answered_at if answered_at else 0.0
        return CallReport(
            number=self._options.number,
            via=f"{self._options.host}:{self._options.port}",
            from_user=self._options.from_user,
            login=self._options.user,
            sip_call_id=call.call_id,
            ended=ended,
            status=final.status if final else None,
            reason=final.reason if final else "",
            ringing_ms=self._since_began(self._ringing_at),
            answered_ms=self._since_began(answered_at),
            first_audio_ms=self._since_began(reception.first_at),
            talked_ms=round(1000 * talked_s),
            codec=stream.codec if stream else None,
            packets_sent=stream.packets_sent if stream else 0,
            packets_received=reception.received,
            packets_lost=reception.lost,
            jitter_ms=round(reception.jitter_ms, 2),
            sound_ms=audio.sound_ms(pcm),
            level_dbfs=None if level == -math.inf else round(level, 1),
            heard=self._heard(talked_s, talked_until) if answered_at else (),
        )

    def _since_began(self, at: float | None) -> int | None:
        return None if at is None else round(1000 * (at - self._began))
