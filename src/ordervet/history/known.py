"""Which events a history has: asked for every event that arrives, and digested so that a snapshot can be told stale."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MIX, _BLAMED = 0x9E3779B97F4A7C15, 0x632BE59BD9B4E019
_MASK = (1 << 64) - 1


class Digest(NamedTuple):
    """A digest of a set of events, whatever their order.

    Parameters
    ----------
    n_events : how many
    ids : sum of their mixed identities, modulo 2**64
    blamed : the same over outcomes that say whose fault they were: a blame can become known later
    """

    n_events: int
    ids: int
    blamed: int

    def __add__(self, other: tuple[object, ...]) -> Digest:
        """Digest two sets that have no event in common."""
        if not isinstance(other, Digest):
            return NotImplemented
        return Digest(
            self.n_events + other.n_events, (self.ids + other.ids) & _MASK, (self.blamed + other.blamed) & _MASK
        )


def digest_events(event_ids: NDArray[np.int64], is_blamed: NDArray[np.bool_]) -> Digest:
    """Digest events.

    Parameters
    ----------
    event_ids : shape (n,), as in the store
    is_blamed : shape (n,), whether the row says whose fault it was
    """
    mixed = _mix(event_ids.view(np.uint64))
    blamed = _mix(mixed[is_blamed] ^ np.uint64(_BLAMED))
    return Digest(len(event_ids), int(mixed.sum()), int(blamed.sum()))


class KnownEvents:
    """The identities of all events of a history, kept up by the one who adds to it.

    Parameters
    ----------
    event_ids : shape (n,), int64, those of the table, any order
    is_blamed : shape (n,), whether the row says whose fault it was
    """

    def __init__(self, event_ids: NDArray[np.int64], is_blamed: NDArray[np.bool_]) -> None:
        self._digest = digest_events(event_ids, is_blamed)
        self._sorted = np.sort(event_ids)
        self._settling: dict[int, bool] = {}
        self._recent: dict[int, bool] = {}

    def __contains__(self, event_id: int) -> bool:
        if event_id in self._recent or event_id in self._settling:
            return True
        at = int(self._sorted.searchsorted(event_id))
        return at < len(self._sorted) and int(self._sorted[at]) == event_id

    def add(self, event_id: int, *, is_blamed: bool = False) -> None:
        """Take in an event that is new."""
        self._recent[event_id] = is_blamed

    def digest(self) -> Digest:
        """Digest all of them."""
        return self._digest + _digest_dict(self._settling) + _digest_dict(self._recent)

    def settle(self) -> None:
        """Move recent identities where they take 8 bytes each; lookups may go on in another thread meanwhile."""
        # NOTE: an identity is always in at least one of the three, whatever a lookup sees of the steps.
        self._settling = self._recent
        self._recent = {}
        merged = np.concatenate([self._sorted, np.fromiter(self._settling, np.int64, len(self._settling))])
        merged.sort(kind="stable")  # SPEED: nearly sorted already
        self._sorted = merged
        self._digest += _digest_dict(self._settling)
        self._settling = {}


def _digest_dict(events: dict[int, bool]) -> Digest:
    n = len(events)
    return digest_events(np.fromiter(events, np.int64, n), np.fromiter(events.values(), bool, n))


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        mixed: NDArray[np.uint64] = (values ^ (values >> np.uint64(29))) * np.uint64(_MIX)
        return mixed ^ (mixed >> np.uint64(32))
