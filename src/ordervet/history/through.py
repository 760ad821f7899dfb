"""Writing to a history that a service is writing: through the service.

A service listens at a socket in the folder of its history. What another process brings in is read, keyed and checked
there, and left in a folder beside the table, without personal data; the service admits and commits it in its own turn.

    _service.sock        the socket
    _incoming-…/         rows on their way in: 00000.arrow, …, and how far their sources are read with them:
                         positions.json; gone once they are in, or given up
"""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import time
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyarrow import ipc

from ordervet.errors import HistoryError
from ordervet.history.ingest import Staging

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deltalake import DeltaTable

    from ordervet.entities.keys import Key
    from ordervet.history.admission import Admission

SOCKET_NAME: Final = "_service.sock"
"""In the folder of a history that a service is writing."""

_INCOMING: Final = "_incoming-"
_POSITIONS: Final = "positions.json"
_CONNECT_S: Final = 5.0
_ANSWER_S: Final = 3_600.0
_STALE_S: Final = 86_400.0


class _Connection(HTTPConnection):
    """HTTP over the socket of a service."""

    def __init__(self, path: Path) -> None:
        super().__init__("service", timeout=_ANSWER_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_CONNECT_S)
        self.sock.connect(str(self._path))
        self.sock.settimeout(_ANSWER_S)


def has_service(folder: Path) -> bool:
    """Return whether a service is writing a history, at this moment."""
    path = folder / SOCKET_NAME
    if not path.is_socket():
        return False
    connection = _Connection(path)
    try:
        connection.connect()
    except OSError:
        return False
    finally:
        connection.close()
    return True


def ask_service(folder: Path, what: str, document: object = None) -> Any:
    """Ask the service of a history to change it.

    Parameters
    ----------
    folder : of the history
    what : such as ``ingest``
    document : ready for JSON

    Raises
    ------
    HistoryError
        The service refuses, or has gone.
    """
    connection = _Connection(folder / SOCKET_NAME)
    try:
        connection.request("POST", f"/history/{what}", json.dumps(document), {"content-type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, HTTPException, ValueError) as error:
        raise HistoryError(
            f"the service that writes the history {folder.name} has not answered: {type(error).__name__}",
            hint="run it again: what was brought in before counts once",
        ) from None
    finally:
        connection.close()
    if response.status != 200:
        raise HistoryError(str(answer.get("message", "")), hint=str(answer.get("hint", "")))
    return answer


class ForwardedStaging(Staging):
    """Sets of events on their way to a service, which commits them.

    Parameters
    ----------
    folder, table, key : as for `Staging`; nobody holds the lock
    files_in : a folder of their own
    """

    def __init__(self, folder: Path, table: DeltaTable, key: Key, files_in: Path) -> None:
        super().__init__(folder, table, key, files_in=files_in)
        self._n_sets = 0

    def add_rows(self, rows: pa.Table) -> Admission:
        """Leave rows for the service; return what became of them if it were this moment."""
        with ipc.new_file(str(self._files_in / f"{self._n_sets:05}.arrow"), rows.schema) as file:
            file.write_table(rows)
        self._n_sets += 1
        return super().add_rows(rows)

    def commit(self) -> None:
        """Let the service commit everything."""
        if self._positions:
            (self._files_in / _POSITIONS).write_text(json.dumps(self._positions), encoding="utf-8")
        if self._n_sets or self._positions:
            ask_service(self._folder, "ingest", {"folder": self._files_in.name})


@contextmanager
def make_incoming(folder: Path) -> Iterator[Path]:
    """Make a folder for rows on their way in, and remove it, and those of processes that died."""
    for left in folder.glob(f"{_INCOMING}*"):
        if time.time() - left.stat().st_mtime > _STALE_S:
            shutil.rmtree(left, ignore_errors=True)
    made = folder / f"{_INCOMING}{secrets.token_hex(8)}"
    made.mkdir(mode=0o700)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def read_incoming(folder: Path, name: str) -> Iterator[pa.Table]:
    """Read the rows that were left for the service, set after set.

    Parameters
    ----------
    folder : of the history
    name : of the folder that they are in

    Raises
    ------
    HistoryError
        It is no such folder, or what is in it is damaged.
    """
    made = folder / name
    if not name.startswith(_INCOMING) or "/" in name or not made.is_dir():
        raise HistoryError(
            f"the history {folder.name} has no folder of rows of this name", hint="ingest the files again"
        )
    for path in sorted(made.glob("*.arrow")):
        try:
            with pa.memory_map(str(path)) as source:
                rows = ipc.open_file(source).read_all()
                rows.validate(full=True)
                yield rows
        except (pa.ArrowInvalid, OSError) as error:
            raise HistoryError(
                f"the rows for the history {folder.name} are damaged: {type(error).__name__}",
                hint="ingest the files again",
            ) from None


def read_incoming_positions(folder: Path, name: str) -> dict[str, int]:
    """Read how far sources are read with the rows that were left for the service.

    Parameters
    ----------
    folder : of the history
    name : of the folder that the rows are in, which `read_incoming` accepts

    Raises
    ------
    HistoryError
        They are damaged.
    """
    path = folder / name / _POSITIONS
    if not path.is_file():
        return {}
    try:
        return {str(source): int(at) for source, at in json.loads(path.read_bytes()).items()}
    except (ValueError, TypeError, AttributeError):
        raise HistoryError(
            f"the rows for the history {folder.name} are damaged: {path.name}", hint="ingest the files again"
        ) from None
