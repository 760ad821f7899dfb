"""The features of linked groups by their definitions, in plain Python: slow, and the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordervet.features.spec import GROUP_KEYS, GROUP_MEASURES, GROUP_NAMES, MAX_LINKED, SELECTOR_BIT, SIZED

if TYPE_CHECKING:
    import numpy as np
    from features_reference import PastEvent
    from numpy.typing import NDArray


def compute_groups(
    known: list[PastEvent],
    counted: list[PastEvent],
    row: int,
    ids: dict[str, NDArray[np.uint64]],
    shared_place: NDArray[np.bool_],
) -> list[float]:
    """Compute the group features of one order by the definitions.

    Parameters
    ----------
    known : the standing events from before the order's instant, ascending
    counted : those of them that count
    row : of the order
    ids : per entity, shape (n_orders,)
    shared_place : shape (n_orders,), the order goes to a place of many people

    Returns
    -------
    the values of `GROUP_NAMES`
    """
    placed = [event for event in known if event.mask & SELECTOR_BIT["order"]]
    users: dict[tuple[str, int], dict[int, None]] = {}
    links: dict[int, set[int]] = {int(ids["buyer"][e.order]): set() for e in placed if ids["buyer"][e.order]}
    for instant in sorted({event.seen_at for event in placed}):
        at_once = [event for event in placed if event.seen_at == instant and ids["buyer"][event.order]]
        for event in at_once:
            for key in _list_keys(event.order, ids, shared_place):
                users.setdefault(key, {})[int(ids["buyer"][event.order])] = None
        for event in at_once:
            buyer = int(ids["buyer"][event.order])
            for key in _list_keys(event.order, ids, shared_place):
                if len(users[key]) <= MAX_LINKED:
                    for other in users[key]:
                        links[buyer].add(other)
                        links[other].add(buyer)
    own, keys = int(ids["buyer"][row]), _list_keys(row, ids, shared_place)
    if not own and not keys:
        return [float("nan")] * len(GROUP_NAMES)
    reached = {own} & links.keys()
    for key in keys:
        if 1 <= len(users.get(key, {})) <= MAX_LINKED:
            reached |= users[key].keys()
    waiting = list(reached)
    while waiting:
        new = links[waiting.pop()] - reached
        reached |= new
        waiting += new
    of_group = [event for event in counted if int(ids["buyer"][event.order]) in reached]
    counts = [_count(of_group, name) for name in GROUP_MEASURES]
    n_malicious, n_innocent = counts[1], counts[2]
    share = n_malicious / (n_malicious + n_innocent) if n_malicious + n_innocent else float("nan")
    return [float(len(reached - {own})), *counts, share]


def _count(events: list[PastEvent], selector: str) -> float:
    if selector in SIZED:
        return float(sum(1 for event in events if selector in event.first_as))
    return float(sum(1 for event in events if event.mask & SELECTOR_BIT[selector]))


def _list_keys(row: int, ids: dict[str, NDArray[np.uint64]], shared_place: NDArray[np.bool_]) -> list[tuple[str, int]]:
    names = [name for name in GROUP_KEYS if not (name == "address" and shared_place[row])]
    return [(name, int(ids[name][row])) for name in names if ids[name][row]]
