"""Rings: flagged orders of several buyers that share something, the largest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ordervet.contract.verdicts import MALICIOUS
from ordervet.reports.links import find_links, name_key
from ordervet.words import join_words

if TYPE_CHECKING:
    from ordervet.reports.period import Period
    from ordervet.words import Lang

_LEAST: Final = 2  # buyers, and flagged orders


@dataclass(frozen=True, slots=True)
class Ring:
    """Orders of several buyers that share something.

    Parameters
    ----------
    names : what they share, as (entity, pseudonym)
    n_orders, n_flagged, n_buyers : orders, those flagged among them, and different buyers
    amount_minor : sum of the flagged orders
    n_confirmed : orders that were judged malicious
    newest_us : when the newest was placed, UTC microseconds
    """

    names: tuple[tuple[str, str], ...]
    n_orders: int
    n_flagged: int
    n_buyers: int
    amount_minor: int
    n_confirmed: int
    newest_us: int

    def describe(self, lang: Lang) -> str:
        """Name what is shared."""
        return join_words((name_key(entity, code, lang) for entity, code in self.names), lang)


def find_rings(period: Period, *, n_most: int) -> list[Ring]:
    """Find the rings with the most flagged orders; one whose flagged orders are all in a larger one is left out.

    Parameters
    ----------
    period : the orders
    n_most : rings to give at most
    """
    flagged = np.flatnonzero(period.is_flagged)
    links = find_links(period.orders, flagged, n_newest=len(period))
    is_confirmed, is_flagged = period.was_judged(MALICIOUS), period.is_flagged
    found = []
    for group in links.groups:
        rows = np.array(group.rows)
        hits = rows[is_flagged[rows]]
        if group.n_buyers >= _LEAST and len(hits) >= _LEAST:
            ring = Ring(
                names=group.names,
                n_orders=group.n_orders,
                n_flagged=len(hits),
                n_buyers=group.n_buyers,
                amount_minor=int(period.amount_minor[hits].sum()),
                n_confirmed=int(is_confirmed[rows].sum()),
                newest_us=int(period.placed_us[rows].max()),
            )
            found.append((ring, frozenset(hits.tolist())))
    found.sort(key=lambda each: (-each[0].n_flagged, -each[0].amount_minor, each[0].names))
    rings: list[Ring] = []
    covered: list[frozenset[int]] = []
    for ring, hits_of in found:
        if len(rings) < n_most and not any(hits_of <= larger for larger in covered):
            rings.append(ring)
            covered.append(hits_of)
    return rings
