"""A challenger in shadow mode: it scores what the champion scores, decides nothing, and both answers are recorded.

One row per order in a SQLite file: time, the two models' ids, probabilities, risk scores, bands, actions; and one per
refund request: time, ids, probabilities, answers.
Rows older than `KEEP_DAYS` are removed. Errors here are logged, and never reach a decision.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.errors import ModelError
from ordervet.model import ForestPredictor, check_model
from ordervet.policy import ACTIONS, Action
from ordervet.policy.claims import ClaimAnswer
from ordervet.policy.codes import pick_quotas
from ordervet.score.live_decision import LiveDecider
from ordervet.storage import create_private, leave_open_in_children

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ordervet.contract import Outcome
    from ordervet.model import Model
    from ordervet.policy import Decision, Policy
    from ordervet.policy.claims import ClaimDecision
    from ordervet.score.live_claim import ClaimJudge
    from ordervet.score.live_decision import LiveDecided
    from ordervet.score.live_order import LiveOrder

SHADOW_NAME = "shadow.sqlite"
KEEP_DAYS = 30
_DAY_US = 86_400_000_000
_log = logging.getLogger("ordervet")


@dataclass(frozen=True, slots=True)
class ShadowRecord:
    """The answers of two models about one order.

    Parameters
    ----------
    seen_at : time of arrival, UTC microseconds
    champion_id, challenger_id : the models; the champion decided
    p_champion, p_challenger : probabilities of malice
    score_champion, score_challenger : risk scores, 0 to 1000
    band_champion, band_challenger, action_champion, action_challenger : the resulting bands and actions
    """

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


@dataclass(frozen=True, slots=True)
class ClaimShadowRecord:
    """The answers of two models about one refund request.

    Parameters
    ----------
    seen_at : when it came, UTC microseconds
    champion_id, challenger_id : the models; the champion answered
    p_champion, p_challenger : probabilities of malice
    answer_champion, answer_challenger : the answers, under the same capacity of the desk
    """

    seen_at: int
    champion_id: str
    challenger_id: str
    p_champion: float
    p_challenger: float
    answer_champion: str
    answer_challenger: str


_TABLES: dict[type[ShadowRecord | ClaimShadowRecord], str] = {
    ShadowRecord: "shadow",
    ClaimShadowRecord: "shadow_claims",
}


class ShadowLog:
    """Records of two models, in a SQLite file.

    Parameters
    ----------
    path : of the file; created if need be
    """

    def __init__(self, path: Path) -> None:
        # NOTE: no fsync. A power cut may lose the last records, but no decision waits for the disk.
        create_private(path)
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=0.2)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=OFF")
            for kind, table in _TABLES.items():
                columns = ", ".join(field.name for field in fields(kind))
                self._connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
            known = [name for _, name, *_ in self._connection.execute("PRAGMA table_info(shadow)")]
            if "order_id" in known:  # of older versions; no erasure would find it here
                self._connection.execute("PRAGMA secure_delete=ON")
                self._connection.execute("ALTER TABLE shadow DROP COLUMN order_id")
        except sqlite3.Error:
            self.close()
            raise
        self.n_lost = 0
        leave_open_in_children(self)

    def add(self, records: Sequence[ShadowRecord | ClaimShadowRecord]) -> None:
        """Append records; those that cannot be written are counted in `n_lost`."""
        try:
            with closing(self._connection.cursor()) as cursor:
                cursor.execute("BEGIN")
                for each in records:
                    names = [field.name for field in fields(each)]
                    columns, marks = ", ".join(names), ", ".join("?" * len(names))
                    cursor.execute(f"INSERT INTO {_TABLES[type(each)]} ({columns}) VALUES ({marks})", astuple(each))  # noqa: S608 - our own names
                cursor.execute("COMMIT")
        except sqlite3.Error as error:
            self.n_lost += len(records)
            _log.error("shadow not recorded: %s", type(error).__name__)
            if self._connection.in_transaction:
                self._connection.rollback()

    def forget_old(self, now_us: int) -> None:
        """Remove records older than `KEEP_DAYS`."""
        try:
            for table in _TABLES.values():
                self._connection.execute(f"DELETE FROM {table} WHERE seen_at < ?", (now_us - KEEP_DAYS * _DAY_US,))  # noqa: S608 - our own names
        except sqlite3.Error as error:
            _log.error("old shadow records stay: %s", type(error).__name__)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def compare_shadow(path: Path, *, among: Sequence[str]) -> list[dict[str, Any]]:
    """Compare the answers of pairs of models about the same orders.

    Parameters
    ----------
    path : of the file, if there is one
    among : ids; only pairs with at least one of them

    Returns
    -------
    per pair: ids, ``n_orders``, mean risk scores, and orders for which the challenger suggests another action; and
    ``n_claims``, requests that it would answer otherwise, and how many each of them pays at once
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
        claims = _read_claims(connection)
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
                "n_claims": len(answers := claims[champion, challenger]),
                "n_other_answer": sum(ours != theirs for ours, theirs in answers),
                "n_paid_champion": sum(ours == ClaimAnswer.PAY_NOW for ours, _ in answers),
                "n_paid_challenger": sum(theirs == ClaimAnswer.PAY_NOW for _, theirs in answers),
            }
        )
    return compared


