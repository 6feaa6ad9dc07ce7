"""What listens to one party for who it is; several may at once, by their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sip.core.sdp_lines import Codec
from sip.media.detection.terms import DetectionTerms
from sip.media.plane import MediaError
from sip.media.relay.detection_ear import DetectionEar, Tell
from sip.media.relay.party_audio import can_hear
from sip.media.relay.rtp_endpoint import RtpEndpoint
from sip.media.relay.timers import Timers


class Detections:
    """The detections of one party. Without one, they cost nothing."""

    __slots__ = ("_codec_of", "_ears", "_endpoint", "_timers")

    def __init__(
        self, endpoint: RtpEndpoint, codec_of: Callable[[int], Codec | None], timers: Timers
    ) -> None:
        """`codec_of` says what a payload type of the party is."""
        self._endpoint = endpoint
        self._codec_of = codec_of
        self._timers = timers
        self._ears: dict[int, DetectionEar] = {}

    def begin(
        self, number: int, codecs: Iterable[Codec], terms: DetectionTerms, tell: Tell, now: float
    ) -> None:
        """Listens from now on; another detection of that number gives way.

        `codecs` are all that the party may speak. Raises MediaError unsupported where none of them
        is decoded here.
        """
        known = list(codecs)
        if not any(can_hear(codec) for codec in known):
            named = ", ".join(str(codec) for codec in known) or "none was negotiated"
            raise MediaError("unsupported", f"the party has no codec that is decoded here: {named}")
        self.end(number)
        for over in [each for each, ear in self._ears.items() if ear.over]:
            del self._ears[over]
        self._ears[number] = DetectionEar(
            self._endpoint, self._codec_of, terms, tell, self._timers, now
        )

    def end(self, number: int) -> None:
        """Tells nothing more by that number; without effect where it is over."""
        ear = self._ears.pop(number, None)
        if ear is not None:
            ear.close()

    def close(self) -> None:
        """The party is gone."""
        for number in tuple(self._ears):
            self.end(number)
        self._codec_of = _unknown  # the party's, which holds this


def _unknown(_: int) -> None:
    """What a party that is gone speaks."""
