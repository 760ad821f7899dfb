"""The history store: every event in the order it was seen, keyed, durable, readable by any engine, erasable.

Names are imported when they are first used, so that nobody without a store waits for Delta Lake.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ordervet.history.identity import IngestStatus
    from ordervet.history.ingest import Ingested
    from ordervet.history.store import Erased, History, check_lasting, is_history

_FILE_OF = {
    "Erased": "store",
    "IngestStatus": "identity",
    "History": "store",
    "Ingested": "ingest",
    "check_lasting": "store",
    "is_history": "store",
}

__all__ = ["Erased", "History", "IngestStatus", "Ingested", "check_lasting", "is_history"]


def __getattr__(name: str) -> object:
    if name == "Fate":
        warnings.warn("Fate is now called IngestStatus", DeprecationWarning, stacklevel=2)
        name = "IngestStatus"
    if name not in _FILE_OF:
        raise AttributeError(f"module 'ordervet.history' has no attribute '{name}'")
    return getattr(import_module(f"ordervet.history.{_FILE_OF[name]}"), name)
