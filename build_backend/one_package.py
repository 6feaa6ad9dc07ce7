"""Builds the wheel: the program's folders inside one package, whatever else lies beside them.

In the repository the program is the folders of `FOLDERS`, which import each other by these names.
Installed, four names as common as `config` and `sip` would belong to us in every program of that
Python. So the wheel holds `retell_sip_gateway` alone, with the folders in it, and every
`from sip.… import` in it reads `from retell_sip_gateway.sip.… import`. Nothing else is changed,
not even a line's number: a traceback of an installed gateway shows a real file and line.

setuptools does the building (PEP 517), in a folder of our making that holds `program_files` and
no more: neither an operator's configuration nor what an earlier build left in `build/` can get
into a wheel or a source distribution. An editable install leaves the folders where they are and
imports them by their own names.
"""

import ast
import contextlib
import fnmatch
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from setuptools import build_meta

PACKAGE: Final = "retell_sip_gateway"
FOLDERS: Final = ("config", "gateway", "sip", "testkit")

#: What belongs to the program besides its modules; `*` stands for no slash.
DATA: Final = (
    f"{PACKAGE}/py.typed",
    "config/gateway.example.yaml",
    "config/sandbox.yaml",
    "config/profiles/*.yaml",
    "testkit/sandbox/*.wav",
)
#: What building needs besides the program.
PROJECT: Final = ("pyproject.toml", "README.md", "LICENSE", "build_backend/*.py")

Settings = dict[str, Any] | None

get_requires_for_build_wheel = build_meta.get_requires_for_build_wheel
get_requires_for_build_sdist = build_meta.get_requires_for_build_sdist
get_requires_for_build_editable = build_meta.get_requires_for_build_editable
build_editable = build_meta.build_editable
prepare_metadata_for_build_editable = build_meta.prepare_metadata_for_build_editable


def build_wheel(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """Build the wheel into `wheel_directory`; its file name."""
    target = os.path.abspath(wheel_directory)
    with _staged(Path.cwd(), installed=True):
        name: str = build_meta.build_wheel(target, config_settings)
    return name


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """Build the source distribution, with the folders as they are here; its file name."""
    target = os.path.abspath(sdist_directory)
    with _staged(Path.cwd(), installed=False):
        name: str = build_meta.build_sdist(target, config_settings)
    return name


def program_files(root: Path) -> Iterator[str]:
    """The paths below `root` of all that is the program, by `/`: its modules and its `DATA`."""
    for top in (PACKAGE, *FOLDERS):
        for path in sorted((root / top).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_file() and (path.suffix == ".py" or _is_one_of(name, DATA)):
                yield name


def rewritten(source: str, name: str) -> str:
    """A module whose imports of the program's folders lead into `PACKAGE`.

    Raises SyntaxError for `import sip`, which would have to bind another name.
    """
    lines = source.split("\n")
    for node in ast.walk(ast.parse(source, name)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in FOLDERS:
                    message = f"import {alias.name}: write from … import …, as the wheel needs it"
                    raise SyntaxError(message, (name, node.lineno, None, None))
        elif isinstance(node, ast.ImportFrom) and _names_a_folder(node):
            # the column counts bytes of UTF-8
            line = lines[node.lineno - 1].encode()
            before, after = line[: node.col_offset].decode(), line[node.col_offset :].decode()
            lines[node.lineno - 1] = before + re.sub(r"^from\s+", f"from {PACKAGE}.", after)
    return "\n".join(lines)


def _names_a_folder(node: ast.ImportFrom) -> bool:
    return not node.level and str(node.module).partition(".")[0] in FOLDERS


@contextlib.contextmanager
def _staged(root: Path, *, installed: bool) -> Iterator[None]:
    """Work in a folder that holds what goes into the distribution, and is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="build-") as folder:
        stage = Path(folder)
        for pattern in PROJECT:
            for path in root.glob(pattern):
                _copy(path, stage / path.relative_to(root))
        for name in program_files(root):
            moved = installed and name.partition("/")[0] in FOLDERS
            place = stage / PACKAGE / name if moved else stage / name
            _copy(root / name, place)
            if installed and place.suffix == ".py":
                text = place.read_text(encoding="utf-8")
                place.write_text(rewritten(text, name), encoding="utf-8")
        # setuptools knows of no backend but its own: whoever builds from the sources needs it too
        (stage / "MANIFEST.in").write_text("include build_backend/*.py\n", encoding="utf-8")
        with contextlib.chdir(stage):
            yield


def _copy(path: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, place)


def _is_one_of(name: str, patterns: tuple[str, ...]) -> bool:
    depth = name.count("/")
    return any(p.count("/") == depth and fnmatch.fnmatchcase(name, p) for p in patterns)
