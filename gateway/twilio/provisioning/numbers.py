"""What is to change so that calls to our numbers come to us: by the trunk, or by our webhook.

A trunk and a voice URL exclude each other: what was attached before goes first
(twilio.com/docs/phone-numbers/api/incomingphonenumber-resource).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.provisioning.changes import (
    Ask,
    Change,
    Conflict,
    FieldChange,
    Made,
    Plan,
    Stray,
    Wishes,
    differing,
)
from gateway.twilio.provisioning.found import Found, Resource
from gateway.twilio.provisioning.trunk import (
    API,
    TRUNK,
    TRUNKING,
    detached,
    named,
)
from gateway.twilio.provisioning.wanted import WantedNumbers

NUMBER: Final = "number"
#: Properties of a number by which it tells us of its calls.
_URLS: Final = ("voice_url", "status_callback")
#: What a number has that was bought and never set up.
_UNTOUCHED: Final = ("", "https://demo.twilio.com/welcome/voice/")


def plan(
    account_sid: str,
    wanted: WantedNumbers,
    found: Found,
    wishes: Wishes,
    *,
    our_urls: str | None,
    trunk_to_come: bool = False,
) -> Plan:
    """How the account's numbers are bound. `our_urls` is how our webhooks begin, `trunk_to_come`
    says that a trunk is made by the same plan."""
    if wishes.destroy:
        return Plan(tuple(_released(account_sid, wanted, found, our_urls)))
    sid: str | Made | None = Made(TRUNK) if trunk_to_come else found.trunk_sid
    mine = [(number, found.numbers[number]) for number in wanted.numbers if number in found.numbers]
    notes: list[str] = []
    if missing := len(wanted.numbers) - len(mine):
        notes.append(f"{missing} of the configuration's numbers are not of this account")
    if wanted.by_trunk and sid is None and mine:
        fix = "run provision twilio trunk first"
        conflicts = (Conflict(TRUNK, "-", "is not there, and numbers are bound to it", fix),)
        return Plan((), conflicts, notes=tuple(notes))
    changes: list[Change] = []
    against: list[Conflict] = []
    for number, now in mine:
        if (conflict := elsewhere(number, now, found, our_urls)) and not wishes.take_over:
            against.append(conflict)
        elif wanted.by_trunk and sid is not None:
            changes += _on_trunk(number, now, sid)
        elif not wanted.by_trunk:
            changes += _by_url(account_sid, number, now, wanted.voice[number])
    strays = _strays(wanted, found, our_urls)
    if wishes.prune:
        for number in strays:
            changes += _let_go(account_sid, number, found, our_urls)
        strays = []
    return Plan(
        tuple(changes), tuple(against), tuple(Stray(NUMBER, one) for one in strays), tuple(notes)
    )


def elsewhere(number: str, now: Resource, found: Found, our_urls: str | None) -> Conflict | None:
    """Whether calls to a number go to somebody else now."""
    trunk = now.get("trunk_sid")
    fix = "--take-over binds it to us all the same"
    if trunk:
        if trunk == found.trunk_sid:
            return None
        return Conflict(NUMBER, number, f"is attached to the trunk {trunk}", fix)
    if application := now.get("voice_application_sid"):
        return Conflict(NUMBER, number, f"is bound to the application {application}", fix)
    for name in _URLS:
        url = str(now.get(name) or "")
        if url not in _UNTOUCHED and not _is_ours(url, our_urls):
            return Conflict(NUMBER, number, f"has a {name} at {_host(url)}", fix)
    return None


def _is_ours(url: object, our_urls: str | None) -> bool:
    return isinstance(url, str) and our_urls is not None and url.startswith(our_urls)


def _host(url: str) -> str:
    """A URL may hold a login or a token, so no more of it is shown."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2] or "an unknown host"


def _on_trunk(number: str, now: Resource, sid: str | Made) -> Iterator[Change]:
    before = now.get("trunk_sid")
    if before == sid:
        return
    if before:
        yield detached(str(before), number, now)
    path = ("v1", "Trunks", sid, "PhoneNumbers")
    fields = (FieldChange("trunk", "-", "ours"),)
    body = {"PhoneNumberSid": str(now["sid"])}
    yield Change("change", NUMBER, number, Ask(TRUNKING, "POST", path, body, gives=number), fields)


def _by_url(
    account_sid: str, number: str, now: Resource, wanted: Mapping[str, Any]
) -> Iterator[Change]:
    if before := now.get("trunk_sid"):
        yield detached(str(before), number, now)
    changed = differing(wanted, now)
    application = now.get("voice_application_sid")
    if not changed and not application:
        return
    body = named({one.name: wanted[one.name] for one in changed})
    fields = tuple(
        FieldChange(one.name, _host(one.before) if "://" in one.before else one.before, one.after)
        for one in changed
    )
    if application:
        body["VoiceApplicationSid"] = ""
        fields = (*fields, FieldChange("voice_application_sid", str(application), "-"))
    yield Change("change", NUMBER, number, Ask(API, "POST", _path(account_sid, now), body), fields)


def _released(
    account_sid: str, wanted: WantedNumbers, found: Found, our_urls: str | None
) -> Iterator[Change]:
    """No call comes to us any more, also of numbers that the configuration has no longer; the
    numbers stay the account's."""
    at_hand = {*wanted.numbers, *_strays(wanted, found, our_urls)}
    for number in sorted(at_hand & found.numbers.keys()):
        yield from _let_go(account_sid, number, found, our_urls)


def _let_go(account_sid: str, number: str, found: Found, our_urls: str | None) -> Iterator[Change]:
    """Take a number from our trunk and from our webhooks."""
    now = found.numbers[number]
    if found.trunk_sid is not None and now.get("trunk_sid") == found.trunk_sid:
        yield detached(found.trunk_sid, number, now)
    urls = {name: str(now[name]) for name in _URLS if _is_ours(now.get(name), our_urls)}
    if urls:
        ask = Ask(API, "POST", _path(account_sid, now), named(dict.fromkeys(urls, "")))
        fields = tuple(FieldChange(name, url, "-") for name, url in urls.items())
        yield Change("change", NUMBER, number, ask, fields)


def _strays(wanted: WantedNumbers, found: Found, our_urls: str | None) -> list[str]:
    """Numbers of our trunk, or with our webhooks, that the configuration does not know: their
    callers are refused."""
    ours = found.trunk_sid if wanted.by_trunk and found.trunk_is_ours else None
    return [
        number
        for number, now in sorted(found.numbers.items())
        if number not in wanted.numbers
        and (
            (ours is not None and now.get("trunk_sid") == ours)
            or any(_is_ours(now.get(name), our_urls) for name in _URLS)
        )
    ]


def _path(account_sid: str, now: Resource) -> tuple[str, ...]:
    return ("2010-04-01", "Accounts", account_sid, "IncomingPhoneNumbers", f"{now['sid']}.json")
