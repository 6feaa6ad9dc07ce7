"""What `provision` needs of the rest of the configuration, before anything is asked of an API."""

import re
from collections.abc import Iterator

from config.problems import KeyPath, Problem, did_you_mean
from config.provision_settings import DEFAULT_MARK, termination_name
from config.reading.raw import Data, listing, mapping, named_trunks, said

#: Letters of a name there (twilio.com/docs/sip-trunking/api/trunk-resource).
_LONGEST_NAME = 64
#: Twilio's own rules (twilio.com/docs/voice/sip/api/sip-credential-resource).
_LONGEST_USERNAME = 32
_SHORTEST_PASSWORD = 12
_IN_PASSWORD = (re.compile(r"[a-z]"), re.compile(r"[A-Z]"), re.compile(r"[0-9]"))


def provision_problems(data: Data) -> Iterator[Problem]:
    """Every problem of `provision` that needs more than one key to see."""
    provision = mapping(data, "provision")
    if not provision:
        return
    if not listing(provision, "sip_uris"):
        reason = "is required: where Retell and Twilio shall call us"
        yield Problem(("provision", "sip_uris"), reason)
    public_url = mapping(data, "http").get("public_url")
    if said(mapping(provision, "retell"), "inbound_webhook") and not public_url:
        reason = "needs http.public_url: where Retell finds us"
        yield Problem(("provision", "retell", "inbound_webhook"), reason)
    twilio = mapping(provision, "twilio")
    if not twilio:
        return
    path: KeyPath = ("provision", "twilio")
    if not mapping(data, "twilio"):
        yield Problem(path, "needs twilio.account_sid and twilio.auth_token")
    if twilio.get("bind") == "voice" and not public_url:
        reason = "needs http.public_url: where Twilio finds us (bind: voice)"
        yield Problem((*path, "bind"), reason)
    if isinstance(name := twilio.get("trunk"), str):
        yield from _trunk(data, (*path, "trunk"), name)


def _trunk(data: Data, path: KeyPath, name: str) -> Iterator[Problem]:
    """What Twilio would refuse of the trunk, or no call would pass."""
    named = {each: (index, trunk) for index, each, trunk in named_trunks(data)}
    if name not in named:
        yield Problem(path, f"there is no trunk {name}{did_you_mean(name, list(named))}")
        return
    mark = mapping(data, "provision").get("mark", DEFAULT_MARK)
    if len(f"{mark} {name}") > _LONGEST_NAME:
        reason = f"{mark} {name} has more than {_LONGEST_NAME} letters, which Twilio refuses"
        yield Problem(path, reason)
    index, trunk = named[name]
    gateways = (str(one) for one in listing(trunk, "gateways"))
    if not any(map(termination_name, gateways)):
        reason = "needs NAME.pstn.twilio.com, which provision.twilio.trunk gives the trunk"
        yield Problem(("trunks", index, "gateways"), reason)
    yield from _credentials(("trunks", index, "credentials"), mapping(trunk, "credentials"))
    uris = [str(one).lower() for one in listing(data, "provision", "sip_uris")]
    if mapping(trunk, "media").get("srtp") == "required":
        for place, uri in enumerate(uris):
            if "transport=tls" not in uri:
                reason = f"needs ;transport=tls: the trunk {name} is secure (media.srtp: required)"
                yield Problem(("provision", "sip_uris", place), reason)


def _credentials(path: KeyPath, credentials: Data) -> Iterator[Problem]:
    username, password = credentials.get("username"), credentials.get("password")
    if not username or not password:
        yield Problem(path, "is required: the trunk's login, which provision.twilio.trunk enters")
        return
    if len(str(username)) > _LONGEST_USERNAME:
        reason = f"has more than {_LONGEST_USERNAME} letters, which Twilio refuses"
        yield Problem((*path, "username"), reason)
    fits = len(str(password)) >= _SHORTEST_PASSWORD
    if not fits or not all(each.search(str(password)) for each in _IN_PASSWORD):
        reason = f"Twilio wants {_SHORTEST_PASSWORD} letters at least, small, capital and a digit"
        yield Problem((*path, "password"), reason)
