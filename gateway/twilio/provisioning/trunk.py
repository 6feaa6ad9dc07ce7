"""What is to change so that Twilio has the elastic trunk: pure.

In this order each step can be the last one before an interruption: the trunk lets no call through
until it has credentials, and a number is attached only then.
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
    Wishes,
    differing,
)
from gateway.twilio.provisioning.found import Found, Resource
from gateway.twilio.provisioning.wanted import Origination, WantedTrunk

API: Final = "api"
TRUNKING: Final = "trunking"
TRUNK, LIST, CREDENTIAL, URL = "trunk", "credential list", "credential", "origination URL"

#: What an account on trial does to calls, before it bites (twilio.com/docs/usage/trials).
TRIAL_NOTES: Final = (
    "the account is on trial: it calls verified numbers of its own country alone, four calls of a"
    " trunk at once, ten minutes each",
    "the account is on trial: <Dial>, <Stream> and <Record> in an answer of the voice webhook are"
    " replaced by a spoken notice",
)


def meant(wanted: WantedTrunk, trunks: tuple[Resource, ...]) -> Resource | None:
    """The account's trunk of that termination name, else the one that has our name."""
    for key, value in (("domain_name", wanted.domain), ("friendly_name", wanted.name)):
        for one in sorted(trunks, key=lambda each: str(each["sid"])):
            if str(one.get(key) or "").lower() == value.lower():
                return one
    return None


def is_ours(wanted: WantedTrunk, trunk: Resource) -> bool:
    return trunk.get("friendly_name") == wanted.name


def plan(account_sid: str, wanted: WantedTrunk, found: Found, wishes: Wishes) -> Plan:
    """What makes Twilio have the trunk, without its numbers; or, to destroy, what takes it away
    with what hangs on it."""
    notes = TRIAL_NOTES[:1] if found.on_trial else ()
    if wishes.destroy:
        return _destroyed(account_sid, wanted, found)
    changes = tuple(_changes(account_sid, wanted, found, wishes))
    trunk = found.trunk
    if trunk is None or found.trunk_is_ours or wishes.take_over or not changes:
        return Plan(changes, notes=(*notes, *_foreign(wanted, found)))
    reason = f"is called {trunk.get('friendly_name')}, which is none of our names, and differs: "
    reason += ", ".join(f"{one.what} {one.name}" for one in changes)
    fix = "--take-over changes it all the same, and never removes it"
    return Plan((), (Conflict(TRUNK, wanted.domain, reason, fix),), notes=notes)


def _changes(
    account_sid: str, wanted: WantedTrunk, found: Found, wishes: Wishes
) -> Iterator[Change]:
    lists = ("2010-04-01", "Accounts", account_sid, "SIP", "CredentialLists")
    made_list = found.list_of_ours is None
    the_list = Made(LIST) if found.list_of_ours is None else str(found.list_of_ours["sid"])
    if made_list:
        ask = Ask(API, "POST", _json(lists), {"FriendlyName": wanted.name}, gives=LIST)
        yield Change("make", LIST, wanted.name, ask)
    yield from _credentials((*lists, the_list, "Credentials"), wanted, found, wishes)
    trunk = found.trunk
    the_trunk = Made(TRUNK) if trunk is None else str(trunk["sid"])
    if trunk is None:
        fields = differing(wanted.properties(), {})
        body = named(wanted.properties()) | {"FriendlyName": wanted.name}
        ask = Ask(TRUNKING, "POST", ("v1", "Trunks"), body, gives=TRUNK)
        yield Change("make", TRUNK, wanted.domain, ask, fields)
    elif fields := differing(wanted.properties(), _lower_domain(trunk)):
        body = named({k: wanted.properties()[k] for k in (one.name for one in fields)})
        ask = Ask(TRUNKING, "POST", ("v1", "Trunks", the_trunk), body)
        yield Change("change", TRUNK, wanted.domain, ask, fields)
    if made_list or the_list not in found.attached_lists:
        path = ("v1", "Trunks", the_trunk, "CredentialLists")
        ask = Ask(TRUNKING, "POST", path, {"CredentialListSid": the_list}, gives="attached list")
        yield Change("make", f"{LIST} of the trunk", wanted.name, ask)
    yield from _urls(("v1", "Trunks", the_trunk, "OriginationUrls"), wanted, found)


def _credentials(
    path: tuple[str | Made, ...], wanted: WantedTrunk, found: Found, wishes: Wishes
) -> Iterator[Change]:
    """The login of the configuration; others of our list go after it is there."""
    there = {str(one.get("username")): str(one["sid"]) for one in found.credentials}
    hidden = (FieldChange("password", "(hidden)", "(hidden)"),)
    if wanted.username not in there:
        body = {"Username": wanted.username, "Password": wanted.password}
        ask = Ask(API, "POST", _json(path), body, gives=CREDENTIAL)
        yield Change("make", CREDENTIAL, wanted.username, ask)
    elif wishes.passwords:
        one = (*path, there[wanted.username])
        ask = Ask(API, "POST", _json(one), {"Password": wanted.password})
        yield Change("change", CREDENTIAL, wanted.username, ask, hidden)
    for username, sid in sorted(there.items()):
        if username != wanted.username:
            yield Change("remove", CREDENTIAL, username, Ask(API, "DELETE", _json((*path, sid))))


