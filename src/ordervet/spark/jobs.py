"""The jobs: stages put together for Spark, which is met here and in `slot_states` alone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ordervet.contract.tables import check_columns
from ordervet.entities import load_key
from ordervet.errors import ContractError, PolicyError
from ordervet.features import build_spec
from ordervet.history.delta import list_table_files
from ordervet.history.stored_rows import EVENT_OF, find_stored_names
from ordervet.learn.training_data import ROW_SCHEMA, describe_making
from ordervet.score.scored_orders import DECISION_SCHEMA
from ordervet.spark.frames import (
    FEATURE_SCHEMA,
    BatchDecider,
    TrainingRows,
    build_feature_rows,
    key_batches,
    name_columns,
    name_features,
    run_last,
    to_us,
)
from ordervet.spark.messages import COLUMNS, run_stage
from ordervet.spark.slot_stages import (
    ATTACH,
    COMPUTE,
    CONNECT,
    FIND,
    FINISH,
    SPREAD,
    Layout,
    attach,
    compute,
    connect,
    find,
    settle,
    spread,
)
from ordervet.spark.slot_states import open_states

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from ordervet.contract import EventKind
    from ordervet.entities import Key
    from ordervet.features import FeatureSpec
    from ordervet.policy import Lang

N_PARTITIONS = 32
"""Slots of each part, by default. A slot is worked on in memory: it should hold a million events or two."""


def build_features(
    orders: DataFrame,
    outcomes: DataFrame | None = None,
    verdicts: DataFrame | None = None,
    corrections: DataFrame | None = None,
    *,
    spec: FeatureSpec | None = None,
    key: Key | None = None,
    n_partitions: int = N_PARTITIONS,
    until: datetime | None = None,
    states: str | Path | None = None,
) -> DataFrame:
    """Compute the features of orders, each as of its own time.

    Parameters
    ----------
    orders, outcomes, verdicts, corrections : one row an event, in contract columns, or as a history keeps them, with
        `id__…`; an order that is among them again is asked about again (T7)
    spec : the features; None takes the built-in ones
    key : the identifier key; None takes the one of the environment
    n_partitions : slots of each part of the features, which do not depend on it
    until : only what was seen before is known
    states : a folder that all workers see, in which they keep what the next epoch goes on from: the rows are then those
        of the orders seen since the last time, or since whatever has changed of the events from before. The frames hold
        all events; they are computed at once

    Returns
    -------
    a row for each row of orders: `order_id`, `id__order` (the bits of the keyed id), `seen_at`, and the features as
    float; in no order

    Raises
    ------
    ContractError
        Columns are missing or unknown. What is wrong with a row is an error of the job that reads it.
    """
    layout = Layout(spec or build_spec(), n_partitions)
    frames = _name_frames(orders, outcomes, verdicts, corrections)
    schema = f"{name_columns(FEATURE_SCHEMA)}, {name_features(layout.spec)}"
    rows, columns = partial(build_feature_rows, layout.spec), ("order_id", "id__order", "seen_at")
    return _run(frames, layout, key, columns, rows, schema, until=until, states=states)


def score(
    orders: DataFrame,
    outcomes: DataFrame | None = None,
    verdicts: DataFrame | None = None,
    corrections: DataFrame | None = None,
    *,
    models: str | Path | None = None,
    policy: str | Path | None = None,
    key: Key | None = None,
    lang: Lang = "zh",
    explain_all: bool = False,
    now: datetime | None = None,
    n_partitions: int = N_PARTITIONS,
    until: datetime | None = None,
    states: str | Path | None = None,
) -> DataFrame:
    """Decide about orders, each as of its own time, as `Scorer.score_events` does.

    Parameters
    ----------
    orders, outcomes, verdicts, corrections, key, n_partitions, until, states : as for `build_features`
    models : folder of models; None takes the bundled starter
    policy : a policy file without quotas and review capacity; None takes the default
    lang : language of the reasons
    explain_all : give reasons for every order
    now : lists and rules count that have not expired by then; None asks the clock

    Returns
    -------
    a row for each row of orders, in the columns of `Scorer.score_table`; in no order

    Raises
    ------
    ContractError
        Columns are missing or unknown.
    ModelError
        There is no model.
    PolicyError
        The policy is invalid, or compares orders with each other.
    """
    decider = BatchDecider.load(models, policy, lang=lang, explain_all=explain_all, now=now)
    _check_row_wise(decider)
    layout = Layout(decider.model.claim_spec, n_partitions)
    frames = _name_frames(orders, outcomes, verdicts, corrections)
    return _run(frames, layout, key, (), decider.decide, name_columns(DECISION_SCHEMA), until=until, states=states)


def build_training_rows(
    orders: DataFrame,
    outcomes: DataFrame | None = None,
    verdicts: DataFrame | None = None,
    corrections: DataFrame | None = None,
    *,
    as_of: datetime,
    maturity_days: float = 30,
    spec: FeatureSpec | None = None,
    key: Key | None = None,
    n_partitions: int = N_PARTITIONS,
) -> DataFrame:
    """Compute what is learned from: the features of orders and what is known of them (docs/definitions.md L1, L2).

    Parameters
    ----------
    orders, outcomes, verdicts, corrections, key, n_partitions : as for `build_features`
    as_of : what became known later is not known
    maturity_days : orders that nobody judged are innocent once they are older
    spec : the features; None takes those that `ordervet retrain` needs

    Returns
    -------
    a row for each order seen by then, for `ordervet retrain --rows`; in no order

    Raises
    ------
    ContractError
        Columns are missing or unknown, or the time has no zone.
    """
    found_key = key or load_key()
    wanted = TrainingRows.of(spec, found_key, as_of, maturity_days)
    frames = _name_frames(orders, outcomes, verdicts, corrections)
    schema = f"{name_columns(ROW_SCHEMA)}, {name_features(wanted.spec)}"
    layout = Layout(wanted.spec, n_partitions)
    return _run(frames, layout, found_key, (), wanted.build, schema, until=as_of)


def read_history(session: SparkSession, history: str | Path, *, key: Key | None = None) -> dict[str, DataFrame]:
    """Read the events of a history, or of a published copy: its Parquet files, by the list that the table keeps.

    Parameters
    ----------
    session : which can read where the files lie
    history : folder, or address of a published copy
    key : the identifier key; None takes the one of the environment

    Returns
    -------
    "orders", "outcomes", "verdicts" and "corrections", keyed, as the functions here take them

    Raises
    ------
    HistoryError, KeyMismatchError
        There is no such table, or it was made with another key.
    """
    rows = session.read.option("mergeSchema", "true").parquet(*list_table_files(str(history), key or load_key()))
    if "view" in rows.columns:
        latest = rows.filter("view > 0").groupBy("event_id").agg({"view": "max"})
        rows = rows.join(latest, "event_id", "left").filter("coalesce(view, 0) >= coalesce(`max(view)`, 0)")
    frames = {}
    for kind, event in EVENT_OF.items():
        names = find_stored_names(kind, rows.columns)
        chosen = [f"`{stored}` AS `{name}`" for name, stored in names.items()]
        frames[str(kind)] = rows.filter(f"event = '{event}'").selectExpr(*chosen)
    return frames


def _name_frames(*frames: DataFrame | None) -> dict[EventKind, DataFrame]:
    kinds: tuple[EventKind, ...] = ("orders", "outcomes", "verdicts", "corrections")
    given = {kind: frame for kind, frame in zip(kinds, frames, strict=True) if frame is not None}
    for kind, frame in given.items():
        if "id__order" not in frame.columns:
            check_columns(kind, frame.columns, where=f"the DataFrame of {kind}")
    return given


def _check_row_wise(decider: BatchDecider) -> None:
    policy = decider.policy
    if found := [name for name in ("quotas", "capacity") if getattr(policy, name)]:
        raise PolicyError(
            f"the policy has {', '.join(found)}, which compare orders with each other",
            hint="score without them here, and cut the flags on one machine: ordervet score --capacity",
        )


def _run(
    frames: dict[EventKind, DataFrame],
    layout: Layout,
    key: Key | None,
    columns: tuple[str, ...],
    finish: Callable[..., Any],
    schema: str,
    *,
    until: datetime | None = None,
    states: str | Path | None = None,
) -> DataFrame:
    """Run all stages; `finish` turns the orders of a slot, their tables and features into rows of `schema`."""
    if layout.n_partitions < 1:
        raise ContractError(f"got {layout.n_partitions} partitions, expected 1 or more", hint="pass n_partitions=32")
    found_key, until_us = key or load_key(), None if until is None else to_us(until)
    if states is None:
        done, _ = _plan(frames, layout, found_key, columns, finish, schema, until_us)
        return done
    if until_us is None:
        raise ContractError("states are of epochs, and an epoch has an end", hint="until=datetime(…, tzinfo=UTC)")
    described = f"{describe_making(layout.spec, found_key)}, spec {layout.spec.hash[:12]}, {layout.n_partitions} slots"
    kept = open_states(str(states), described, until_us, frames)
    since = "" if kept.since_us is None else f" AND unix_micros(seen_at) >= {kept.since_us}"
    epoch = {kind: frame.filter(f"unix_micros(seen_at) < {until_us}{since}") for kind, frame in frames.items()}
    layout = replace(layout, states=kept)
    done, shared = _plan(epoch, layout, found_key, columns, finish, schema, None)
    done = done.persist()
    done.count()
    kept.complete(frames)
    for frame in shared:
        frame.unpersist()
    return done


def _plan(
    frames: dict[EventKind, DataFrame],
    layout: Layout,
    key: Key,
    columns: tuple[str, ...],
    finish: Callable[..., Any],
    schema: str,
    until_us: int | None,
) -> tuple[DataFrame, list[DataFrame]]:
    """Put the stages together; return the rows, and what several stages read."""
    send = partial(key_batches, layout=layout, key=key, columns=columns, until_us=until_us)
    keyed = [frame.mapInArrow(partial(send, kind=kind), COLUMNS) for kind, frame in frames.items()]
    # NOTE: what several stages read is computed once, and a process that dies leaves it to the others.
    settled = _run_stage(_unite(keyed), partial(settle, layout)).persist()
    shared, columns_of = [settled], [settled.filter(f"stage = '{COMPUTE}'")]
    if layout.late_parts:
        found = _run_stage(settled.filter(f"stage = '{FIND}'"), partial(find, layout)).persist()
        shared.append(found)
        notes = [each.filter(f"stage = '{ATTACH}'") for each in shared]
        if layout.has_roots:
            roots = _run_stage(found.filter(f"stage = '{CONNECT}'"), partial(connect, layout)).persist()
            shared.append(roots)
            spread_to = _unite([each.filter(f"stage = '{SPREAD}'") for each in (settled, roots)])
            notes += [roots.filter(f"stage = '{ATTACH}'"), _run_stage(spread_to, partial(spread, layout))]
        columns_of.append(_run_stage(_unite(notes), partial(attach, layout)))
    computed = _run_stage(_unite(columns_of), partial(compute, layout))
    done = _meet(_unite([settled.filter(f"stage = '{FINISH}'"), computed]))
    return done.mapInArrow(partial(run_last, layout=layout, finish_rows=finish), schema), shared


def _unite(frames: list[DataFrame]) -> DataFrame:
    united = frames[0]
    for frame in frames[1:]:
        united = united.union(frame)
    return united


def _run_stage(frame: DataFrame, stage: Callable[..., Any]) -> DataFrame:
    return _meet(frame).mapInArrow(partial(run_stage, stage=stage), COLUMNS)


def _meet(frame: DataFrame) -> DataFrame:
    """Bring the messages of a slot to one place."""
    return frame.repartition("slot").sortWithinPartitions("slot")
