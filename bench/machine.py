"""What a figure was measured on. Nothing here names the machine or its paths."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

from bench.cores import Cores

_PACKAGES = ("uvloop", "aiohttp", "SQLAlchemy", "sippy")


def describe_machine(cores: Cores) -> Mapping[str, str]:
    """Processor, kernel, versions and load, in the order to print them."""
    facts = {
        "processor": _cpu_model(),
        "cores": f"{os.cpu_count()} (tested system on {cores.tested}, load on {cores.generator})",
        "load average at start": f"{os.getloadavg()[0]:.2f}",
        "kernel": platform.release(),
        "system": _system_name(),
        "python": platform.python_version(),
        "SIPp": _version(["sipp", "-v"], r"SIPp v([\w.]+)"),
        "rtpengine": _version(["rtpengine", "--version"], r"Version:?\s*(\S+)"),
    }
    for package in _PACKAGES:
        facts[package] = _installed(package)
    return facts


def commit() -> str:
    """The short name of what is measured, with a mark when the work tree differs from it."""
    name = _output(["git", "rev-parse", "--short", "HEAD"]).strip()
    if not re.fullmatch(r"[0-9a-f]{6,}", name):
        return "unversioned"
    changed = _output(["git", "status", "--porcelain", "--", "sip", "gateway", "config"])
    return f"{name}-changed" if changed.strip() else name


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _system_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _version(argv: list[str], pattern: str) -> str:
    if shutil.which(argv[0]) is None:
        return "not installed"
    found = re.search(pattern, _output(argv))
    return found.group(1).rstrip(".") if found else "unknown"


def _output(argv: list[str]) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def stolen_share() -> Callable[[], float]:
    """A function that tells which share of the time since now the hypervisor kept for others."""
    before = _processor_times()

    def share() -> float:
        spent = [after - first for after, first in zip(_processor_times(), before, strict=True)]
        return spent[7] / sum(spent) if sum(spent) else 0.0

    return share


def _processor_times() -> list[int]:
    """user, nice, system, idle, iowait, irq, softirq, steal of all cores (proc(5))."""
    first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    return [int(field) for field in first.split()[1:9]]
