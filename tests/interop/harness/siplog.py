"""SIPp's message log (-trace_msg), read back as messages.

A parser of a few lines of its own: what the gateway sent is not judged by the gateway's parser.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ENTRY = re.compile(
    r"^-{20,} (?P<date>\d{4}-\d\d-\d\d) (?P<hours>\d\d):(?P<minutes>\d\d):(?P<seconds>[\d.]+)\n"
    r"(?:UDP|TCP) message (?P<way>sent|received) .*\n\n",
    re.MULTILINE,
)
_ASTERISK = re.compile(
    rb"^<--- (?P<way>Transmitting|Received) SIP \w+ \((?P<size>\d+) bytes\) \w+ \S+ --->\n",
    re.MULTILINE,
)
_COMPACT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "c": "content-type",
    "l": "content-length",
}


@dataclass(frozen=True, slots=True)
class Logged:
    """One SIP message as SIPp saw it."""

    at_s: float
    sent: bool
    text: str

    @property
    def start_line(self) -> str:
        return self.text.partition("\n")[0]

    @property
    def status(self) -> int:
        """The response's code; 0 for a request."""
        return int(self.start_line.split()[1]) if self.start_line.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """The request's method; of a response, the method that it answers."""
        return self.header("cseq").split()[-1] if self.status else self.start_line.split()[0]

    @property
    def uri(self) -> str:
        return "" if self.status else self.start_line.split()[1]

    @property
    def body(self) -> str:
        return self.text.partition("\n\n")[2]

    @property
    def call_id(self) -> str:
        return self.header("call-id")

    @property
    def branch(self) -> str:
        match = re.search(r";branch=([^;,\s]+)", self.header("via"))
        return match.group(1) if match else ""

    def headers(self, name: str) -> list[str]:
        """Every value line of a header, in order."""
        found = []
        for line in self.text.partition("\n\n")[0].splitlines()[1:]:
            key, _, value = line.partition(":")
            key = key.strip().lower()
            if _COMPACT.get(key, key) == name.lower():
                found.append(value.strip())
        return found

    def header(self, name: str) -> str:
        values = self.headers(name)
        return values[0] if values else ""

    def __str__(self) -> str:
        return f"{'->' if self.sent else '<-'} {self.start_line}"


class MessageLog:
    """All messages of one SIPp run, in order."""

    def __init__(self, messages: list[Logged]) -> None:
        self.messages = messages

    @classmethod
    def read(cls, path: Path) -> "MessageLog":
        return cls(list(_entries(path.read_text(errors="replace")))) if path.exists() else cls([])

    def sent(self, method: str, status: int = 0) -> list[Logged]:
        """The requests of that method that SIPp sent, or its responses of that status to one."""
        return self._pick(True, method, status)

    def received(self, method: str, status: int = 0) -> list[Logged]:
        """The requests of that method that SIPp got, or the responses of that status to one."""
        return self._pick(False, method, status)

    def statuses(self, method: str = "INVITE") -> list[int]:
        """The codes that came back for a method, in order, 100 left out."""
        return [
            message.status
            for message in self.messages
            if not message.sent and message.status > 100 and message.method == method
        ]

    def repeated(self) -> dict[str, int]:
        """What the other side sent more than once: start line → how many times too often."""
        seen = Counter(message.text for message in self.messages if not message.sent)
        extra: Counter[str] = Counter()
        for text, times in seen.items():
            if times > 1:
                extra[text.partition("\n")[0]] += times - 1
        return dict(extra)

    def ladder(self) -> str:
        return "\n".join(str(message) for message in self.messages)

    def _pick(self, sent: bool, method: str, status: int) -> list[Logged]:
        return [
            message
            for message in self.messages
            if message.sent is sent and message.method == method and message.status == status
        ]


def of_asterisk(console: bytes) -> MessageLog:
    """The messages in what Asterisk's `pjsip set logger on` printed; it tells no time."""
    found = []
    for entry in _ASTERISK.finditer(console):
        text = console[entry.end() : entry.end() + int(entry["size"])].decode(errors="replace")
        sent = entry["way"] == b"Transmitting"
        found.append(Logged(0.0, sent, text.replace("\r\n", "\n").rstrip("\n") + "\n"))
    return MessageLog(found)


def _entries(text: str) -> Iterator[Logged]:
    text = text.replace("\r\n", "\n")
    starts = list(_ENTRY.finditer(text))
    for index, start in enumerate(starts):
        end = starts[index + 1].start() if index + 1 < len(starts) else len(text)
        at_s = (int(start["hours"]) * 60 + int(start["minutes"])) * 60 + float(start["seconds"])
        yield Logged(at_s, start["way"] == "sent", text[start.end() : end].rstrip("\n") + "\n")
