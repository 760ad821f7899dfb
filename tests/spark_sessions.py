"""A Spark for tests, in processes of this machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

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
}


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
        for name, value in {**SETTINGS, **settings}.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("OFF")
        try:
            yield session
        finally:
            session.stop()
