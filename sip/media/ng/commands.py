"""What is asked of an engine beside offers, answers and sounds, alike of both kinds.

rtpengine's docs/ng_control_protocol.md; tried with 10.5.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final

from sip.media.ng.bencode import Decoded, Encodable
from sip.media.plane import Capability, EngineStatistics, MediaError, Subscription, Withheld

#: Calls that one reply names at most: more might not fit a datagram.
MAX_LISTED: Final = 1000

_WITHHOLD: Final = {
    Withheld.BLOCKED: ("block media", "unblock media"),
    Withheld.SILENCED: ("silence media", "unsilence media"),
}


class Commands(ABC):
    """Part of an `NgClient`."""

    @property
    @abstractmethod
    def capabilities(self) -> frozenset[Capability]:
        """See `MediaPlane.capabilities`."""

    @abstractmethod
    async def request(self, command: str, keys: Mapping[str, Encodable]) -> dict[str, Decoded]:
        """Any NG command: its reply, or `MediaError`."""

    async def calls(self) -> tuple[str, ...]:
        """See `MediaPlane.calls`."""
        reply = await self.request("list", {"limit": MAX_LISTED})
        calls = reply.get("calls")
        named = calls if isinstance(calls, list) else []
        return tuple(call for call in named if isinstance(call, str))

    async def statistics(self) -> EngineStatistics:
        """See `MediaPlane.statistics`."""
        told = _dict((await self.request("statistics", {})).get("statistics"))
        now, since = _dict(told.get("currentstatistics")), _dict(told.get("totalstatistics"))
        return EngineStatistics(
            sessions=_number(now, "sessionstotal"),
            ended=_number(since, "managedsessions"),
            packets=_number(since, "relayedpackets"),
            octets=_number(since, "relayedbytes"),
            uptime_s=_number(since, "uptime"),
        )

    async def withhold(self, call_id: str, tag: str, how: Withheld) -> None:
        """See `MediaPlane.withhold`."""
        self._need(Capability.WITHHOLD, "withhold what a party says")
        await self.request(_WITHHOLD[how][0], {"call-id": call_id, "from-tag": tag})

    async def let_pass(self, call_id: str, tag: str, how: Withheld) -> None:
        """See `MediaPlane.let_pass`."""
        self._need(Capability.WITHHOLD, "withhold what a party says")
        await self.request(_WITHHOLD[how][1], {"call-id": call_id, "from-tag": tag})

    async def subscribe(self, call_id: str, tag: str) -> Subscription:
        """See `MediaPlane.subscribe`."""
        self._need(Capability.SUBSCRIBE, "send a copy of what a party says")
        reply = await self.request("subscribe request", {"call-id": call_id, "from-tag": tag})
        to_tag, sdp = reply.get("to-tag"), reply.get("sdp")
        if not isinstance(to_tag, str) or not isinstance(sdp, str):
            raise MediaError("refused", "the engine offers nothing to the subscriber")
        return Subscription(to_tag, sdp)

    async def answer_subscription(self, call_id: str, tag: str, sdp: str) -> None:
        """See `MediaPlane.answer_subscription`."""
        self._need(Capability.SUBSCRIBE, "send a copy of what a party says")
        keys = {"call-id": call_id, "to-tag": tag, "sdp": sdp, "flags": ["allow-transcoding"]}
        await self.request("subscribe answer", keys)

    async def unsubscribe(self, call_id: str, tag: str) -> None:
        """See `MediaPlane.unsubscribe`."""
        self._need(Capability.SUBSCRIBE, "send a copy of what a party says")
        await self.request("unsubscribe", {"call-id": call_id, "to-tag": tag})

    def _need(self, capability: Capability, what: str) -> None:
        if capability not in self.capabilities:
            raise MediaError("unsupported", f"this media engine cannot {what}")


def _dict(value: Decoded | None) -> Mapping[str, Decoded]:
    return value if isinstance(value, dict) else {}


def _number(told: Mapping[str, Decoded], key: str) -> int:
    """rtpengine writes some of its figures as text."""
    value = told.get(key)
    if isinstance(value, str) and value.isdigit():
        return int(value)
    return value if isinstance(value, int) else 0
