"""The history store: every event in the order it was seen, keyed, durable, readable by any engine, erasable.

Not imported by `ordervet.entities` itself: whoever has no store does not wait for Delta Lake.
"""

from ordervet.entities.history.batch import Ingested
from ordervet.entities.history.identity import Fate
from ordervet.entities.history.store import Erased, History, check_lasting, is_history

__all__ = ["Erased", "Fate", "History", "Ingested", "check_lasting", "is_history"]
