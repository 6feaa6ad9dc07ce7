"""A blocking client for the NG protocol: both media engines are driven by the same few lines.

The instrument stands apart from what it measures: this is not the client the softswitch uses.
"""

import secrets
import socket
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from bench.errors import BenchError

Encodable = str | Sequence[str] | Mapping[str, "Encodable"]
Value = int | bytes | list["Value"] | dict[str, "Value"]

_TRIES = 5
_PATIENCE_S = 1.0


class NgClient:
    """One engine's control socket. Raises BenchError when the engine is silent or refuses."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._socket.settimeout(_PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def ping(self) -> None:
        self._ask({"command": "ping"}, "pong")

    def offer(
        self,
        call_id: str,
        from_tag: str,
        sdp: str,
        codec: Mapping[str, list[str]] | None = None,
        protocol: str = "",
    ) -> str:
        """The session description for the other side.

        `codec` says what becomes of its codecs, `protocol` whether it is asked to encrypt.
        """
        keys: dict[str, Encodable] = {} if codec is None else {"codec": codec}
        if protocol:
            keys["transport-protocol"] = protocol
        about = {"command": "offer", "call-id": call_id, "from-tag": from_tag, "sdp": sdp}
        return self._sdp({**about, **keys})

    def answer(self, call_id: str, from_tag: str, to_tag: str, sdp: str) -> str:
        """The session description for the side that offered."""
        return self._sdp(
            {
                "command": "answer",
                "call-id": call_id,
                "from-tag": from_tag,
                "to-tag": to_tag,
                "sdp": sdp,
            }
        )

    def _sdp(self, request: Mapping[str, "Encodable"]) -> str:
        sdp = self._ask({**request, "ICE": "remove"}, "ok").get("sdp")
        if not isinstance(sdp, bytes):
            raise BenchError(f"the media engine answered {request['command']} without SDP")
        return sdp.decode()

    def _ask(self, request: Mapping[str, "Encodable"], expected: str) -> dict[str, Value]:
        cookie = secrets.token_hex(6).encode()
        datagram = cookie + b" " + encode(request)
        for _ in range(_TRIES):
            self._socket.send(datagram)
            try:
                answer = self._socket.recv(65_536)
                while not answer.startswith(cookie):
                    answer = self._socket.recv(65_536)
            except (TimeoutError, ConnectionRefusedError):
                continue
            reply, _ = decode(answer[len(cookie) + 1 :], 0)
            if not isinstance(reply, dict) or reply.get("result") != expected.encode():
                raise BenchError(f"the media engine refused {request['command']}: {reply!r}")
            return reply
        raise BenchError(f"the media engine did not answer {request['command']}")


def encode(value: Encodable) -> bytes:
    """Bencoded; a dictionary's keys sorted as the format wants."""
    if isinstance(value, str):
        word = value.encode()
        return b"%d:%s" % (len(word), word)
    if isinstance(value, Mapping):
        return b"d" + b"".join(encode(key) + encode(value[key]) for key in sorted(value)) + b"e"
    return b"l" + b"".join(map(encode, value)) + b"e"


def decode(data: bytes, at: int) -> tuple[Value, int]:
    """The bencoded value that starts at `at`, and where the next one starts."""
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind == b"l":
        at += 1
        items: list[Value] = []
        while data[at : at + 1] != b"e":
            item, at = decode(data, at)
            items.append(item)
        return items, at + 1
    if kind == b"d":
        at += 1
        entries: dict[str, Value] = {}
        while data[at : at + 1] != b"e":
            key, at = decode(data, at)
            value, at = decode(data, at)
            entries[key.decode() if isinstance(key, bytes) else str(key)] = value
        return entries, at + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    return data[colon + 1 : end], end
