"""A Spark for tests, in processes of this machine; and what it gives beside what one machine gives."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from ordervet.features import FeatureEngine, build_later_events, build_order_events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from ordervet.entities import KeyedEvents
    from ordervet.features import FeatureSpec

HOW = {
    "java": "make java, or apt-get install openjdk-17-jre-headless",
    "pyspark": 'pip install "ordervet[spark]" (make setup does)',
}
SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.codegen.wholeStage": "false",  # compiling takes longer than small jobs do
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "700",
    "spark.sql.session.timeZone": "America/New_York",
    "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
    "spark.connect.grpc.binding.address": "127.0.0.1",
}
_PORT = "spark.connect.grpc.binding.port"


def require_spark() -> None:
    """Skip a test on a machine without Spark, by the name of what is missing; in CI that fails."""
    has_module = importlib.util.find_spec("pyspark") is not None
    missing = [name for name, is_there in (("java", shutil.which("java")), ("pyspark", has_module)) if not is_there]
    for name in missing:
        assert "CI" not in os.environ, f"there is no {name}: {HOW[name]}"
        pytest.skip(f"there is no {name} on this machine: {HOW[name]}")


@contextmanager
def running_spark(folder: Path, **settings: str) -> Iterator[SparkSession]:
    """Run a Spark of two processes; a task that fails is tried again."""
    require_spark()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pyspark's own, about pandas and sockets
        from pyspark.sql import SparkSession

        os.environ["PYSPARK_PYTHON"] = sys.executable
        builder = SparkSession.builder.master("local[2,4]").config("spark.local.dir", str(folder))
        for name, value in {**SETTINGS, _PORT: str(find_port()), **settings}.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("OFF")
        try:
            yield session
        finally:
            session.stop()


def find_port() -> int:
    """Find a port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@contextmanager
def connecting(session: SparkSession) -> Iterator[SparkSession]:
    """Connect to a running Spark as a client of Spark Connect, which has no Java of its own."""
    from pyspark.sql.connect.session import SparkSession as RemoteSession

    address = f"sc://127.0.0.1:{session.conf.get(_PORT)}"
    remote: Any = RemoteSession.builder.remote(address).create()
    try:
        yield remote
    finally:
        remote.stop()


def compute_here(keyed: KeyedEvents, spec: FeatureSpec) -> pa.Table:
    """Compute features on one machine."""
    orders = build_order_events(keyed.orders, spec)
    matrix = FeatureEngine(spec).advance(orders, build_later_events(keyed))
    columns = {"order_id": keyed.orders["order_id"], "seen_at": keyed.orders["seen_at"]}
    return pa.table(columns | {name: matrix[:, at] for at, name in enumerate(spec.names)})


def assert_same(found: DataFrame | pa.Table, here: pa.Table, by: tuple[str, ...] = ("order_id", "seen_at")) -> None:
    """Compare rows bit for bit, whatever their order, in the columns that one machine gives."""
    keys = [(name, "ascending") for name in by]
    told, known = (found if isinstance(found, pa.Table) else found.toArrow()).sort_by(keys), here.sort_by(keys)
    assert told.num_rows == known.num_rows
    for name in known.column_names:
        one, other = told[name].combine_chunks(), known[name].combine_chunks()
        if pa.types.is_floating(other.type):
            np.testing.assert_array_equal(one.to_numpy(zero_copy_only=False), other.to_numpy(), err_msg=name)
        else:
            assert one.cast(other.type).equals(other), name
