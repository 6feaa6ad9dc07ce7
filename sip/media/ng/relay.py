"""The client of our own relay: all that a `MediaPlane` can do."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from sip.clock import Clock, LoopClock
from sip.media.detection.terms import DetectionTerms
from sip.media.events import Listener
from sip.media.ng.bencode import Encodable
from sip.media.ng.client import TIMEOUT_S, NgClient, play_keys, press_keys
from sip.media.ng.control_address import ControlAddress
from sip.media.ng.detections import keys_of_terms
from sip.media.ng.form import Form, FormError, decode, encode
from sip.media.ng.notices import COOKIE, NoticeReader
from sip.media.plane import SILENCE_S, Capability, Playable, RingbackTone
from sip.media.terms import KeyForm, MediaTerms, Signalling

log = structlog.get_logger(__name__)


class RelayClient(NgClient):
    """Made by `connect`, like every `NgClient`. `silence_s` None tells no silences."""

    #: It does by itself what another engine is told.
    _engine_keys: Mapping[str, Encodable] = {}

    def __init__(
        self,
        clock: Clock,
        timeout_s: float,
        form: Form,
        token: bytes = b"",
        silence_s: float | None = SILENCE_S,
        records: bool = False,
    ) -> None:
        super().__init__(clock, timeout_s, form)
        self._token = token
        self._silence_s = silence_s
        self._capabilities = _capabilities(tells_silences=silence_s is not None, records=records)
        self._notices = NoticeReader()
        #: Of each call that is listened to: the party that may be a fax.
        self._fax_of: dict[str, str | None] = {}

    @classmethod
    async def connect(
        cls,
        address: ControlAddress,
        *,
        clock: Clock | None = None,
        timeout_s: float = TIMEOUT_S,
        form: Form = Form.JSON,
        token: bytes = b"",
        silence_s: float | None = SILENCE_S,
        records: bool = False,
    ) -> RelayClient:
        """See `NgClient.connect`; `token` is what the relay wants over UDP."""
        client = cls(clock or LoopClock(), timeout_s, form, token, silence_s, records)
        await client.retarget(address)
        return client

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See `MediaPlane.capabilities`."""
        return self._capabilities

    def listen(
        self,
        call_id: str,
        listener: Listener,
        *,
        fax_of: str | None = None,
        detects: bool = False,
    ) -> None:
        """See `MediaPlane.listen`."""
        super().listen(call_id, listener)
        self._fax_of[call_id] = fax_of

    def _forget(self, call_id: str) -> None:
        super()._forget(call_id)
        self._fax_of.pop(call_id, None)

    async def ping(self) -> None:
        """See `MediaPlane.ping`."""
        reply = await self.request("ping", {})
        used, all_of_them = reply.get("ports-in-use"), reply.get("ports")
        if isinstance(used, int) and isinstance(all_of_them, int):
            self.ports = used, all_of_them

    async def play(
        self, call_id: str, tag: str, sound: Playable, play_id: int, *, times: int = 1
    ) -> None:
        """See `MediaPlane.play`."""
        if isinstance(sound, RingbackTone):
            what: dict[str, Encodable] = {"ringback": sound.country, "repeat-times": times}
        else:
            what = play_keys(sound, times)
        keys = {"call-id": call_id, "from-tag": tag, "play-id": play_id, **what}
        await self.request("play media", keys)

    async def detect(self, call_id: str, tag: str, number: int, terms: DetectionTerms) -> None:
        """See `MediaPlane.detect`."""
        keys = _detection(call_id, tag, number) | keys_of_terms(terms)
        await self.request("start detection", keys)

    async def stop_detecting(self, call_id: str, tag: str, number: int) -> None:
        """See `MediaPlane.stop_detecting`."""
        await self.request("stop detection", _detection(call_id, tag, number))

    async def record(self, call_id: str, recording: str, left: str) -> None:
        """See `MediaPlane.record`."""
        keys: dict[str, Encodable] = {"call-id": call_id, "recording": recording, "left": left}
        await self.request("start recording", keys)

    async def pause_recording(self, call_id: str) -> None:
        """See `MediaPlane.pause_recording`."""
        await self.request("pause recording", {"call-id": call_id})

    async def stop_recording(self, call_id: str) -> None:
        """See `MediaPlane.stop_recording`."""
        await self.request("stop recording", {"call-id": call_id})

    async def stop_play(self, call_id: str, tag: str) -> None:
        """See `MediaPlane.stop_play`."""
        await self.request("stop media", {"call-id": call_id, "from-tag": tag})

    async def press(self, call_id: str, tag: str, key: str, duration_ms: int) -> None:
        """See `MediaPlane.press`."""
        await self.request("play DTMF", press_keys(call_id, tag, key, duration_ms))

    def _sdp_keys(
        self,
        sdp: str,
        media_address: str | None,
        received_from: Signalling | None,
        sender: MediaTerms,
        reader: MediaTerms,
    ) -> dict[str, Encodable]:
        keys = super()._sdp_keys(sdp, media_address, received_from, sender, reader)
        if received_from is not None and received_from.direct:
            keys["direct"] = 1
        if sender.dtmf is not KeyForm.AUTO:
            keys["dtmf"] = sender.dtmf.value
        if sender.takes_info:
            keys["takes-info"] = 1
        if not reader.hold.passed:
            keys["hold"] = "silence" if reader.hold.music is None else "music"
        if reader.hold.music is not None:
            keys["hold-music"] = str(reader.hold.music)
        return keys

    def _wishes(self, call_id: str) -> dict[str, Encodable]:
        if call_id not in self._listeners:
            return {}
        silence = {} if self._silence_s is None else {"silence": round(self._silence_s * 1000)}
        fax_of = self._fax_of.get(call_id)
        fax = {} if fax_of is None else {"fax": fax_of}
        return {"notify": 1, **silence, **fax}

    def _unasked(self, cookie: bytes, body: bytes) -> None:
        if not cookie.startswith(COOKIE):
            return
        try:
            notice, form = decode(body)
        except FormError as error:
            log.warning("relay.notice-unreadable", error=str(error))
            return
        for call_id, event in self._notices.take(notice, self._clock.now()):
            self._tell(call_id, event)
        answer = encode({"result": "ok", "number": self._notices.last}, form)
        self._send_datagram(cookie + b" " + answer)


def _capabilities(*, tells_silences: bool, records: bool) -> frozenset[Capability]:
    lacks = {Capability.SUBSCRIBE}
    if not tells_silences:
        lacks.add(Capability.SILENCE)
    if not records:
        lacks.add(Capability.RECORD)
    return frozenset(Capability) - lacks


def _detection(call_id: str, tag: str, number: int) -> dict[str, Encodable]:
    return {"call-id": call_id, "from-tag": tag, "detection": number}
