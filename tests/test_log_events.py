"""Every log line of `sip/` is an event by a dotted slug, with its details as keys.

So one grep finds an event, and one by `call_sid` or `sip_call_id` follows a call.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)+")
FILES = sorted(
    path
    for path in (ROOT / "sip").rglob("*.py")
    if "get_logger" in path.read_text() or "getLogger" in path.read_text()
)


def lines(tree: ast.AST) -> Iterator[ast.Call]:
    """Every call that writes a log line."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name("log"), attr=level)) if (
                level in LEVELS or level == "log"
            ):
                yield node


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_log_lines_are_slugs_with_keys(path: Path) -> None:
    found = list(lines(ast.parse(path.read_text())))
    assert found, "a logger without a line"
    for line in found:
        first = 1 if isinstance(line.func, ast.Attribute) and line.func.attr == "log" else 0
        event, where = line.args[first], f"{path.relative_to(ROOT)}:{line.lineno}"
        assert len(line.args) == first + 1, f"{where}: details are keys"
        match event:
            case ast.Constant(value=str(slug)):
                assert SLUG.fullmatch(slug), f"{where}: {slug!r}"
            case ast.Name():  # chosen above, or by the caller
                pass
            case _:
                pytest.fail(f"{where}: the event is neither a slug nor a name")


def test_lines_of_the_relay_are_slugs_with_keys() -> None:
    """It has a log of its own (`ProblemLog`), which the gateway's takes over as it is."""
    found = []
    for path in (ROOT / "sip" / "media" / "relay").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr="problem"), args=args):
                    found.append((path.name, node.lineno, args))
                case ast.Call(func=ast.Attribute(attr="line"), args=[_, *args]):
                    found.append((path.name, node.lineno, args))
    assert len(found) > 5
    for *where, args in found:
        match args:
            case [ast.Constant(value=str(slug))]:
                assert SLUG.fullmatch(slug), where
                assert slug.startswith("relay."), where
            case [ast.Name()]:  # chosen by the caller
                pass
            case _:
                pytest.fail(f"{where}: one slug and keys")
