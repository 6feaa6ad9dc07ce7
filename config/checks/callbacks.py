"""Where events go: what is not signed is not sent, and a list of hosts is all that there is."""

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from config.problems import KeyPath, Problem
from config.reading.raw import Data, listing, mapping


def callback_problems(data: Data) -> Iterator[Problem]:
    """What the keys of `outbound.callbacks` say against each other."""
    path = ("outbound", "callbacks")
    callbacks = mapping(data, *path)
    url = callbacks.get("url")
    if callbacks and not callbacks.get("secret"):
        yield Problem((*path, "secret"), "is required: events are signed with it")
    yield from destination_problems(data, (*path, "url"), url)


def destination_problems(data: Data, path: KeyPath, url: object) -> Iterator[Problem]:
    """Why nothing is told to that `url`, which stands at `path`."""
    if not isinstance(url, str):
        return
    hosts = [str(one).lower() for one in listing(data, "outbound", "callbacks", "hosts")]
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:  # told already
        return
    if hosts and not any(_fits(host, one.strip("[]")) for one in hosts):
        yield Problem(path, f"{host} is not in outbound.callbacks.hosts")
    if not hosts and _is_private(host):
        reason = f"{host} is no public address; name it in outbound.callbacks.hosts"
        yield Problem(path, reason)


def _fits(host: str, one: str) -> bool:
    return host.endswith(one[1:]) if one.startswith("*.") else host == one.rstrip(".")


def _is_private(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost"
