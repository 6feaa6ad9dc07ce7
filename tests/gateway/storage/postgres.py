"""A PostgreSQL server of the tests' own, from the Debian package: made, started, thrown away."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

USER: Final = "gateway"
#: As long as initdb and a start may take on a busy machine.
PATIENCE_S: Final = 60.0


class Postgres:
    """A server that can be stopped and started again, on one port of loopback."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._password = secrets.token_urlsafe(12)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])

    def make(self) -> None:
        secret = self._folder / "password"
        secret.write_text(self._password)
        secret.chmod(0o644)
        options = ("--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync", "--encoding=UTF8")
        self._run("initdb", "-D", self._data, "-U", USER, "--locale=C.UTF-8", *options)

    def start(self) -> None:
        """Start it; returns once it takes connections."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self._folder,
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": 50,
        }
        assignments = [f"{name}={value}" for name, value in settings.items()]
        arguments = [part for each in assignments for part in ("-c", each)]
        log = (self._folder / "server.log").open("ab")
        self._process = subprocess.Popen(
            [str(self._programs / "postgres"), "-D", str(self._data), *arguments],
            stdout=log,
            stderr=log,
            cwd=self._folder,
            **_unprivileged(),
        )
        log.close()
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "server.log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it at once, as a crash would: connections break, nothing is said to them."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(PATIENCE_S)
            self._process = None

    def new_database(self) -> str:
        """The URL of an empty database."""
        self._databases += 1
        name = f"test_{self._databases}"
        self._sql(f"create database {name}")
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self.port}/{name}"

    def by_socket(self, url: str) -> str:
        """The URL of the same database by the server's Unix socket."""
        name = url.rpartition("/")[2]
        return f"postgresql://{USER}:{self._password}@/{name}?host={self._folder}&port={self.port}"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return self._ready()
        return False

    def _ready(self) -> bool:
        try:
            self._sql("select 1")
        except subprocess.CalledProcessError:
            return False
        return True

    def _sql(self, statement: str) -> None:
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", "postgres", "-w")
        self._run("psql", *where, "-q", "-c", statement)

    def _run(self, program: str, *arguments: str | Path) -> None:
        subprocess.run(
            [self._programs / program, *arguments],
            check=True,
            capture_output=True,
            timeout=PATIENCE_S,
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "PGPASSWORD": self._password, "LC_ALL": "C.UTF-8"},
            **_unprivileged(),
        )


def programs() -> Path | None:
    """Where the newest server's programs are; Debian keeps them off PATH. None if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_version)
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def server(programs: Path) -> Iterator[Postgres]:
    """A running server; its folder is short, for a Unix socket's path has 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if os.getuid() == 0:
        account = pwd.getpwnam(_account())
        os.chown(folder, account.pw_uid, account.pw_gid)
    postgres = Postgres(programs, folder)
    try:
        postgres.make()
        postgres.start()
        yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return {}
    account = pwd.getpwnam(_account())
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _account() -> str:
    """The user that the Debian package makes, else any without rights."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _version(path: Path) -> tuple[int, ...]:
    name = path.parts[-3]
    return tuple(int(part) for part in name.split(".") if part.isdigit())
