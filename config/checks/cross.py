"""What one key says about another: names that must exist, things that cannot be together.

Works on the raw data, so that a typing error in one place does not hide a wrong name elsewhere.
Anything of the wrong shape is passed over here: the models report it.
"""

from collections.abc import Iterator
from itertools import chain

from config.checks.agents import agent_problems, other_trunks
from config.checks.callbacks import callback_problems
from config.checks.directory import directory_problems, directory_sounds, directory_trunks
from config.checks.full import full_problems, full_sounds
from config.checks.money import inbound_sounds, money_problems
from config.checks.provisioning import provision_problems
from config.checks.queue import queue_problems
from config.checks.routes import route_problems, route_trunks
from config.checks.tokens import token_problems
from config.checks.trunks import trunk_problems
from config.checks.twilio import twilio_problems
from config.checks.webhooks import webhook_problems
from config.checks.workspaces import workspace_problems
from config.problems import KeyPath, Problem, did_you_mean
from config.reading.profiles import misses_profile
from config.reading.raw import Data, listing, mapping, named_trunks, said, softswitch_on
from config.values import PortRange


def cross_problems(data: Data) -> Iterator[Problem]:
    """Every problem that needs more than one key to see."""
    yield from trunk_problems(data)
    yield from token_problems(data)
    yield from callback_problems(data)
    yield from directory_problems(data)
    yield from money_problems(data)
    yield from queue_problems(data)
    yield from _references(data)
    yield from route_problems(data)
    yield from agent_problems(data)
    yield from workspace_problems(data)
    yield from webhook_problems(data)
    yield from full_problems(data)
    yield from _switch(data)
    yield from _sounds(data)
    yield from _application(data)
    yield from _jambonz(data)
    yield from twilio_problems(data)
    yield from provision_problems(data)
    yield from _recording(data)
    yield from _fax(data)


def _recording(data: Data) -> Iterator[Problem]:
    if not mapping(data, "recording"):
        for number, entry in mapping(data, "numbers").items():
            if mapping(entry).get("record") is True:
                reason = "there is no recording: section that says where recordings go"
                yield Problem(("numbers", number, "record"), reason)
    elif not softswitch_on(data):
        reason = "recordings are made by the softswitch, and sip.listen is empty"
        yield Problem(("recording",), reason)
    elif {"builtin"} != {*listing(data, "media", "engine")} | _one(data, "media", "engine"):
        reason = "only the builtin engine records; media.engine names another one"
        yield Problem(("recording",), reason)


def _fax(data: Data) -> Iterator[Problem]:
    """Whose tone nobody can hear would talk to the agent."""
    for number, entry in mapping(data, "numbers").items():
        if not mapping(entry, "fax"):
            continue
        path = ("numbers", number, "fax")
        if not softswitch_on(data):
            yield Problem(path, "needs our own softswitch, and sip.listen is empty")
        elif {"builtin"} != {*listing(data, "media", "engine")} | _one(data, "media", "engine"):
            reason = "only the builtin engine hears a fax; media.engine names another one"
            yield Problem(path, reason)


def _one(data: Data, *path: str) -> set[str]:
    """The key's value where it is one text; `builtin` where it is not said."""
    value = mapping(data, *path[:-1]).get(path[-1], "builtin")
    return {value} if isinstance(value, str) else set()


