"""Which SIP headers cross between a call and its JSON (Retell's page "sip-headers"). Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Literal

_KEPT = frozenset({"user-to-user", "diversion", "history-info", "p-asserted-identity"})
_SECRET = frozenset({"authorization", "proxy-authorization"})
_TOKEN = re.compile(r"^[A-Za-z0-9!%*_+`'~.-]+$")

Naming = Literal["stripped", "kept", "both"]


def custom_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What of an INVITE lands in `custom_sip_headers`, names in lower case."""
    kept: dict[str, str] = {}
    for name, value in headers:
        low = name.lower()
        if low.startswith("x-") or low in _KEPT:
            kept.setdefault(low, value)
    return kept


def as_variables(headers: Mapping[str, str], naming: Naming) -> dict[str, str]:
    """The dynamic variables that such headers become."""
    variables: dict[str, str] = {}
    for name, value in headers.items():
        if naming != "kept":
            variables[name.removeprefix("x-")] = value
        if naming != "stripped":
            variables[name] = value
    return variables


def outgoing(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Of requested headers, those that Retell puts on an INVITE or BYE: `X-` names only."""
    return [
        (name, value)
        for name, value in headers.items()
        if name.lower().startswith("x-") and _TOKEN.match(name) and not set(value) & set("\r\n\0")
    ]


def on_refer(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Of a transfer's headers, those that ride in its REFER: `X-` names and User-To-User."""
    told = [(name, value) for name, value in headers.items() if name.lower() == "user-to-user"]
    return [*outgoing(headers), *told]


def without_secrets(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """All headers but those that carry credentials."""
    return [(name, value) for name, value in headers if name.lower() not in _SECRET]