def _urls(path: tuple[str | Made, ...], wanted: WantedTrunk, found: Found) -> Iterator[Change]:
    """Ours by name, or one with the same URL that somebody else entered."""
    left = {str(one["sid"]): one for one in found.originations}
    for one in wanted.originations:
        now = _same(one, left)
        if now is None:
            body = named(one.properties()) | {"FriendlyName": one.name}
            ask = Ask(TRUNKING, "POST", path, body, gives=one.name)
            fields = differing(_readable(one, one.properties()), {})
            yield Change("make", URL, one.name, ask, fields)
            continue
        del left[str(now["sid"])]
        if changed := differing(one.properties(), now):
            names = [each.name for each in changed]
            body = named({name: one.properties()[name] for name in names})
            ask = Ask(TRUNKING, "POST", (*path, str(now["sid"])), body)
            fields = differing(
                _readable(one, {name: one.properties()[name] for name in names}),
                _readable(one, now),
                () if _open(now) else ("sip_url",),
            )
            yield Change("change", URL, one.name, ask, fields)
    for sid, other in sorted(left.items()):
        if _is_our_url(wanted, other):
            ask = Ask(TRUNKING, "DELETE", (*path, sid))
            yield Change("remove", URL, str(other.get("friendly_name")), ask)


def _same(one: Origination, left: dict[str, Resource]) -> Resource | None:
    for key, value in (("friendly_name", one.name), ("sip_url", one.url)):
        for sid in sorted(left):
            if left[sid].get(key) == value:
                return left[sid]
    return None


def _is_our_url(wanted: WantedTrunk, url: Resource) -> bool:
    """Ours have the trunk's mark and a number."""
    mark = wanted.originations[0].name.removesuffix("1")
    name = str(url.get("friendly_name") or "")
    return name.startswith(mark) and name.removeprefix(mark).isdecimal()


def _foreign(wanted: WantedTrunk, found: Found) -> tuple[str, ...]:
    """Origination URLs that take a part of the calls, and are not ours."""
    ours = {one.url for one in wanted.originations}
    others = (
        str(one.get("friendly_name"))
        for one in found.originations
        if not _is_our_url(wanted, one) and one.get("sip_url") not in ours
    )
    return tuple(
        f"the trunk has the origination URL {name}, which is not ours: it stays, and gets calls too"
        for name in sorted(others)
    )


def _destroyed(account_sid: str, wanted: WantedTrunk, found: Found) -> Plan:
    """Numbers first, then what hangs on the trunk, then the trunk; its list last, free by then."""
    changes: list[Change] = []
    notes: tuple[str, ...] = ()
    trunk = found.trunk
    if trunk is not None and found.trunk_is_ours:
        sid = str(trunk["sid"])
        path = ("v1", "Trunks", sid)
        changes += [detached(sid, number, one) for number, one in attached(found, sid)]
        for each in sorted(found.attached_lists):
            ask = Ask(TRUNKING, "DELETE", (*path, "CredentialLists", each))
            changes.append(Change("remove", f"{LIST} of the trunk", each, ask))
        changes.append(Change("remove", TRUNK, wanted.domain, Ask(TRUNKING, "DELETE", path)))
    elif trunk is not None:
        notes = (f"trunk {wanted.domain} stays: it was not made by us",)
    if found.list_of_ours is not None:
        sid = str(found.list_of_ours["sid"])
        if trunk is not None and not found.trunk_is_ours and sid in found.attached_lists:
            path = ("v1", "Trunks", str(trunk["sid"]))
            ask = Ask(TRUNKING, "DELETE", (*path, "CredentialLists", sid))
            changes.append(Change("remove", f"{LIST} of the trunk", wanted.name, ask))
        lists = ("2010-04-01", "Accounts", account_sid, "SIP", "CredentialLists", sid)
        changes.append(Change("remove", LIST, wanted.name, Ask(API, "DELETE", _json(lists))))
    return Plan(tuple(changes), notes=notes)


def attached(found: Found, trunk_sid: str) -> list[tuple[str, Resource]]:
    """The numbers of a trunk."""
    every = sorted(found.numbers.items())
    return [(number, one) for number, one in every if one.get("trunk_sid") == trunk_sid]


def detached(trunk_sid: str, number: str, resource: Resource) -> Change:
    """Take a number from a trunk."""
    path = ("v1", "Trunks", trunk_sid, "PhoneNumbers", str(resource["sid"]))
    fields = (FieldChange("trunk", trunk_sid, "-"),)
    return Change("change", "number", number, Ask(TRUNKING, "DELETE", path), fields)


def _lower_domain(trunk: Resource) -> dict[str, Any]:
    return {**trunk, "domain_name": str(trunk.get("domain_name") or "").lower()}


def _readable(one: Origination, properties: Resource) -> dict[str, Any]:
    """Without the headers by which we know the trunk."""
    shown = dict(properties)
    for secret in one.secrets:
        if isinstance(url := shown.get("sip_url"), str):
            shown["sip_url"] = url.replace(secret, "(hidden)")
    return shown


def _open(url: Resource) -> bool:
    """Whether it has no headers, which may be secrets of earlier settings."""
    return "?" not in str(url.get("sip_url"))


def _json(path: tuple[str | Made, ...]) -> tuple[str | Made, ...]:
    """The older API wants `.json` at the end of a path, which is never that of something made."""
    *rest, last = path
    assert isinstance(last, str), "a path ends with a name or a known id"
    return (*rest, f"{last}.json")


def named(properties: Mapping[str, Any]) -> dict[str, Any]:
    """`sip_url` is `SipUrl` in a form."""
    return {"".join(p.title() for p in name.split("_")): v for name, v in properties.items()}