def _dialled(data: Data) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every place that names a trunk to dial."""
    fallback = mapping(data, "retell", "fallback").get("trunk")
    if isinstance(fallback, str):
        yield ("retell", "fallback", "trunk"), fallback
    for number, entry in mapping(data, "numbers").items():
        for key in ("fallback", "fax"):
            target = mapping(entry, key).get("trunk")
            if isinstance(target, str):
                yield ("numbers", number, key, "trunk"), target
    yield from other_trunks(data)
    yield from route_trunks(data)
    yield from directory_trunks(data)


def _references(data: Data) -> Iterator[Problem]:
    trunks = {name: trunk for _, name, trunk in named_trunks(data)}
    for path, name in _dialled(data):
        if name not in trunks:
            yield Problem(path, f"there is no trunk named {name}{did_you_mean(name, trunks)}")
        elif softswitch_on(data) and not _can_be_dialled(trunks[name]):
            yield Problem(path, f"trunk {name} cannot be dialled: it has no gateways")


def _can_be_dialled(trunk: Data) -> bool:
    """Whoever registers with us is called where it registered."""
    return bool(trunk.get("gateways")) or said(trunk, "registrar") or misses_profile(trunk)


def _switch(data: Data) -> Iterator[Problem]:
    """What our own softswitch cannot do without."""
    if not softswitch_on(data):
        return
    yield from _listeners(data)
    yield from _media(data)
    tls = mapping(data, "sip", "tls")
    yield from _pair(("sip", "tls"), tls)
    asked = tls.get("client_certificates")
    if asked in ("optional", "required") and not tls.get("client_ca"):
        reason = (
            f"is required: whose client certificates are believed (client_certificates: {asked})"
        )
        yield Problem(("sip", "tls", "client_ca"), reason)


def _listeners(data: Data) -> Iterator[Problem]:
    tls = mapping(data, "sip", "tls")
    seen: set[str] = set()
    for index, listener in enumerate(listing(data, "sip", "listen")):
        path = ("sip", "listen", index)
        own = mapping(listener)
        address = str(own.get("address") if own else listener)
        if address in seen:
            yield Problem(path, f"{address} is listed already")
        seen.add(address)
        yield from _pair(path, own)
        if address.startswith("tls:") and not (own.get("certificate") or tls.get("certificate")):
            reason = (
                "needs sip.tls.certificate and sip.tls.key, or a certificate and key of its own"
            )
            yield Problem(path, f"{address} {reason}")


def _media(data: Data) -> Iterator[Problem]:
    media = mapping(data, "media")
    engine = media.get("engine")
    names = engine if isinstance(engine, list) else [engine]
    if not any(str(name).startswith("ng:") for name in names):
        for key in mapping(media, "rtpengine"):
            reason = "needs an rtpengine: media.engine: ng:udp:HOST:PORT"
            yield Problem(("media", "rtpengine", key), reason)
    processes, ports = str(media.get("processes")), str(media.get("ports"))
    try:
        room = PortRange.parse(ports).calls
    except ValueError:  # not set, or told already
        return
    if processes.isdecimal() and int(processes) > room:
        reason = f"{processes} processes want 4 ports each, and media.ports has them for {room}"
        yield Problem(("media", "processes"), reason)


def _sounds(data: Data) -> Iterator[Problem]:
    """What is played is a file of a folder that our own softswitch plays from."""
    media = mapping(data, "media")
    if media.get("hold") == "music" and not media.get("hold_music"):
        yield Problem(("media", "hold_music"), "is required: hold is music")
    if media.get("hold_music") and media.get("hold") != "music":
        yield Problem(("media", "hold_music"), "has no effect: hold is not music")
    played = (_number_sounds(data), inbound_sounds(data), directory_sounds(data), full_sounds(data))
    for path in chain(*played):
        if not softswitch_on(data):
            yield Problem(path, "is played by our own softswitch only: sip.listen is empty")
        elif not media.get("sounds"):
            yield Problem(path, "is a file of media.sounds, which names no folder")


def _number_sounds(data: Data) -> Iterator[KeyPath]:
    for number, entry in mapping(data, "numbers").items():
        for key in ("announcement", "ringing"):
            if mapping(entry).get(key):
                yield "numbers", number, key


def _pair(path: tuple[str | int, ...], keys: Data) -> Iterator[Problem]:
    """A certificate is of no use without its key, nor a key without its certificate."""
    for key, other in (("certificate", "key"), ("key", "certificate")):
        if keys.get(key) and not keys.get(other):
            yield Problem((*path, other), f"is required with {key}")


def _jambonz(data: Data) -> Iterator[Problem]:
    """It is asked for calls by an application that serves it."""
    if mapping(data, "jambonz") and softswitch_on(data):
        reason = "our own softswitch places calls; a jambonz does where sip.listen is empty"
        yield Problem(("jambonz",), reason)


def _application(data: Data) -> Iterator[Problem]:
    application = mapping(data, "application")
    for key, other in (("username", "password"), ("password", "username")):
        if application.get(other) and not application.get(key):
            yield Problem(("application", key), f"is required with application.{other}")
