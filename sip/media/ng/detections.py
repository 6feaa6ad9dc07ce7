"""Detection in NG messages: the keys of ``start detection``, and of the event `detected`.

The numbers are whole ones, as bencode has no others: `confidence` is in thousandths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Final

from sip.media.detection.found import Found, Verdict
from sip.media.detection.terms import DetectionTerms
from sip.media.ng.bencode import Decoded, Encodable

_THOUSAND: Final = 1000
_TERMS: Final = tuple(field.name for field in fields(DetectionTerms))
#: Of what was found: what is always told, and what only where it is known.
_ALWAYS: Final = ("at_ms", "speech_ms", "silence_ms")
_VERDICTS: Final = frozenset(verdict.value for verdict in Verdict)
_KNOWN: Final = ("frequency_hz", "began_ms", "ended_ms")


def keys_of_terms(terms: DetectionTerms) -> dict[str, Encodable]:
    """As keys of the request."""
    return {_key(name): getattr(terms, name) for name in _TERMS}


def terms_of_keys(keys: Mapping[str, Decoded]) -> DetectionTerms:
    """Read from a request; what it leaves out is as usual. Raises ValueError."""
    asked: dict[str, int] = {}
    for name in _TERMS:
        value = keys.get(_key(name))
        if value is None:
            continue
        if not isinstance(value, int):
            raise ValueError(f"key {_key(name)!r} is not a number of milliseconds")
        asked[name] = value
    return DetectionTerms(**asked)


def keys_of_found(found: Found) -> dict[str, Encodable]:
    """As keys of the event."""
    told: dict[str, Encodable] = {
        "what": found.what.value,
        "reason": found.reason,
        "confidence": round(found.confidence * _THOUSAND),
    }
    told |= {_key(name): getattr(found, name) for name in _ALWAYS}
    known = {_key(name): getattr(found, name) for name in _KNOWN}
    return told | {key: value for key, value in known.items() if value is not None}


def found_of_keys(keys: Mapping[str, Decoded]) -> Found | None:
    """Read from an event; None where it names a verdict that is not known here."""
    what, reason = keys.get("what"), keys.get("reason")
    if not isinstance(what, str) or what not in _VERDICTS:
        return None
    return Found(
        what=Verdict(what),
        reason=reason if isinstance(reason, str) else "",
        confidence=(_number(keys, "confidence") or 0) / _THOUSAND,
        at_ms=_number(keys, "at-ms") or 0,
        speech_ms=_number(keys, "speech-ms") or 0,
        silence_ms=_number(keys, "silence-ms") or 0,
        frequency_hz=_number(keys, "frequency-hz"),
        began_ms=_number(keys, "began-ms"),
        ended_ms=_number(keys, "ended-ms"),
    )


def _key(name: str) -> str:
    return name.replace("_", "-")


def _number(keys: Mapping[str, Decoded], key: str) -> int | None:
    value = keys.get(key)
    return value if isinstance(value, int) else None