def _read_claims(connection: sqlite3.Connection) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Read the answers of pairs of models about the same requests; an older file has none."""
    claims: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'shadow_claims'").fetchone():
        for champion, challenger, *answers in connection.execute(
            "SELECT champion_id, challenger_id, answer_champion, answer_challenger FROM shadow_claims"
        ):
            claims[champion, challenger].append((answers[0], answers[1]))
    return claims


class Shadow:
    """A challenger beside the live model.

    Parameters
    ----------
    model : the challenger
    log : records both answers
    """

    def __init__(self, model: Model, log: ShadowLog) -> None:
        self.model = model
        self._predictor = ForestPredictor(model.booster_text)
        self._log = log
        self._columns: dict[tuple[str, tuple[str, ...] | None], NDArray[np.int64] | None] = {}
        self._decider: LiveDecider | None = None
        self._judge: ClaimJudge | None = None

    @property
    def n_lost(self) -> int:
        """Number of orders whose answers could not be recorded."""
        return self._log.n_lost

    def check(self, live: Model) -> None:
        """Check that the live model has all features of the challenger.

        Raises
        ------
        ModelError
            It does not.
        """
        if self._find_columns(live) is None:
            missing = [name for name in self.model.spec.names if name not in live.spec.names]
            raise ModelError(
                f"the challenger {self.model.model_id} has {len(missing)} features that the live model "
                f"{live.model_id} lacks: {', '.join(missing[:3])}",
                hint="compare them on the past instead: ordervet backtest --history DIR",
            )

    def watch(
        self,
        one: LiveOrder,
        matrix: NDArray[np.float32],
        decided: LiveDecided,
        *,
        live: Model,
        policy: Policy,
    ) -> None:
        """Score what was just decided, at the same pace of the desk, and record both answers; never raise.

        Parameters
        ----------
        one : the order
        matrix : shape (1, n_features), in the live model's columns
        decided : by the live model
        live, policy : what it was decided with
        """
        try:
            columns = self._find_columns(live)
            if columns is None or live.model_id == self.model.model_id:
                return
            if self._decider is None or self._decider.policy is not policy:
                self._decider = LiveDecider(self.model, self._predictor, policy, "en", None)
            features, beyond = np.ascontiguousarray(matrix[:, columns]), pick_quotas(decided.decision.applied)
            other = self._decider.decide(one, features, decided.pace, decided.standing, beyond=beyond)
            self._log.add([_record(decided.decision, other.decision, one.seen_at)])
        except Exception as error:  # noqa: BLE001 - the shadow must never stop an order
            _log.error("the shadow failed: %s", type(error).__name__)

    def watch_claim(
        self,
        claim: Outcome,
        order: LiveOrder,
        matrix: NDArray[np.float32],
        order_p: float,
        decision: ClaimDecision,
        *,
        live: Model,
        policy: Policy,
    ) -> None:
        """Judge a request that was just answered, with the places that the desk had, and record both; never raise.

        Parameters
        ----------
        claim, order, matrix, order_p : as of `ClaimJudge.judge`, in the live model's columns
        decision : by the live model
        live, policy : what it was decided with
        """
        try:
            if self.model.claims is None or live.model_id == self.model.model_id:
                return
            columns = self._find_columns(live, live.claim_spec.names, self.model.claim_spec.names)
            if columns is None:
                return
            if self._judge is None or self._judge.policy is not policy:
                from ordervet.score.live_claim import ClaimJudge  # NOT: at the top. Most scorers judge no requests.

                self._judge = ClaimJudge(self.model, policy, "en")
            features = np.ascontiguousarray(matrix[:, columns])
            answer = self._judge.judge_beside(claim, order, features, order_p, decision)
            p, other_p = decision.p_malicious or 0.0, answer.p_malicious or 0.0
            self._log.add(
                [
                    ClaimShadowRecord(
                        order.seen_at, live.model_id, self.model.model_id, p, other_p, str(decision.answer),
                        str(answer.answer),
                    )
                ]
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - the shadow must never stop a request
            _log.error("the shadow failed: %s", type(error).__name__)

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def _find_columns(
        self, live: Model, names: tuple[str, ...] | None = None, wanted: tuple[str, ...] | None = None
    ) -> NDArray[np.int64] | None:
        """Find the challenger's features among the live model's, those of orders or others; None if any is missing."""
        key = (live.model_id, names)
        if key not in self._columns:
            position = {name: at for at, name in enumerate(names or live.spec.names)}
            found = [position.get(name, -1) for name in wanted or self.model.spec.names]
            settings = [(each.time_zone, each.rates) for each in (live.spec, self.model.spec)]
            fits = min(found, default=-1) >= 0 and settings[0] == settings[1]
            self._columns[key] = np.array(found, np.int64) if fits else None
        return self._columns[key]


def open_shadow(models: Path, challenger: str, live: Model | None, *, path: Path | None, now_us: int) -> Shadow:
    """Open a challenger of a folder of models beside its live model.

    Parameters
    ----------
    models : the folder
    challenger : id of the challenger
    live : the live model, if any
    path : of the records; None takes `SHADOW_NAME` in the folder
    now_us : the time; records older than `KEEP_DAYS` are removed

    Raises
    ------
    ModelError
        There is no such challenger, it cannot serve, its features do not fit, or the file cannot be written.
    """
    model = check_model(models / challenger)
    target = path or models / SHADOW_NAME
    try:
        log = ShadowLog(target)
    except sqlite3.Error:
        raise ModelError(
            f"the shadow cannot be recorded in {target}", hint="name a writable file: shadow=FILE"
        ) from None
    log.forget_old(now_us)
    shadow = Shadow(model, log)
    if live is not None:
        try:
            shadow.check(live)
        except ModelError:
            log.close()
            raise
    return shadow


def _record(one: Decision, other: Decision, seen_at: int) -> ShadowRecord:
    return ShadowRecord(
        seen_at=seen_at,
        champion_id=str(one.model_id),
        challenger_id=str(other.model_id),
        p_champion=one.p_malicious if one.p_malicious is not None else float("nan"),
        p_challenger=other.p_malicious if other.p_malicious is not None else float("nan"),
        score_champion=one.risk_score or 0,
        score_challenger=other.risk_score or 0,
        band_champion=str(one.band),
        band_challenger=str(other.band),
        action_champion=str(one.action),
        action_challenger=str(other.action),
    )
