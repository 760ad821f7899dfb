"""A history with every order scored: what the boards around a campaign are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.cli.intake import choose_threads
from ordervet.cli.screen import choose_lang
from ordervet.contract.values import DEFAULT_TIME_ZONE
from ordervet.entities import KeyedEvents, load_key
from ordervet.errors import ContractError
from ordervet.history import History
from ordervet.model import Model, find_live_model, load_model
from ordervet.policy import load_policy
from ordervet.reports.campaign_parts import Setting
from ordervet.reports.campaign_plan import ListedKeys, Readiness
from ordervet.reports.period import DAY_US, Period, build_period
from ordervet.score import Scorer, find_bundled_models

if TYPE_CHECKING:
    from collections.abc import Callable

_SHOWN_EVIDENCE = ("phone", "address", "device", "ip")
_RECENT_DAYS, _OPEN_DAYS = 30, 14


@dataclass(frozen=True, slots=True)
class KnownHistory:
    """The history, scored.

    Parameters
    ----------
    period : all its orders
    events : all its events
    last_us : the newest event, UTC microseconds
    model : what scored
    setting : for boards
    """

    period: Period
    events: KeyedEvents
    last_us: int
    model: Model
    setting: Setting


def score_history(
    folder: Path,
    models: Path | None,
    policy: Path | None,
    lang: str | None,
    minutes: float,
    threads: int,
    until_us: int | None,
    report_step: Callable[[str], None],
) -> KnownHistory:
    """Read a history and score every order in it, each by what was known at its own instant.

    Parameters
    ----------
    folder, models, policy, lang, minutes, threads : as on the command line
    until_us : see nothing later, UTC microseconds; None sees all
    report_step : told what is being done

    Raises
    ------
    ContractError, HistoryError, KeyMismatchError, ModelError, PolicyError
        There is no order, or one of them is missing or damaged.
    """
    key, spoken = load_key(), choose_lang(lang)
    model = load_model(find_live_model(models or find_bundled_models()))
    report_step("reading the history")
    until = None if until_us is None else datetime.fromtimestamp(until_us / 1e6, UTC) + timedelta(microseconds=1)
    events = History.open(folder, key).read(until=until)
    if events.orders.num_rows == 0:
        raise ContractError(
            f"the history {folder.name} has no order" + (" until then" if until else ""),
            hint="ordervet ingest FILE... --history DIR brings orders in",
        )
    report_step(f"scoring {events.orders.num_rows:,} orders")
    scorer = Scorer(model, load_policy(policy, key=key), key, lang=spoken, n_jobs=choose_threads(threads))
    scored = scorer.score_events(events)
    period = build_period(
        scored.orders, p_malicious=scored.p_malicious, risk_score=scored.risk_score, actions=scored.actions,
        kinds=scored.kinds, verdicts=events.verdicts, corrections=events.corrections,
    )  # fmt: skip
    tables = (events.orders, events.outcomes, events.verdicts, events.corrections)
    last_us = max(pc.max(table["seen_at"].cast(pa.int64())).as_py() or 0 for table in tables)
    setting = Setting(
        lang=spoken, time_zone=DEFAULT_TIME_ZONE, model_id=model.model_id,
        is_simulated=bool(model.origin.get("is_simulated")), minutes=minutes,
        currencies=_list_currencies(events.orders),
    )  # fmt: skip
    return KnownHistory(period, events, int(last_us), model, setting)


def _list_currencies(orders: pa.Table) -> tuple[str, ...]:
    counts = sorted(pc.value_counts(orders["currency"]).to_pylist(), key=lambda each: -each["counts"])
    return tuple(each["values"] for each in counts if each["values"]) or ("CNY",)


def find_readiness(known: KnownHistory, lists: ListedKeys | None) -> Readiness:
    """Gather what a checklist needs to know.

    Parameters
    ----------
    known : the history
    lists : entries of allow and deny lists, if any were given
    """
    period, now_us = known.period, int(known.period.placed_us[-1])
    last = known.model.origin.get("last_order_at")
    learned_us = to_us(datetime.fromisoformat(str(last))) if last else None
    is_recent = period.placed_us > now_us - _OPEN_DAYS * DAY_US
    missing = {}
    for name in _SHOWN_EVIDENCE:
        share = float(np.mean(period.orders[f"evidence__{name}"].to_numpy() != 0))
        if share > 0:
            missing[name] = share
    return Readiness(
        model_age_days=None if learned_us is None else max(0.0, (now_us - learned_us) / DAY_US),
        n_recent_verdicts=int((period.decided_us > now_us - _RECENT_DAYS * DAY_US).sum()),
        n_open=int((period.is_flagged & is_recent & (period.decided_us == 0)).sum()),
        missing=missing,
        lists=lists,
    )


def to_us(instant: datetime) -> int:
    """Give an instant in microseconds since 1970, UTC; without a zone it is UTC."""
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
