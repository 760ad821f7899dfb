"""The history store: every event in the order it was seen, keyed, durable, readable by any engine, erasable.

Names are imported when they are first used, so that nobody without a store waits for Delta Lake.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from ordervet.late_imports import export_lazily

if TYPE_CHECKING:
    from ordervet.history.ingest import Ingested
    from ordervet.history.store import Erased, History, check_lasting, is_history
    from ordervet.history.views import IngestStatus

__all__ = ["Erased", "History", "IngestStatus", "Ingested", "check_lasting", "is_history"]

_find = export_lazily(
    __name__,
    {"views": "IngestStatus", "ingest": "Ingested", "store": "Erased History check_lasting is_history"},
)


def __getattr__(name: str) -> object:
    if name == "Fate":
        warnings.warn("Fate is now called IngestStatus", DeprecationWarning, stacklevel=2)
        name = "IngestStatus"
    return _find(name)
