"""What the keys of `twilio` say of each other and of the rest."""

from collections.abc import Iterator

from config.problems import KeyPath, Problem
from config.reading.raw import Data, listing, mapping, named_trunks, softswitch_on


def twilio_problems(data: Data) -> Iterator[Problem]:
    """Every problem of Twilio's calls that needs more than one key to see."""
    twilio = mapping(data, "twilio")
    if not twilio:
        return
    if not mapping(data, "http").get("public_url"):
        reason = "is required with twilio: its signatures are over the URL that it calls"
        yield Problem(("http", "public_url"), reason)
    yield from _twice(twilio)
    edge, answer = mapping(twilio, "edge"), twilio.get("answer", "retell")
    if answer == "edge" and not edge:
        yield Problem(("twilio", "edge"), "is required: answer is edge")
    if edge and answer != "edge":
        yield Problem(("twilio", "edge"), f"has no effect: answer is {answer}")
    if answer in ("edge", "stream") and not softswitch_on(data):
        reason = f"{answer} wants our own softswitch, and sip.listen is empty"
        yield Problem(("twilio", "answer"), reason)
    if answer == "retell" and not mapping(data, "retell").get("api_key"):
        reason = "is required: calls of twilio are registered with it (twilio.answer: retell)"
        yield Problem(("retell", "api_key"), reason)
    for key, other in (("username", "password"), ("password", "username")):
        if edge.get(other) and not edge.get(key):
            yield Problem(("twilio", "edge", key), f"is required with twilio.edge.{other}")
    yield from _edge_login(data, edge)
    machine = mapping(twilio, "machine")
    if machine.get("then") == "message" and not machine.get("message"):
        yield Problem(("twilio", "machine", "message"), "is required: then is message")


def _edge_login(data: Data, edge: Data) -> Iterator[Problem]:
    """Whether our SIP side would ask Twilio for that login."""
    username = edge.get("username")
    if not username:
        return
    path: KeyPath = ("twilio", "edge", "username")
    logins = {
        name: trunk
        for _, name, trunk in named_trunks(data)
        if mapping(trunk, "login").get("username") == username
    }
    if not logins:
        yield Problem(path, f"no trunk has the login {username}")
    for name, trunk in logins.items():
        if not any(trunk.get(key) for key in ("identify", "identify_headers", "profile")):
            reason = (
                f"trunk {name} is known by its login alone, and Twilio shows none before it is"
                " asked: it would get no answer. Name Twilio's addresses in the trunk's identify"
            )
            yield Problem(path, reason)


def _twice(twilio: Data) -> Iterator[Problem]:
    """Who signed a request must be certain."""
    seen = {twilio.get("account_sid")}
    ids: set[object] = set()
    lists: tuple[tuple[str, str, set[object]], ...] = (
        ("subaccounts", "account_sid", seen),
        ("shared_keys", "id", ids),
    )
    for name, key, known in lists:
        for index, entry in enumerate(listing(twilio, name)):
            value = mapping(entry).get(key)
            if isinstance(value, str) and value in known:
                path: KeyPath = ("twilio", name, index, key)
                yield Problem(path, f"{value} is listed already")
            known.add(value)
    owners: dict[str, object] = {}
    for index, entry in enumerate(listing(twilio, "subaccounts")):
        told = mapping(entry)
        for place, number in enumerate(map(str, listing(told, "numbers"))):
            if number in owners:
                path = ("twilio", "subaccounts", index, "numbers", place)
                yield Problem(path, f"{number} is {owners[number]}'s already")
            owners.setdefault(number, told.get("account_sid"))
