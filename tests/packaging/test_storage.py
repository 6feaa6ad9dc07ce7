"""The program and its database: one that it does not know, one that is in use, one that it left."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import yaml

from gateway.storage.database import open_engine
from gateway.storage.migrations import NEWEST, VERSION_TABLE
from tests.packaging.conftest import Ports, Run, environment
from tests.packaging.test_trunk_commands import (
    SCANNER,
    _until_ready,
    ask,
    running,
    scan,
    until_listed,
)


def use_database(config_file: Path, file: Path) -> None:
    data = yaml.safe_load(config_file.read_text())
    data["http"]["admin_token"] = "a-token"
    data["retell"]["identify"] = ["127.0.0.1"]  # the scanner is no address of Retell's
    data["storage"] = {"url": f"sqlite:///{file}"}
    config_file.write_text(yaml.safe_dump(data))


def run_sql(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(statement)


async def make_database(file: Path) -> None:
    async with open_engine(f"sqlite:///{file}"):
        pass


@contextmanager
def crashing(config_file: Path, ports: Ports, folder: Path) -> Iterator[int]:
    """The pid of a gateway that is ready, and in the end killed."""
    log = folder / "crashed.log"
    line = [sys.executable, "-m", "gateway", "run", "--config", str(config_file)]
    with log.open("w") as file:
        gateway = subprocess.Popen(
            line, cwd=folder, env=environment(), stdout=file, stderr=subprocess.STDOUT
        )
    try:
        _until_ready(gateway, f"http://127.0.0.1:{ports.http}/readyz", log)
        yield gateway.pid
    finally:
        gateway.kill()
        gateway.wait(30)


def test_a_later_schema_stops_the_start_and_check_says_so(
    config_file: Path, tmp_path: Path, program: Run
) -> None:
    database = tmp_path / "calls.db"
    use_database(config_file, database)
    asyncio.run(make_database(database))
    run_sql(database, f"update {VERSION_TABLE} set version_num = '0999'")
    refused = program("run", "--config", config_file)
    [line] = refused.lines
    assert refused.code == 2
    assert line.startswith("error: storage.url: the database has schema version 0999, and this")
    checked = program("check", "--config", config_file)
    assert checked.code == 1
    assert "storage.url: the database has schema version 0999" in checked.out


def test_check_tells_of_an_upgrade_and_makes_none(
    config_file: Path, tmp_path: Path, program: Run
) -> None:
    database = tmp_path / "calls.db"
    use_database(config_file, database)
    columns = "call_id, call_sid, started_ms, retell_headers"
    run_sql(database, f"create table calls ({columns})")
    before = database.read_bytes()
    checked = program("check", "--config", config_file)
    assert (checked.code, checked.lines) == (0, [])
    assert f"schema version 0001 is upgraded to {NEWEST} at the start" in checked.out
    assert database.read_bytes() == before


def test_a_ban_outlasts_a_crash_and_two_gateways_do_not_share_a_file(
    config_file: Path, tmp_path: Path, ports: Ports, program: Run
) -> None:
    use_database(config_file, tmp_path / "calls.db")
    with crashing(config_file, ports, tmp_path) as pid:
        scan(ports.sip)
        until_listed(config_file, "bans", SCANNER)
        second = program("run", "--config", config_file)
        assert second.code == 2
        [said] = second.lines
        assert said.startswith("error: storage.url: another gateway uses this database: process ")
        assert str(pid) in said
    with running(config_file, ports, tmp_path):
        until_listed(config_file, "bans", SCANNER)
        lifted = ask(config_file, "unban", SCANNER)
        assert lifted.exit_code == 0
        assert ask(config_file, "bans").stdout == "no address is banned\n"
