"""TwiML: documents by which Twilio is told what to do with a call (twilio.com/docs/voice/twiml).

Each verb is a text; `document` puts them one after another.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import escape

HANGUP: Final = "<Hangup/>"
#: The longest that Twilio lets a dialled leg last (twilio.com/docs/voice/twiml/dial), in seconds.
LONGEST_S: Final = 14_400
#: What it lets one ring, in seconds.
LONGEST_RING_S: Final = 600
_LEG_EVENTS: Final = "initiated ringing answered completed"
_QUOTES: Final = {'"': "&quot;"}


def document(*verbs: str) -> str:
    """The whole answer to a webhook."""
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{"".join(verbs)}</Response>'


def say(text: str, voice: str | None = None, language: str | None = None) -> str:
    """Speak."""
    return _element("Say", _text(text), {"voice": voice, "language": language})


def dial_sip(
    uri: str,
    *,
    action: str,
    ring_s: float,
    leg: str | None = None,
    longest_s: float | None = None,
    headers: Mapping[str, str] | None = None,
    login: tuple[str, str] | None = None,
    caller: str | None = None,
) -> str:
    """Call a SIP URI; tell `leg` of each change, `action` of the end. The caller's call is
    answered when the URI's is; `login` are the user name and password for a challenge, `caller` is
    who is shown."""
    username, password = login or (None, None)
    told = {
        **_told(leg),
        "username": username,
        "password": password,
    }
    fields = "&".join(f"{name}={quote(value, safe='')}" for name, value in (headers or {}).items())
    target = f"{uri}?{fields}" if fields else uri
    return _dial(_element("Sip", _text(target), told), action, ring_s, longest_s, caller)


def dial_number(
    number: str, *, ring_s: float, action: str | None = None, leg: str | None = None
) -> str:
    """Call a telephone number."""
    return _dial(_element("Number", _text(number), _told(leg)), action, ring_s, None)


def redirect(url: str) -> str:
    """Ask that URL what to do next."""
    return _element("Redirect", _text(url), {})


def connect_stream(url: str, *, action: str) -> str:
    """Send the media to a socket, and take those of the socket; `action` hears when it is over."""
    return _element("Connect", _element("Stream", "", {"url": url}), {"action": action})


def _told(leg: str | None) -> dict[str, str | None]:
    """Who hears of a leg's changes."""
    return {"statusCallback": leg, "statusCallbackEvent": leg and _LEG_EVENTS}


def _dial(
    inner: str,
    action: str | None,
    ring_s: float,
    longest_s: float | None,
    caller: str | None = None,
) -> str:
    attributes = {
        "callerId": caller,
        "action": action,
        "answerOnBridge": "true",
        "timeout": str(max(1, min(LONGEST_RING_S, round(ring_s)))),
        "timeLimit": None if longest_s is None else str(max(1, min(LONGEST_S, round(longest_s)))),
    }
    return _element("Dial", inner, attributes)


def _element(name: str, inner: str, attributes: Mapping[str, str | None]) -> str:
    told = "".join(
        f' {key}="{escape(_printable(value), _QUOTES)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{told}>{inner}</{name}>" if inner else f"<{name}{told}/>"


def _text(text: str) -> str:
    return escape(_printable(text))


def _printable(text: str) -> str:
    """Without what XML 1.0 has no place for (2.2)."""
    return "".join(letter for letter in text if letter >= " " or letter in "\t\n")
