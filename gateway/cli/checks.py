"""What `check` looks at beyond the configuration: ports, storage, certificates, this machine."""

import errno
import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import Final

from config.advice.peers import address_of, host_is_inside, is_outside
from config.findings import Finding, Level
from config.problems import KeyPath
from config.settings import Settings

#: A certificate that ends within so many days is told of.
SOON_DAYS: Final = 30
#: Descriptors that a call takes in a relay: RTP, its connected socket and RTCP, towards each leg.
FILES_A_CALL: Final = 6
#: Beside those of calls: listeners, connections, the database, the log.
SPARE_FILES: Final = 256
_DAY_S: Final = 86_400
#: How `media.engine` names an rtpengine, and the seconds that it may take to answer.
_NG: Final = "ng:udp:"
_PATIENCE_S: Final = 1.0
#: Any public address: which of ours a packet to it would leave from.
_OUTSIDE: Final = ("198.51.100.1", 9)


async def inspect(settings: Settings) -> list[Finding]:
    """Everything found on this machine, good and bad; nothing stays open, nothing is changed."""
    from gateway.cli.api_client import ApiClient
    from gateway.cli.check_guard import guarded
    from gateway.cli.check_money import rated

    async with ApiClient(settings) as api:
        running = await api.ready()
    findings = [_running(settings)] if running else each_port(settings)
    if not running and (relay := relay_ports(settings)) is not None:
        findings.append(relay)
    if settings.sip.listen:
        findings += engines(settings)
    findings.append(await _storage(settings.storage.url.get_secret_value()))
    findings += certificates(settings, time.time())
    findings += sounds(settings)
    findings += guarded(settings)
    findings += rated(settings)
    if settings.sip.listen:
        findings += own_address(settings)
        findings += await found_addresses(settings)
        findings += descriptors(settings, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    if settings.http.admin is None:
        findings.append(
            Finding(
                code="api-off",
                level=Level.NOTE,
                path=("http", "admin_token"),
                text="not set: /api/v1 is off, and with it the commands calls, trunks, bans,"
                " unban, drain and reload",
                fix="set it to use them",
            )
        )
    return findings


def _running(settings: Settings) -> Finding:
    listen = settings.http.listen
    return Finding(
        code="gateway-runs",
        level=Level.NOTE,
        path=("http", "listen"),
        text=f"a gateway is running on {listen.host}:{listen.port}: its ports are in use",
    )


# media engines


def engines(settings: Settings) -> list[Finding]:
    """Whether each rtpengine answers."""
    path: KeyPath = ("media", "engine")
    findings = []
    for engine in settings.media.engine:
        if not engine.startswith(_NG):
            continue
        if _answers(engine):
            text = f"{engine} answers"
            findings.append(Finding(code="engine-up", level=Level.FINE, path=path, text=text))
            continue
        others = len(settings.media.engine) > 1
        findings.append(
            Finding(
                code="engine-silent",
                level=Level.WARNING if others else Level.ERROR,
                path=path,
                text=f"{engine} does not answer",
                fix="start it there, with --listen-ng at that address",
            )
        )
    return findings


def _answers(engine: str) -> bool:
    """Whether an rtpengine answers a ping of its NG protocol, which is asked twice."""
    host, _, port = engine.removeprefix(_NG).rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(_PATIENCE_S)
        try:
            asking.connect((host.strip("[]"), int(port)))
            for cookie in (b"check-1 ", b"check-2 "):
                asking.send(cookie + b"d7:command4:pinge")
                with suppress(TimeoutError):
                    return b"4:pong" in asking.recv(4096)
        except OSError:
            return False
    return False


# ports


def each_port(settings: Settings) -> list[Finding]:
    """Whether each address that the configuration listens on can be had now."""
    http = settings.http.listen
    findings = [_bindable(("http", "listen"), "tcp", http.host, http.port)]
    metrics = settings.http.metrics.listen
    if metrics is not None:
        findings.append(_bindable(("http", "metrics", "listen"), "tcp", metrics.host, metrics.port))
    for index, listening in enumerate(settings.sip.listen):
        listener = listening.address
        kind = "udp" if listener.transport == "udp" else "tcp"
        path = ("sip", "listen", index)
        findings.append(_bindable(path, kind, listener.host, listener.port))
    keys = settings.media.rtpengine.dtmf_log
    if keys is not None and settings.sip.listen:
        findings.append(_bindable(("media", "rtpengine", "dtmf_log"), "udp", keys.host, keys.port))
    return findings


def relay_ports(settings: Settings) -> Finding | None:
    """Whether the relay has a pair of ports to begin with; None with engines elsewhere.

    Some taken ports do no harm, the relay passes over them; all taken would fail every call.
    """
    if "builtin" not in settings.media.engine or not settings.sip.listen:
        return None
    ports, path = settings.media.ports, ("media", "ports")
    for first in range(ports.first + ports.first % 2, ports.last, 2):
        if not any(_refused("udp", "0.0.0.0", port) for port in (first, first + 1)):
            return Finding(
                code="port-free",
                level=Level.FINE,
                path=path,
                text=f"{ports.first}-{ports.last} are free",
            )
    return Finding(
        code="port-taken",
        level=Level.ERROR,
        path=path,
        text=f"all of {ports.first}-{ports.last} are taken by other programs",
        fix="choose another range, and open it in the firewall",
    )


def _bindable(path: KeyPath, kind: str, host: str, port: int) -> Finding:
    where = f"{kind}:{host}:{port}"
    refused = _refused(kind, host, port)
    if refused is None:
        return Finding(code="port-free", level=Level.FINE, path=path, text=f"{where} is free")
    if refused == errno.EADDRINUSE:
        return Finding(
            code="port-taken",
            level=Level.ERROR,
            path=path,
            text=f"{where} is taken by another program",
            fix="stop that program or choose another port",
        )
    return Finding(
        code="port-refused",
        level=Level.ERROR,
        path=path,
        text=f"{where}: {os.strerror(refused)}",
        fix="listen on an address of this machine, and on a port that this user may have",
    )


def _refused(kind: str, host: str, port: int) -> int | None:
    """The error number of binding there; None if it can be done."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as probe:
        if kind == "tcp":  # as a listener does: connections that are closing do not matter
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno or errno.EINVAL
    return None


# storage


async def _storage(url: str) -> Finding:
    """Reads the schema's version, and writes nothing; an SQLite file may be made at the start."""
    import asyncio

    from sqlalchemy.engine import make_url

    from gateway.storage.database import schema_version
    from gateway.storage.errors import StorageError
    from gateway.storage.migrations import NEWEST

    path = ("storage", "url")
    parsed = make_url(url)
    where = parsed.database or ""
    refused: str | None = None
    version = None
    if parsed.get_backend_name() == "sqlite":
        refused = _unwritable(Path(where))
    else:
        where = f"{parsed.host or 'PostgreSQL'} answers"
    if refused is None:
        try:
            async with asyncio.timeout(10):
                version = await schema_version(url)
        except (StorageError, TimeoutError) as error:
            refused = str(error) or "no answer within 10 seconds"
    if refused is not None:
        return Finding(
            code="storage-unusable",
            level=Level.ERROR,
            path=path,
            text=refused,
            fix="docs/troubleshooting.md has each of these",
        )
    if version in (None, NEWEST):
        return Finding(code="storage-usable", level=Level.FINE, path=path, text=where)
    return Finding(
        code="storage-upgrade",
        level=Level.NOTE,
        path=path,
        text=f"{where}; schema version {version} is upgraded to {NEWEST} at the start",
        fix="back it up first",
    )


def _unwritable(file: Path) -> str | None:
    """Why the gateway cannot have that SQLite file; None if it can."""
    if not os.access(file.parent, os.W_OK):
        return f"{file.parent} may not be written to"
    if file.exists() and not os.access(file, os.W_OK):
        return f"{file} may not be written to"
    return None


# certificates


def certificates(settings: Settings, now: float) -> Iterator[Finding]:
    """Each certificate that we show: whether it is usable, and for how long. `now` is in seconds
    since 1970."""
    from gateway.start.tls import certificates as read

    for path, told in read(settings):
        if isinstance(told, str):
            yield Finding(
                code="certificate-unusable",
                level=Level.ERROR,
                path=path,
                text=told,
                fix="put the right file in its place",
            )
            continue
        names, until = ", ".join(told.names) or "no name", told.until
        days = None if told.expires_at is None else (told.expires_at - now) / _DAY_S
        if days is None or days >= SOON_DAYS:
            text = f"{told.listener}: {names} until {until}"
            yield Finding(code="certificate-valid", level=Level.FINE, path=path, text=text)
            continue
        over = days < 0
        yield Finding(
            code="certificate-expired" if over else "certificate-expires",
            level=Level.ERROR if over else Level.WARNING,
            path=path,
            text=f"{told.listener}: the certificate of {names} ended on {until}: peers that verify"
            " it hang up"
            if over
            else f"{told.listener}: the certificate of {names} ends on {until}, in {days:.0f} days",
            fix="renew it; a running gateway reads the new file by itself",
        )


# sounds


def sounds(settings: Settings) -> Iterator[Finding]:
    """Each file that is to be played: whether it can be."""
    from gateway.start.sounds import sounds as read

    for path, file, reason in read(settings):
        if reason is None:
            yield Finding(code="sound-playable", level=Level.FINE, path=path, text=str(file))
        else:
            yield Finding(
                code="sound-unplayable",
                level=Level.ERROR,
                path=path,
                text=reason,
                fix="put a WAV file there that docs/media.md describes",
            )


# this machine


def own_address(settings: Settings) -> Iterator[Finding]:
    """Behind a NAT peers must be told another address than our own."""
    told = [listening.advertise for listening in settings.sip.listen] + [settings.sip.advertise]
    outside = [trunk for trunk in settings.every_trunk() if is_outside(trunk)]
    trusting = [trunk.name for trunk in outside if address_of(trunk.advertise) is None]
    if any(told) or not trusting:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_OUTSIDE)  # sends nothing
            own = str(probe.getsockname()[0])
        except OSError:
            return
    if host_is_inside(own):
        yield Finding(
            code="advertise-missing",
            level=Level.WARNING,
            path=("sip",),
            text=f"sip.advertise is not set, and this machine's own address {own} is private:"
            f" trunk {trusting[0]} is told that one, and what it sends there does not arrive",
            fix="set sip.advertise to the public address that leads here",
        )


