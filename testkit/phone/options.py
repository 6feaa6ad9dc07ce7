"""What a test call is asked to do."""

import enum
import re
import socket
from dataclasses import dataclass
from pathlib import Path

_VIA = re.compile(
    r"(?:sip:)?(?:(?P<user>[^@;]*)@)?(?P<host>[^:;@\[\]]+)(?::(?P<port>\d{1,5}))?(?P<params>;.*)?"
)


class PhoneError(Exception):
    """The call cannot be placed; the text is one line for the person at the terminal."""


class Expect(enum.Enum):
    """What counts as heard."""

    MELODIES = "melodies"
    """The sandbox agent: its melody, and what we play coming back."""
    SOUND = "sound"
    """Anything else, such as a real agent: two seconds of sound. Nothing can be said of what
    the other side heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    number: str
    host: str = "127.0.0.1"
    port: int = 5060
    from_user: str = "+14155550199"
    listen_port: int = 0
    """The phone's own SIP port (UDP); 0: any free one."""
    play: Path | None = None
    """A WAV to play over and over; None: our own melody."""
    record: Path | None = None
    """Where to write what was heard, as a WAV of 8 kHz."""
    max_talk_s: float = 15.0
    answer_within_s: float = 45.0
    expect: Expect = Expect.MELODIES
    user: str | None = None
    password: str | None = None
    """For a gateway that asks callers for a login (digest)."""
    headers: tuple[tuple[str, str], ...] = ()
    """Names and values of further headers of the INVITE."""


def parse_via(text: str) -> tuple[str, int]:
    """'sip:host:port' or 'host:port' as host and port; PhoneError for what the phone can't do."""
    match = _VIA.fullmatch(text.strip())
    if match is None or not 0 < int(match["port"] or 5060) < 65536:
        raise PhoneError(f"{text!r} is not an address such as sip:192.0.2.1:5060")
    transport = re.search(r";transport=([^;]+)", match["params"] or "", re.IGNORECASE)
    if transport and transport[1].lower() != "udp":
        raise PhoneError(f"{text!r}: the test phone speaks UDP only")
    return match["host"], int(match["port"] or 5060)


def resolve(host: str, port: int) -> tuple[str, str]:
    """The host's IPv4 address, and our own address on the way to it."""
    try:
        address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_DGRAM)[0][4][0]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((address, port))
            return str(address), str(probe.getsockname()[0])
    except OSError as error:
        raise PhoneError(f"{host} cannot be reached: {error.strerror or error}") from error
