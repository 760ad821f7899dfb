"""A state that is built again beside the one in use, after views of events were amended.

amended     a refund's amount was edited, an order's address changed: what stands counts from the event's own time
beside      a thread builds the state from the table; orders are scored meanwhile by the state in use
missed      what that state took in meanwhile; the new one is given it before it takes over
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ordervet.features import FeatureEngine
    from ordervet.history.arrivals import Settled
    from ordervet.history.identity import Digest
    from ordervet.history.views import Row
    from ordervet.late_imports import pa

AT_ONCE = 20_000
"""A state of at most so many events is built again at once; it takes some hundredths of a second."""

REST = 10
"""A larger one rests so many times as long as it took before it is built again."""

RETRY_S = 30.0
"""Seconds until it is tried again, after the table could not be read or written."""

_FACTS = frozenset(
    {"happened_at", "seen_at", "amount_minor", "currency", "refund_type", "blame", "buyer_registered_at", "place_type"}
)


def is_amended(settled: Settled) -> bool:
    """Return whether features are made of what a further view changes."""
    if settled.row is None:
        return False
    event_id = settled.row["event_id"]
    views = [row for row in settled.standing if row["event_id"] == event_id]
    before: Row = max(views, key=lambda row: row.get("view") or 0, default={})
    names = {name for name in (*settled.row, *before) if name in _FACTS or name.startswith(("id__", "evidence__"))}
    return any(settled.row.get(name) != before.get(name) for name in names)


class Built(NamedTuple):
    """What was built in the background.

    Parameters
    ----------
    engine : the state as it was when the building began, by the views that stand by now
    others : rows that it is without: what has arrived since, and what lies ahead
    amended : digest of the amended views that count in it
    counted_at : those that came by then, UTC microseconds
    """

    engine: FeatureEngine
    others: Sequence[pa.Table]
    amended: Digest
    counted_at: int


class Recount:
    """One building of a state in the background, by one thread, for one other.

    Parameters
    ----------
    build : does it; it may raise whatever reading a table raises

    Attributes
    ----------
    missed : what the state in use has taken in meanwhile
    noted : the events of that
    keeps_ahead : whether events were held or released meanwhile, so that what is held now stays
    took_s : how long it took, seconds
    """

    def __init__(self, build: Callable[[], Built]) -> None:
        self.missed: list[Callable[[FeatureEngine], object]] = []
        self.noted: set[int] = set()
        self.keeps_ahead = False
        self.took_s = 0.0
        self._build = build
        self._built: Built | Exception | None = None
        self._thread = threading.Thread(target=self._run, name="ordervet recount", daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether it can be taken."""
        return self._built is not None

    def take(self) -> Built:
        """Return what was built, after giving it all that it missed; raise what building it raised."""
        self._thread.join()
        if self._built is None or isinstance(self._built, Exception):
            raise self._built or RuntimeError("the state was not built")
        for act in self.missed:
            act(self._built.engine)
        return self._built

    def join(self) -> None:
        """Wait until it reads the table no more."""
        self._thread.join()

    def _run(self) -> None:
        started = time.monotonic()
        try:
            built: Built | Exception = self._build()
        except Exception as error:  # noqa: BLE001 - it is raised where it is taken
            built = error
        self.took_s = time.monotonic() - started
        self._built = built