async def found_addresses(settings: Settings) -> list[Finding]:
    """What each `advertise` that is a name, or asks a STUN server, leads to now."""
    from gateway.start.addresses import OurAddresses

    ours = OurAddresses(settings)
    findings = []
    for key, told in ours.told.items():
        if address_of(told) is not None:
            continue
        found, error = await ours.ask(key)
        if error:
            finding = Finding(
                code="advertise-unknown",
                level=Level.ERROR,
                path=(key, "advertise"),
                text=f"{error}: the gateway does not start without it",
                fix="correct it, or the machine's DNS and firewall; or write the address itself",
            )
        else:
            finding = Finding(
                code="advertise-found",
                level=Level.FINE,
                path=(key, "advertise"),
                text=f"{told} is {found}",
            )
        findings.append(finding)
    return findings


def descriptors(settings: Settings, limit: int) -> Iterator[Finding]:
    """Whether `limit`, the most files that a process may open, lets the calls of the
    configuration be; -1 is no limit."""
    from gateway.start.media import relay_processes

    processes = relay_processes(settings.media)
    wanted = FILES_A_CALL * ceil(settings.limits.calls / processes) + SPARE_FILES
    if limit in (-1, resource.RLIM_INFINITY) or limit >= wanted:
        return
    room = max(limit - SPARE_FILES, 0) // FILES_A_CALL * processes
    yield Finding(
        code="descriptors-few",
        level=Level.WARNING,
        path=("limits", "calls"),
        text=f"a process may open {limit} files here, which is enough for {room} calls;"
        f" {settings.limits.calls} want {wanted}",
        fix=f"raise the limit (ulimit -Hn {wanted}; LimitNOFILE of systemd; ulimits of compose)",
    )
