"""What documents, docstrings and comments name exists: files, folders, modules.

A name that no longer leads anywhere is told with the line that holds it.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOPS = ("bench", "config", "docs", "gateway", "sip", "testkit", "tests", r"\.ci", r"\.github")
CODE = ("bench", "config", "gateway", "sip", "testkit", "tests")

#: A file or folder below one of ours; capitals stand for any name, as `config/profiles/NAME.yaml`.
PATH = re.compile(rf"(?<![\w/.@~-])(?:{'|'.join(TOPS)})/[\w.*/-]*")
#: A Python file named without its folder, beside one that is named with it.
FILE = re.compile(r"(?<![\w/.*-])[a-z_][a-z0-9_]*\.py\b")
#: A module in Python's own notation.
MODULE = re.compile(rf"(?<![\w/.@:<-])(?:{'|'.join(CODE)})(?:\.[a-z_][a-z0-9_]*)+(?![\w.]*@|/)")

#: The operator's own file, and a page of rtpengine's.
NOT_OURS = {"config/gateway.yaml", "docs/ng_control_protocol.md"}
#: Dotted names that begin as our packages do and are something else: files, hosts.
ELSE = re.compile(r"\.(?:yaml|db|log|xml|md|com|org|net|test|example|invalid|pid|sock)(?:\.|$)")
#: Configuration keys, such as `sip.listen`, stand in the first column of docs/config.md.
KEYS = {
    ".".join(parts[:count])
    for key in re.findall(r"^\| `([a-z_.\[\]A-Z]+)`", (ROOT / "docs/config.md").read_text(), re.M)
    for parts in [key.replace("[]", "").split(".")]
    for count in range(1, len(parts) + 1)
}
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
SOURCES = sorted(path for top in CODE for path in (ROOT / top).rglob("*.py"))
PYTHON_FILES = {path.name for path in SOURCES}


def words_of(source: Path) -> Iterator[tuple[int, str]]:
    """Line number and text of each docstring line and comment."""
    text = source.read_text()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(words))):
                for offset, line in enumerate(words.splitlines()):
                    yield node.lineno + offset, line
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def lines_of(page: Path) -> Iterator[tuple[int, str]]:
    yield from enumerate(page.read_text().splitlines(), 1)


def broken(line: str) -> list[str]:
    """The names in a line that lead nowhere."""
    paths = [found.rstrip(".-") for found in PATH.findall(line)]
    files = FILE.findall(line)
    modules = MODULE.findall(line)
    return [
        *(path for path in paths if not path_exists(path)),
        *(name for name in files if name not in PYTHON_FILES),
        *(name for name in modules if not module_exists(name)),
    ]


@cache
def path_exists(path: str) -> bool:
    pattern = re.sub(r"(?<=/)[A-Z][A-Z_]+\b", "*", path)
    if path in NOT_OURS or (ROOT / path).exists():
        return True
    return "*" in pattern and any(ROOT.glob(pattern.rstrip("/")))


@cache
def module_exists(name: str) -> bool:
    """A package, a module, or what a module defines; or no module's name at all."""
    if name in KEYS or ELSE.search(name) or name.endswith(".py"):
        return True
    parts = name.split(".")
    for count in range(len(parts), 1, -1):
        place = ROOT.joinpath(*parts[:count])
        if place.is_dir():
            return count == len(parts)
        if place.with_suffix(".py").exists():
            text = place.with_suffix(".py").read_text()
            return all(re.search(rf"\b{part}\b", text) for part in parts[count:])
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_exists(page: Path) -> None:
    wrong = [
        f"{page.relative_to(ROOT)}:{number}: {name} does not exist"
        for number, line in lines_of(page)
        for name in broken(line)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_pages_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("top", CODE)
def test_what_docstrings_and_comments_name_exists(top: str) -> None:
    wrong = [
        f"{source.relative_to(ROOT)}:{number}: {name} does not exist"
        for source in SOURCES
        if source.is_relative_to(ROOT / top)
        for number, line in words_of(source)
        for name in broken(line)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("see sip/core/gone.py and `docs/gone.md`.", ["sip/core/gone.py", "docs/gone.md"]),
        ("`sip.core.gone` and sip.core.uri.gone_too", ["sip.core.gone", "sip.core.uri.gone_too"]),
        ("bans in `gone.py`", ["gone.py"]),
        ("sip.core.uri, sip/core/, config/profiles/NAME.yaml, `sip.listen`, sip.retellai.com", []),
        ("application/sdp, message/sip, https://example.com/docs/x, gateway.example.com", []),
    ],
)
def test_a_dead_name_is_found(line: str, found: list[str]) -> None:
    assert broken(line) == found
