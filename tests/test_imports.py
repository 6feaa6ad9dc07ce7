"""Who may import whom: the layers of the design, checked against every module.

An arrow that is not listed here is a fault in the module, not in this list.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = ("config", "sip", "gateway", "testkit")
OURS = {*PROGRAM, "tests", "bench"}

_LEAVES = (
    *("sip.errors", "sip.clock", "sip.ids"),
    *("sip.trace", "sip.redaction", "sip.message_log", "sip.log_throttle"),
)
_BELOW_SOFTSWITCH = (
    "sip.core",
    "sip.transport",
    "sip.ua",
    "sip.media",
    "sip.b2bua",
    *_LEAVES,
    "config",
)
_TRUNKS = "sip.softswitch.trunks"
# Records and ports that storage implements: a leaf, the one thing of sip that it may know.
_SHARED = "sip.softswitch.shared"
# The form of a recording's file: written by the softswitch's half, read by the application's.
_VAULT = ("sip.media.recording.vault", "sip.media.recording.keys")

# A module may import itself, what is listed for its longest matching prefix, and any package
# that is not ours.
ALLOWED: dict[str, tuple[str, ...]] = {
    "config": (),
    # Leaves that everything in sip may use: errors, time, ids and the record of messages.
    "sip.errors": (),
    "sip.log_throttle": (),
    "sip.clock": (),
    "sip.ids": (),
    "sip.collector": (),
    "sip.redaction": (),
    "sip.trace": ("sip.core", "sip.clock", "sip.redaction"),
    "sip.message_log": ("sip.core", "sip.redaction", "sip.trace"),
    "sip.core": ("sip.errors",),
    "sip.transport": ("sip.core", *_LEAVES),
    "sip.ua": ("sip.core", "sip.transport", *_LEAVES),
    "sip.media": ("sip.core", "sip.errors", "sip.clock", "sip.ids", "sip.log_throttle"),
    "sip.b2bua": ("sip.core", "sip.transport", "sip.ua", "sip.media", *_LEAVES),
    # A media stream as both its ends see it: values and protocols, which gateway.twilio speaks too.
    "sip.streams.face": ("sip.errors",),
    "sip.streams": ("sip.core", "sip.media", "sip.b2bua", *_LEAVES),
    # trunks <- admission, registration, dialling <- jambonz <- softswitch
    "sip.softswitch.shared": (),
    "sip.softswitch.trunks": (*_BELOW_SOFTSWITCH, _SHARED),
    "sip.softswitch.admission": (*_BELOW_SOFTSWITCH, _SHARED, _TRUNKS),
    "sip.softswitch.registration": (*_BELOW_SOFTSWITCH, _SHARED, _TRUNKS),
    "sip.softswitch.dialling": (*_BELOW_SOFTSWITCH, _TRUNKS),
    "sip.softswitch.jambonz": (*_BELOW_SOFTSWITCH, _TRUNKS, "sip.softswitch.dialling"),
    "sip.softswitch": (*_BELOW_SOFTSWITCH, "sip.softswitch"),
    # jambonz, retell, storage, log <- calls <- twilio <- outbound <- callbacks <- webhooks <- http
    # <- start <- main <- cli
    "gateway.log": ("gateway.iso", "gateway.log_calls", "gateway.log_queue", "gateway.visible"),
    "gateway.log_calls": (),
    "gateway.log_queue": (),
    "gateway.iso": (),
    "gateway.strict_json": (),
    "gateway.feed": ("gateway.iso", "gateway.value"),
    "gateway.short_answer": (),
    "gateway.value": (),
    "gateway.version": (),
    "gateway.visible": (),
    "gateway.jambonz": (
        "config",
        "gateway.log",
        "gateway.short_answer",
        "gateway.value",
        "gateway.visible",
    ),
    "gateway.retell": ("config", "gateway.log", "gateway.strict_json", "gateway.value"),
    "gateway.provisioning": ("config",),
    "gateway.twilio.provisioning": ("config", "gateway.provisioning"),
    "gateway.storage": ("config", "gateway.log", _SHARED),
    "gateway.recordings": _VAULT,
    "gateway.calls": (
        "config",
        "gateway.feed",
        "gateway.iso",
        "gateway.log",
        "gateway.value",
        "gateway.jambonz",
        "gateway.retell",
        "gateway.storage",
    ),
    "gateway.twilio": (
        "config",
        "gateway.log",
        "gateway.short_answer",
        "gateway.value",
        "gateway.visible",
        "gateway.jambonz",
        "gateway.retell",
        "gateway.storage",
        "gateway.calls",
        "sip.streams.face",
    ),
    "gateway.outbound": (
        "config",
        "gateway.log",
        "gateway.iso",
        "gateway.value",
        "gateway.jambonz",
        "gateway.retell",
        "gateway.storage",
        "gateway.calls",
        "gateway.twilio",
    ),
    "gateway.callbacks": (
        "config",
        "gateway.feed",
        "gateway.log",
        "gateway.iso",
        "gateway.value",
        "gateway.version",
        "gateway.storage",
        "gateway.outbound",
    ),
    "gateway.webhooks": (
        "config",
        "gateway.log",
        "gateway.iso",
        "gateway.short_answer",
        "gateway.value",
        "gateway.version",
        "gateway.retell",
        "gateway.storage",
        "gateway.calls",
        "gateway.callbacks",
    ),
    "gateway.http": (
        "config",
        "gateway.feed",
        "gateway.log",
        "gateway.iso",
        "gateway.strict_json",
        "gateway.value",
        "gateway.callbacks",
        "gateway.webhooks",
        "gateway.version",
        "gateway.jambonz",
        "gateway.retell",
        "gateway.storage",
        "gateway.recordings",
        "gateway.calls",
        "gateway.twilio",
        "gateway.outbound",
        "gateway.twilio",
    ),
    # The composition root and its parts: the one place that sees both halves.
    "gateway.start": (
        "sip",
        "config",
        "gateway.log",
        "gateway.jambonz",
        "gateway.storage",
        "gateway.recordings",
        "gateway.calls",
        "gateway.outbound",
        "gateway.webhooks",
        "gateway.twilio",
        "gateway.http",
    ),
    "gateway.main": (
        "sip",
        "config",
        "gateway.log",
        "gateway.jambonz",
        "gateway.start",
        "gateway.twilio",
    ),
    # The command line starts each of the programs.
    "gateway.cli": ("config", "gateway", "testkit"),
    "gateway.__main__": ("gateway.cli",),
    # Programs of their own, which share nothing with the gateway but the melodies by which a call
    # is recognised. The sandbox speaks SIP with our stack; the phone, with nothing of ours.
    "testkit": (),
    "testkit.melody": (),
    "testkit.phone": ("testkit.melody",),
    "testkit.sandbox": (
        "sip.core",
        "sip.transport",
        "sip.ua",
        "sip.b2bua.legs",
        "sip.b2bua.call_events",
        "sip.errors",
        "sip.clock",
        "sip.ids",
        "testkit.melody",
    ),
    "testkit.sandbox.for_gateway": ("config", "testkit.sandbox.settings"),
}

# sip.core takes bytes, inputs and `now`: nothing in it may wait, open, tell the time or throw dice.
IMPURE = {
    "asyncio",
    "datetime",
    "os",
    "pathlib",
    "random",
    "secrets",
    "select",
    "selectors",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
    "uuid",
}


def modules(*packages: str) -> Iterator[tuple[str, Path]]:
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(name: str, path: Path) -> Iterator[str]:
    """Every module that a file imports, relative imports resolved, wherever in the file it does."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            # `from sip import media` names a module too
            for alias in node.names:
                inner = ROOT.joinpath(*base.split("."), alias.name)
                is_module = inner.is_dir() or inner.with_suffix(".py").is_file()
                yield f"{base}.{alias.name}" if is_module else base


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def layer_of(name: str) -> str | None:
    return max((layer for layer in ALLOWED if within(name, layer)), key=len, default=None)


