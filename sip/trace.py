"""Remembers the SIP messages of calls, so that a failed one can be explained by its ladder.

Messages are kept whole, as they passed, and shown without their secrets. Their memory is bounded:
in all, for each dialog, and for what strangers send. When a budget is used up the oldest dialogs
are forgotten, and of a long dialog the middle: how it began and how it ended says most.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from itertools import count
from operator import itemgetter
from typing import Final, Literal, NamedTuple

from sip.clock import Clock
from sip.core.message import Request, Response
from sip.core.visible import HARMFUL, REPLACEMENT
from sip.redaction import Redaction

#: What is kept by default, in bytes: in all, and of one dialog. A call has two or three dialogs of
#: ten messages, about 15 kB together.
MAX_BYTES: Final = 32 << 20
MAX_DIALOG_BYTES: Final = 32 << 10
#: Of all that is kept, dialogs that no call came of have this part.
STRANGERS_SHARE: Final = 1 / 32
#: The longest message and Call-ID, in bytes and characters: a peer may send kilobytes of either.
MAX_MESSAGE_BYTES: Final = 16 << 10
MAX_CALL_ID: Final = 255
#: Messages of a dialog's beginning that are the last to be left out.
FIRST: Final = 10
#: What a message costs beside its bytes.
_OVERHEAD: Final = 250
_MAX_SUMMARY: Final = 200
# begins with a line break, which is found faster than the beginning of a line
_CSEQ: Final = re.compile(r"\ncseq[ \t]*:[ \t]*\d+[ \t]+(\S+)", re.IGNORECASE)

#: What moves a terminal's cursor, ends of lines excepted: a message is shown by lines.
_HARMFUL: Final = re.compile(f"(?![\r\n]){HARMFUL.pattern}")
#: What nearly every message is made of alone.
_PLAIN: Final = bytes(range(0x20, 0x7F)) + b"\r\n"

Direction = Literal["in", "out"]


class Traced(NamedTuple):
    """One message as a ladder shows it; `at` is seconds since 1970, `peer` `udp:192.0.2.1:5060`.

    `left_out` messages of its dialog passed just before it and are not kept.
    """

    at: float
    direction: Direction
    peer: str
    local: str
    sip_call_id: str
    message: str
    left_out: int = 0

    @property
    def summary(self) -> str:
        """`INVITE sip:…` or `200 OK (INVITE)`."""
        line = self.message.partition("\r\n")[0]
        if not line.startswith("SIP/2.0 "):
            return line.removesuffix(" SIP/2.0")[:_MAX_SUMMARY]
        found = _CSEQ.search(self.message)
        method = found[1] if found else "?"
        return f"{line.removeprefix('SIP/2.0 ')[:_MAX_SUMMARY]} ({method})"


#: The how manieth of all, when by the monotonic clock, which way, whose, ours, the bytes. A clock
#: may stand still while several pass.
_Noted = tuple[int, float, Direction, object, object, bytes]


class _Dialog:
    """The messages of one Call-ID."""

    __slots__ = ("epoch_at_zero", "gap", "left_out", "messages", "pool", "size")

    def __init__(self, pool: _Pool, epoch_at_zero: float) -> None:
        self.pool = pool
        #: what the wall clock said when the monotonic one was at zero
        self.epoch_at_zero = epoch_at_zero
        self.messages: list[_Noted] = []
        self.size = 0
        #: how many are left out, before which of the messages
        self.left_out, self.gap = 0, 0


class _Pool(OrderedDict[str, _Dialog]):
    """Dialogs that share a budget, the oldest first."""

    def __init__(self, budget_bytes: int) -> None:
        super().__init__()
        self.budget_bytes = budget_bytes
        self.size = 0


class Trace:
    """The messages of dialogs, by SIP Call-ID.

    A dialog begins with an INVITE. What else comes and goes all day, OPTIONS and REGISTER, belongs
    to no call. Dialogs of INVITEs that came share a small budget until a call is made of them
    (`keep`), so that strangers push no call out.
    """

    def __init__(
        self,
        *,
        budget_bytes: int = MAX_BYTES,
        dialog_bytes: int = MAX_DIALOG_BYTES,
        redaction: Redaction | None = None,
    ) -> None:
        """With `budget_bytes` 0 nothing is kept."""
        self._dialogs: dict[str, _Dialog] = {}
        self._dialog_bytes = dialog_bytes
        self._calls = _Pool(budget_bytes)
        self._strangers = _Pool(int(budget_bytes * STRANGERS_SHARE))
        self._numbers = count()
        #: what is taken out of a message before it is shown
        self.redaction = redaction or Redaction()

    @property
    def size(self) -> int:
        """About how many bytes are kept."""
        return self._calls.size + self._strangers.size

    def add(
        self,
        clock: Clock,
        direction: Direction,
        peer: object,
        local: object,
        message: Request | Response,
        data: bytes,
    ) -> None:
        """Remember `data`, which is `message`; `peer` and `local` print as their endpoints."""
        sip_call_id = message.call_id
        if len(sip_call_id) > MAX_CALL_ID:
            sip_call_id = sip_call_id[:MAX_CALL_ID]
        now = clock.now()
        dialog = self._dialogs.get(sip_call_id)
        if dialog is None:
            if not isinstance(message, Request) or message.method != "INVITE":
                return
            pool = self._calls if direction == "out" else self._strangers
            dialog = self._dialogs[sip_call_id] = _Dialog(pool, clock.epoch() - now)
            pool[sip_call_id] = dialog
        if len(data) > MAX_MESSAGE_BYTES:
            data = data[:MAX_MESSAGE_BYTES]
        dialog.messages.append((next(self._numbers), now, direction, peer, local, data))
        size = len(data) + _OVERHEAD
        dialog.size += size
        pool = dialog.pool
        pool.size += size
        if dialog.size > self._dialog_bytes:
            self._shorten(dialog)
        if pool.size > pool.budget_bytes:
            self._make_room(pool)

    def keep(self, sip_call_id: str) -> None:
        """A call is made of this dialog."""
        sip_call_id = sip_call_id[:MAX_CALL_ID]
        dialog = self._strangers.pop(sip_call_id, None)
        if dialog is not None:
            self._strangers.size -= dialog.size
            dialog.pool = self._calls
            self._calls[sip_call_id] = dialog
            self._calls.size += dialog.size
            self._make_room(self._calls)

    def ladder(self, sip_call_ids: Iterable[str]) -> list[Traced]:
        """All messages of these dialogs, in the order they passed, without their secrets.

        Their times count from the wall clock's at the first one, whatever set it since.
        """
        kept = [(name, self._dialogs.get(name[:MAX_CALL_ID])) for name in sip_call_ids]
        dialogs = [(name, dialog) for name, dialog in kept if dialog is not None]
        if not dialogs:
            return []
        first = min((dialog for _, dialog in dialogs), key=lambda dialog: dialog.messages[0][0])
        found = [
            (*noted, name, dialog.left_out if place == dialog.gap else 0)
            for name, dialog in dialogs
            for place, noted in enumerate(dialog.messages)
        ]
        found.sort(key=itemgetter(0))
        messages = self._shown([data for _, _, _, _, _, data, _, _ in found])
        zero = first.epoch_at_zero
        return [
            Traced(zero + now, direction, str(peer), str(local), name, message, left_out)
            for (_, now, direction, peer, local, _, name, left_out), message in zip(
                found, messages, strict=True
            )
        ]

    def _shown(self, messages: list[bytes]) -> list[str]:
        """Messages without their secrets, and with a sign in place of what would move a cursor.

        Most calls have nothing of that kind, which is told of all their messages at once.
        """
        whole = b"\0".join(messages)
        if whole.translate(None, _PLAIN) == b"\0" * (len(messages) - 1):
            text = whole.decode()
            if self.redaction.spares(text):
                return text.split("\0")
        return list(map(self._shown_alone, messages))

    def _shown_alone(self, data: bytes) -> str:
        message = self.redaction.of(data.decode(errors="replace"))
        plain = data.isascii() and not data.translate(None, _PLAIN)
        return message if plain else _HARMFUL.sub(REPLACEMENT, message)

    def forget(self, sip_call_ids: Iterable[str]) -> None:
        """Drop these dialogs: their ladder is stored elsewhere."""
        for sip_call_id in sip_call_ids:
            dialog = self._dialogs.pop(sip_call_id[:MAX_CALL_ID], None)
            if dialog is not None:
                del dialog.pool[sip_call_id[:MAX_CALL_ID]]
                dialog.pool.size -= dialog.size

    def _shorten(self, dialog: _Dialog) -> None:
        while dialog.size > self._dialog_bytes and len(dialog.messages) > 1:
            dialog.gap = min(FIRST, len(dialog.messages) - 2)
            size = len(dialog.messages.pop(dialog.gap)[-1]) + _OVERHEAD
            dialog.size -= size
            dialog.pool.size -= size
            dialog.left_out += 1

    def _make_room(self, pool: _Pool) -> None:
        while pool.size > pool.budget_bytes and pool:
            sip_call_id, dialog = pool.popitem(last=False)
            del self._dialogs[sip_call_id]
            pool.size -= dialog.size
