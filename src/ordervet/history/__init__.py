"""The history store: every event in the order it was seen, keyed, durable, readable by any engine, erasable.

Not imported by `ordervet.entities` itself, and the store only when it is asked for: whoever has none does not wait for
Delta Lake.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ordervet.history.batch import Ingested
    from ordervet.history.identity import Fate
    from ordervet.history.store import Erased, History, check_lasting, is_history

_FILE_OF = {
    "Erased": "store",
    "Fate": "identity",
    "History": "store",
    "Ingested": "batch",
    "check_lasting": "store",
    "is_history": "store",
}

__all__ = ["Erased", "Fate", "History", "Ingested", "check_lasting", "is_history"]


def __getattr__(name: str) -> object:
    if name not in _FILE_OF:
        raise AttributeError(f"module 'ordervet.history' has no attribute '{name}'")
    return getattr(import_module(f"ordervet.history.{_FILE_OF[name]}"), name)
