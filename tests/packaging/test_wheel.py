"""The wheel holds one package and nothing of the operator's; installed, it carries a call."""

import ast
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from build_backend.one_package import FOLDERS, PACKAGE, PROJECT, program_files, rewritten
from tests.packaging.conftest import ROOT, environment

LITTER = {
    "config/gateway.yaml": "retell: {api_key: s3cret}",
    "config/gateway.yaml.bak": "s3cret",
    "config/staging.yaml": "s3cret",
    "config/tls.key": "s3cret",
    "config/tls.crt": "certificate",
    "config/profiles/tls.key": "s3cret",
    "config/gateway.db": "records",
    ".env": "RETELL_API_KEY=s3cret",
    "config/.env": "RETELL_API_KEY=s3cret",
    "gateway.db": "records",
    "gateway/http/notes.txt": "s3cret",
    "testkit/sandbox/customer/call.wav": "speech",
    f"{PACKAGE}/gateway.yaml": "s3cret",
    # what an earlier build has left
    f"build/lib/{PACKAGE}/stale.py": "",
    "build/lib/config/gateway.yaml": "s3cret",
    f"{PACKAGE}.egg-info/SOURCES.txt": "config/gateway.yaml\nconfig/tls.key\n",
    "MANIFEST.in": "graft config\n",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this one, in which an operator has worked and built before."""
    copy = tmp_path_factory.mktemp("checkout")
    for folder in (PACKAGE, "build_backend", *FOLDERS):
        ours = shutil.ignore_patterns("__pycache__", "gateway.yaml", "*.key", "*.db")
        shutil.copytree(ROOT / folder, copy / folder, ignore=ours)
    for pattern in PROJECT:
        for path in ROOT.glob(pattern):
            shutil.copy(path, copy / path.relative_to(ROOT))
    for name, text in LITTER.items():
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert not path.exists(), name
        path.write_text(text)
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as the Dockerfile does."""
    place = tmp_path_factory.mktemp("wheels")
    pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "-w", place, checkout)
    (built,) = place.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that has the wheel, and beside it no more than what it depends on."""
    place = tmp_path_factory.mktemp("installed") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", place)
    python = place / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = place / "lib" / version / "site-packages"
    # On the path by name: the editable install's own .pth file is not read from there.
    others = {path for path in sys.path if path.endswith("-packages")}
    (packages / "others.pth").write_text("\n".join(sorted(others)))
    pip(python, "install", "--no-deps", "--force-reinstall", wheel)
    return place / "bin"


def pip(python: str | Path, *arguments: str | Path) -> None:
    quiet = ("--quiet", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "--python", python, *quiet, *arguments)


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """What it printed; the test fails with what it said if it fails."""
    kept = {key: value for key, value in environment().items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd or "/",
        env=kept,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_is_the_program_in_one_package(wheel: Path, checkout: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        texts = [archive.read(name) for name in archive.namelist()]
    assert names == {
        name if name.startswith(f"{PACKAGE}/") else f"{PACKAGE}/{name}"
        for name in program_files(ROOT)
    }
    assert not any(b"s3cret" in text for text in texts)
    assert {name.rpartition(".")[2] for name in names} == {"py", "typed", "yaml", "wav"}


def test_the_source_distribution_holds_nothing_else_and_makes_the_same_wheel(
    wheel: Path, checkout: Path, tmp_path: Path
) -> None:
    def built(kind: str, source: Path) -> Path:
        script = (
            "import sys; sys.path.insert(0, 'build_backend'); import one_package;"
            f" print(one_package.build_{kind}({str(tmp_path)!r}))"
        )
        said = run(sys.executable, "-c", script, cwd=source)
        return tmp_path / said.splitlines()[-1]

    archive = built("sdist", checkout)
    with tarfile.open(archive) as packed:
        top, *_ = packed.getnames()
        names = {member.name.removeprefix(f"{top}/") for member in packed if member.isfile()}
        packed.extractall(tmp_path, filter="data")
    wanted = set(program_files(ROOT)) | {"build_backend/__init__.py"}
    wanted |= {"pyproject.toml", "README.md", "LICENSE", "build_backend/one_package.py"}
    made = {"PKG-INFO", "setup.cfg", "MANIFEST.in"}
    assert {name for name in names - made if ".egg-info/" not in name} == wanted
    again = built("wheel", tmp_path / top)
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())
        for name in one.namelist():
            if name.endswith(".py"):
                assert one.read(name) == other.read(name)


def test_no_name_but_ours_is_taken(installed: Path) -> None:
    script = f"from importlib.util import find_spec; print(*map(find_spec, {(*FOLDERS, PACKAGE)}))"
    *others, ours = run(installed / "python", "-c", script).split(" ModuleSpec")
    assert others == ["None None None None"]
    assert f"name='{PACKAGE}'" in ours


def test_a_traceback_shows_the_line_of_an_installed_file(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "taken.yaml").write_text("http: [")
    script = (
        f"from pathlib import Path; from {PACKAGE}.config.settings import load;"
        " load(Path('taken.yaml'), {})"
    )
    done = subprocess.run(
        [installed / "python", "-c", script],
        cwd=tmp_path,
        env=environment() | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert f"/site-packages/{PACKAGE}/config/reading/source.py" in done.stderr
    assert 'raise _unread(path, f"is not YAML' in done.stderr


@pytest.mark.parametrize("program", [["retell-sip-gateway"], ["python", "-m", PACKAGE]])
def test_both_ways_to_start_it_find_the_profiles(installed: Path, program: list[str]) -> None:
    name, *arguments = program
    listed = run(installed / name, *arguments, "profiles")
    assert "Twilio Elastic SIP Trunking" in listed


def test_the_installed_gateway_carries_a_call(
    installed: Path, tmp_path: Path, config_file: Path
) -> None:
    """Sandbox, gateway and relay are processes of their own, all of the wheel."""
    said = run(
        installed / "retell-sip-gateway",
        *("run", "--demo", "--once", "--config", config_file),
        cwd=tmp_path,
    )
    assert "Proved: each side heard the other." in said
    assert str(ROOT) not in said
    logs = [path.read_text() for path in (tmp_path / ".run").glob("*.log")]
    assert len(logs) == 2
    assert not any(str(ROOT) in text for text in logs), "the checkout was run"


# the rewriting


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("from sip.core.uri import Uri", f"from {PACKAGE}.sip.core.uri import Uri"),
        ("from config import settings", f"from {PACKAGE}.config import settings"),
        ("if x:\n    from  gateway.log import (\n  a, b)",
         f"if x:\n    from {PACKAGE}.gateway.log import (\n  a, b)"),
        ("x = 'ä\x0cö'; from sip import ids  # from sip",
         f"x = 'ä\x0cö'; from {PACKAGE}.sip import ids  # from sip"),
        ("from . import sip", "from . import sip"),
        ("from sipgo import x", "from sipgo import x"),
        ("import configparser", "import configparser"),
        ("'''from sip.core import x'''", "'''from sip.core import x'''"),
    ],
)  # fmt: skip
def test_only_imports_of_the_folders_change(line: str, wanted: str) -> None:
    assert rewritten(line, "it.py") == wanted
    assert wanted.count("\n") == line.count("\n")


@pytest.mark.parametrize("line", ["import sip", "import sip.core.uri", "import re, config as c"])
def test_an_import_that_would_bind_another_name_is_refused(line: str) -> None:
    with pytest.raises(SyntaxError, match="write from … import …, as the wheel needs it"):
        rewritten(f"\n{line}\n", "it.py")


def modules() -> Iterator[tuple[str, ast.Module]]:
    for name in program_files(ROOT):
        if name.endswith(".py"):
            yield name, ast.parse((ROOT / name).read_text(), name)


def test_no_module_is_named_by_a_string() -> None:
    """Such a name would lead nowhere in the wheel: `from X import __name__` says the right one.

    A logger's name is only read by people.
    """
    wrong = [
        f"{name}:{node.lineno}: {node.value!r}"
        for name, tree in modules()
        for node in strings_besides_loggers(tree)
        if is_module(node.value) and node.value != "gateway.log"  # a file of the demonstration
    ]
    assert wrong == []


def test_no_program_is_started_by_a_name_of_the_checkout() -> None:
    wrong = [
        f"{name}:{after.lineno}: -m {after.value!r}"
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call | ast.Tuple | ast.List)
        for one, after in pairwise(node.args if isinstance(node, ast.Call) else node.elts)
        if isinstance(one, ast.Constant) and one.value == "-m" and isinstance(after, ast.Constant)
    ]
    assert wrong == []


def strings_besides_loggers(tree: ast.Module) -> Iterator[ast.Constant]:
    names = {
        argument
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        if ast.unparse(node.func).endswith(("get_logger", "getLogger"))
        for argument in node.args
    }
    yield from (n for n in ast.walk(tree) if isinstance(n, ast.Constant) and n not in names)


def is_module(value: object) -> bool:
    if not isinstance(value, str) or "." not in value or value.partition(".")[0] not in FOLDERS:
        return False
    path = ROOT.joinpath(*value.replace(":", ".").split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()
