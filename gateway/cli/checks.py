"""What `check` looks at beyond the configuration's own rules: ports, storage, secrets."""

import asyncio
import enum
import errno
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from config.settings import Settings
from gateway.cli.api_client import ApiClient
from gateway.storage.database import schema_version
from gateway.storage.errors import StorageError
from gateway.storage.migrations import NEWEST


class Outcome(enum.Enum):
    FINE = "fine"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    subject: str
    outcome: Outcome
    text: str


async def inspect(settings: Settings) -> list[Finding]:
    """Everything found, good and bad; nothing stays open and nothing is changed."""
    async with ApiClient(settings) as api:
        running = await api.ready()
    findings = [_ports(settings)] if running else each_port(settings)
    if not running and (relay := relay_ports(settings)) is not None:
        findings.append(relay)
    findings.append(await _storage(settings.storage.url.get_secret_value()))
    if settings.http.admin_token is None:
        text = "not set: /api/v1 is off, and with it the commands calls, trunks, bans and unban"
        findings.append(Finding("http.admin_token", Outcome.NOTE, text))
    return findings


def _ports(settings: Settings) -> Finding:
    listen = settings.http.listen
    text = f"a gateway is running on {listen.host}:{listen.port}, so its ports are in use"
    return Finding("ports", Outcome.NOTE, text)


def each_port(settings: Settings) -> list[Finding]:
    """Whether each address that the configuration listens on can be had now."""
    http = settings.http.listen
    findings = [_bindable("http.listen", "tcp", http.host, http.port)]
    for listener in (listening.address for listening in settings.sip.listen):
        kind = "udp" if listener.transport == "udp" else "tcp"
        findings.append(_bindable("sip.listen", kind, listener.host, listener.port))
    keys = settings.media.rtpengine.dtmf_log
    if keys is not None and settings.sip.listen:
        findings.append(_bindable("media.rtpengine.dtmf_log", "udp", keys.host, keys.port))
    return findings


def relay_ports(settings: Settings) -> Finding | None:
    """Whether the relay has a pair of ports to begin with; None with an engine elsewhere.

    Some taken ports do no harm, the relay passes over them; all taken would fail every call.
    """
    if settings.media.engine != ("builtin",) or not settings.sip.listen:
        return None
    ports = settings.media.ports
    subject = f"media.ports {ports.first}-{ports.last}"
    for first in range(ports.first + ports.first % 2, ports.last, 2):
        if all(
            _bindable("", "udp", "0.0.0.0", port).outcome is Outcome.FINE
            for port in (first, first + 1)
        ):
            return Finding(subject, Outcome.FINE, "free")
    return Finding(subject, Outcome.WRONG, "all of them are taken by other programs")


def _bindable(key: str, kind: str, host: str, port: int) -> Finding:
    subject = f"{key} {kind}:{host}:{port}"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as probe:
        if kind == "tcp":  # as a listener does: connections that are closing do not matter
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return Finding(subject, Outcome.WRONG, "taken by another program")
            return Finding(subject, Outcome.WRONG, os.strerror(error.errno or 0))
    return Finding(subject, Outcome.FINE, "free")


async def _storage(url: str) -> Finding:
    """Reads the schema's version, and writes nothing; an SQLite file may be made at the start."""
    subject = "storage.url"
    parsed = make_url(url)
    where = parsed.database or ""
    if parsed.get_backend_name() == "sqlite":
        refused = _unwritable(Path(where))
        if refused is not None:
            return Finding(subject, Outcome.WRONG, refused)
    else:
        where = f"{parsed.host or 'PostgreSQL'} answers"
    try:
        async with asyncio.timeout(10):
            version = await schema_version(url)
    except (StorageError, TimeoutError) as error:
        return Finding(subject, Outcome.WRONG, str(error) or "no answer within 10 seconds")
    if version in (None, NEWEST):
        return Finding(subject, Outcome.FINE, where)
    text = f"{where}; schema version {version} is upgraded to {NEWEST} at the start: back up first"
    return Finding(subject, Outcome.NOTE, text)


def _unwritable(file: Path) -> str | None:
    """Why the gateway cannot have that SQLite file; None if it can."""
    if not os.access(file.parent, os.W_OK):
        return f"{file.parent} may not be written to"
    if file.exists() and not os.access(file, os.W_OK):
        return f"{file} may not be written to"
    return None