def may_import(name: str, imported: str) -> bool:
    if imported.partition(".")[0] not in OURS:
        return True
    layer = layer_of(name)
    assert layer is not None, f"{name} belongs to no layer of tests/test_imports.py"
    if within(imported, layer):
        return True
    return any(within(imported, allowed) for allowed in ALLOWED[layer])


def test_every_import_follows_the_arrows() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules(*PROGRAM)
        if name not in {"sip", "gateway"}
        for imported in imports(name, path)
        if not may_import(name, imported)
    ]
    assert wrong == []


def imports_among_us() -> dict[str, set[str]]:
    """Which of our files each of our files imports."""
    known = dict(modules(*PROGRAM))
    return {
        name: {imported for imported in imports(name, path) if imported in known} - {name}
        for name, path in known.items()
    }


def of_folders(files: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same of folders; an arrow between a folder and one inside it does not count."""
    folders: dict[str, set[str]] = {}
    for name, imported in files.items():
        folder = folder_of(name)
        others = {folder_of(other) for other in imported}
        folders.setdefault(folder, set()).update(
            other for other in others if not within(folder, other) and not within(other, folder)
        )
    return folders


def folder_of(name: str) -> str:
    is_folder = ROOT.joinpath(*name.split(".")).is_dir()
    return name if is_folder else name.rpartition(".")[0]


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Every set of nodes that reach each other, sorted: the strongly connected ones (Tarjan)."""
    found: list[list[str]] = []
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(arrows.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            circle = sorted(stack[at:])
            del stack[at:]
            if len(circle) > 1:
                found.append(circle)

    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return sorted(found)


def test_no_circle_of_files_or_folders() -> None:
    files = imports_among_us()
    assert circles(files) == []
    assert circles(of_folders(files)) == []


def test_a_circle_is_found() -> None:
    files = {"sip.a.x": {"sip.b.y"}, "sip.b.y": {"sip.a.z"}, "sip.a.z": set()}
    assert circles(files) == []
    assert circles({"sip.a": {"sip.b"}, "sip.b": {"sip.a"}, "sip.c": {"sip.a"}}) == [
        ["sip.a", "sip.b"]
    ]


def test_the_core_is_pure() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules("sip")
        if within(name, "sip.core")
        for imported in imports(name, path)
        if imported.partition(".")[0] in IMPURE
    ]
    assert wrong == []


def test_only_the_test_phone_needs_the_gpl_library() -> None:
    users = {
        name
        for name, path in modules(*PROGRAM)
        for imported in imports(name, path)
        if imported.partition(".")[0] == "pyVoIP"
    }
    assert all(within(name, "testkit.phone") for name in users)


@pytest.mark.parametrize(
    ("name", "imported", "allowed"),
    [
        ("sip.core.message", "sip.core.header_values", True),
        ("sip.core.message", "sip.transport.udp", False),
        ("sip.ua.leg", "sip.transport.udp", True),
        ("sip.transport.udp", "sip.ua", False),
        ("sip.softswitch.jambonz.driver", "gateway.calls", False),
        ("sip.softswitch.trunks.trunk", "config.settings", True),
        ("sip.softswitch.trunks.trunk", "sip.softswitch.dialling", False),
        ("sip.softswitch.dialling.dialler", "sip.softswitch.jambonz.verbs", False),
        ("sip.softswitch.softswitch", "sip.softswitch.jambonz.driver", True),
        ("sip.ua.registration", "config.settings", False),
        ("gateway.storage.record_table", "sip.softswitch.shared", True),
        ("gateway.storage.record_table", "sip.softswitch.softswitch", False),
        ("sip.softswitch.shared", "sip.clock", False),
        ("gateway.recordings.store", "sip.media.recording.vault", True),
        ("gateway.recordings.store", "sip.media.recording.recorder", False),
        ("gateway.http.app", "sip.core.uri", False),
        ("gateway.http.app", "testkit.sandbox.main", False),
        ("gateway.jambonz.endpoint", "gateway.calls.live_calls", False),
        ("gateway.calls.live_calls", "gateway.http.app", False),
        ("gateway.start.softswitch", "sip.softswitch.softswitch", True),
        ("gateway.start.softswitch", "gateway.main", False),
        ("gateway.http.app", "gateway.start.shown", False),
        ("gateway.main", "gateway.start.softswitch", True),
        ("testkit.sandbox.main", "sip.b2bua.legs.leg", True),
        ("testkit.sandbox.main", "sip.b2bua.call", False),
        ("testkit.sandbox.main", "testkit.melody", True),
        ("testkit.sandbox.main", "gateway.calls", False),
        ("testkit.phone.caller", "sip.core.message", False),
        ("sip.core.sdp", "re", True),
        ("sip.core.uri", "sip.errors", True),
        ("sip.core.uri", "sip.clock", False),
        ("sip.errors", "sip.core.message", False),
    ],
)
def test_the_arrows_are_those_of_the_design(name: str, imported: str, allowed: bool) -> None:
    assert may_import(name, imported) is allowed
