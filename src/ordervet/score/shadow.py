"""A challenger in the shadow: it scores what the live model scores, decides nothing, and both answers are recorded.

One row per order in a SQLite file: order id, instant, the two models' ids, probabilities, risk scores, bands, actions.
Rows older than `KEEP_DAYS` go. Whatever goes wrong here is logged, and never reaches a decision.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, Any

from ordervet.policy import ACTIONS, Action

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SHADOW_NAME = "shadow.sqlite"
KEEP_DAYS = 30
_DAY_US = 86_400_000_000
_log = logging.getLogger("ordervet")


@dataclass(frozen=True, slots=True)
class ShadowRecord:
    """What two models said about one order.

    Parameters
    ----------
    order_id : as given
    seen_at : instant of arrival, UTC microseconds
    champion_id, challenger_id : the models; the champion decided
    p_champion, p_challenger : probabilities of malice
    score_champion, score_challenger : risk scores, 0 to 1000
    band_champion, band_challenger, action_champion, action_challenger : what follows from each
    """

    order_id: str
    seen_at: int
    champion_id: str
    challenger_id: str
    p_champion: float
    p_challenger: float
    score_champion: int
    score_challenger: int
    band_champion: str
    band_challenger: str
    action_champion: str
    action_challenger: str


_COLUMNS = tuple(field.name for field in fields(ShadowRecord))


class ShadowLog:
    """Records of two models, in a SQLite file.

    Parameters
    ----------
    path : of the file; made when it is not there
    """

    def __init__(self, path: Path) -> None:
        # NOTE: no fsync. A power cut may cost the last records, and no decision waits for the disk.
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=0.2)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.execute(f"CREATE TABLE IF NOT EXISTS shadow ({', '.join(_COLUMNS)})")
        self.n_lost = 0

    def add(self, records: Sequence[ShadowRecord]) -> None:
        """Record answers; those that cannot be written are counted in `n_lost`."""
        try:
            marks = ", ".join("?" * len(_COLUMNS))
            with closing(self._connection.cursor()) as cursor:
                cursor.execute("BEGIN")
                cursor.executemany(f"INSERT INTO shadow VALUES ({marks})", [astuple(each) for each in records])  # noqa: S608 - our own names
                cursor.execute("COMMIT")
        except sqlite3.Error as error:
            self.n_lost += len(records)
            _log.error("shadow not recorded: %s", type(error).__name__)
            if self._connection.in_transaction:
                self._connection.rollback()

    def forget_old(self, now_us: int) -> None:
        """Remove records older than `KEEP_DAYS`."""
        try:
            self._connection.execute("DELETE FROM shadow WHERE seen_at < ?", (now_us - KEEP_DAYS * _DAY_US,))
        except sqlite3.Error as error:
            _log.error("old shadow records stay: %s", type(error).__name__)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def compare_shadow(path: Path, *, among: Sequence[str]) -> list[dict[str, Any]]:
    """Compare what pairs of models said about the same orders.

    Parameters
    ----------
    path : of the file; nothing is recorded where there is none
    among : ids; pairs of which neither is among them are left out

    Returns
    -------
    per pair: ids, ``n_orders``, mean risk scores, and orders on which the challenger asks for another action
    """
    if not path.is_file():
        return []
    ranks = {str(action): rank for rank, action in enumerate(ACTIONS)}
    pairs: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        found = connection.execute(
            "SELECT champion_id, challenger_id, score_champion, score_challenger, action_champion, action_challenger "
            "FROM shadow"
        )
        for champion, challenger, *rest in found:
            if champion in among or challenger in among:
                pairs.setdefault((champion, challenger), []).append(tuple(rest))
    compared = []
    for (champion, challenger), rows in sorted(pairs.items()):
        steps = [ranks[theirs] - ranks[ours] for _, _, ours, theirs in rows]
        compared.append(
            {
                "champion_id": champion,
                "challenger_id": challenger,
                "n_orders": len(rows),
                "mean_score_champion": sum(row[0] for row in rows) / len(rows),
                "mean_score_challenger": sum(row[1] for row in rows) / len(rows),
                "n_other_action": sum(step != 0 for step in steps),
                "n_stricter": sum(step > 0 for step in steps),
                "n_milder": sum(step < 0 for step in steps),
                "n_flagged_champion": sum(row[2] != Action.PASS for row in rows),
                "n_flagged_challenger": sum(row[3] != Action.PASS for row in rows),
            }
        )
    return compared
