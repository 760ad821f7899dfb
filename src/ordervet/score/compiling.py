"""Compiling what a machine needs before its first score: half of it here, half in a process beside this one.

numba compiles one kernel at a time in a process, and keeps what it compiled for all of them. So on two cores two
processes take half as long. What is not compiled here is compiled when it is first called.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa

from ordervet.contract import Order
from ordervet.kernel_cache import has_compiled_kernels

_log = logging.getLogger("ordervet")

_BESIDE = "from ordervet.score.compiling import compile_features; compile_features()"


def compile_kernels(*, is_told: bool = False) -> None:
    """Compile what single orders need, unless this machine has compiled kernels.

    Parameters
    ----------
    is_told : whoever waits knows why; else the log says so
    """
    if has_compiled_kernels(Path(__file__).resolve().parents[1]):
        return
    if not is_told:
        _log.warning("first run: compiling for this machine, once; about half a minute")
    beside = _start_beside()
    compile_keys()
    if beside is None or beside.wait() != 0:
        compile_features()


def compile_keys() -> None:
    """Compile what turns an order's texts into ids, and the forest for one order."""
    from ordervet.entities import new_key
    from ordervet.entities.address.columns import key_addresses

    key = new_key()
    key_addresses(pa.array(["A"]), key)
    # NOT: at once. By now the other process has compiled the kernels of plain texts.
    from ordervet.entities.one_order import OrderKeyer

    order = Order.model_validate({"order_id": "T1", "placed_at": "2025-11-11 20:00", "amount_minor": 1})
    OrderKeyer(key).key(order)
    from ordervet.model import forest_single_kernel  # noqa: F401 - it is compiled as it is imported


def compile_features() -> None:
    """Compile the kernels of plain texts."""
    from ordervet.entities import plain_kernel  # noqa: F401 - they are compiled as they are imported


def _start_beside() -> subprocess.Popen[bytes] | None:
    """Start the other process; None where it would be of no use."""
    if (os.cpu_count() or 1) == 1 or not sys.executable:
        return None
    paths = os.pathsep.join(path for path in sys.path if path)
    try:
        return subprocess.Popen(  # noqa: S603 - our own code in our own interpreter
            [sys.executable, "-c", _BESIDE],
            env=os.environ | {"PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None
