"""Keys whose record should be looked at before a campaign: judged one way and the other, or long ago, or corrected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ordervet.contract.verdicts import CORRECTED, INNOCENT, MALICIOUS
from ordervet.reports.links import LINKING, name_key, pseudonym
from ordervet.reports.period import DAY_US

if TYPE_CHECKING:
    from ordervet.reports.period import Period
    from ordervet.words import Lang

_OLD_DAYS: Final = 180


@dataclass(frozen=True, slots=True)
class DoubtfulKey:
    """A key whose record should be looked at.

    Parameters
    ----------
    entity, code : what it is, and its pseudonym
    why : "both" (malicious and innocent), "old" (nothing but old verdicts) or "corrected"
    n_orders, n_malicious, n_innocent : orders, and standing verdicts on them; a corrected order counts as innocent
    last_us : the newest verdict, UTC microseconds
    """

    entity: str
    code: str
    why: str
    n_orders: int
    n_malicious: int
    n_innocent: int
    last_us: int

    def describe(self, lang: Lang) -> str:
        """Name the key."""
        return name_key(self.entity, self.code, lang)


def list_doubtful_keys(period: Period) -> list[DoubtfulKey]:
    """List keys with a malicious verdict that something speaks against, those with the most orders first.

    Parameters
    ----------
    period : all orders known
    """
    is_bad = period.was_judged(MALICIOUS)
    is_good = period.was_judged(INNOCENT, CORRECTED)
    is_corrected = period.was_judged(CORRECTED)
    now_us = int(period.placed_us.max(initial=0))
    found = []
    for entity in LINKING:
        ids = period.orders[f"id__{entity}"].to_numpy()
        asked = np.unique(ids[is_bad | is_corrected])
        rows = np.flatnonzero(np.isin(ids, asked[asked != 0]))
        order = rows[np.argsort(ids[rows], kind="stable")]
        keys, starts = np.unique(ids[order], return_index=True)
        for key, part in zip(keys, np.split(order, starts[1:]), strict=False):
            n_bad, n_good = int(is_bad[part].sum()), int(is_good[part].sum())
            last_us = int(period.decided_us[part].max())
            why = _say_why(n_bad, n_good, bool(is_corrected[part].any()), now_us - last_us)
            if why:
                code = pseudonym(entity, int(key))
                found.append(DoubtfulKey(entity, code, why, len(part), n_bad, n_good, last_us))
    return sorted(found, key=lambda each: (-each.n_orders, each.code))


def _say_why(n_malicious: int, n_innocent: int, has_correction: bool, age_us: int) -> str:
    if n_malicious and n_innocent:
        return "both"
    if n_malicious and age_us > _OLD_DAYS * DAY_US:
        return "old"
    return "corrected" if has_correction else ""
