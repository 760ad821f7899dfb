"""Celery, started by: celery --app celery_tasks worker --concurrency 8.

A message may be delivered twice: an order gets the same decision, an outcome counts once. So tasks are acknowledged
late.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

from ordervet import Outcome, RemoteScorer
from ordervet.errors import HistoryError

app = Celery("shop", broker=os.environ.get("BROKER", "memory://"))
app.conf.task_acks_late = True
scorer = RemoteScorer(os.environ["ORDERVET_SERVICE"], token=os.environ.get("ORDERVET_TOKEN"), deadline_ms=2_000)


@app.task
def score(order: dict[str, Any]) -> dict[str, Any]:
    """Score an order; whatever happens, there is a decision."""
    return scorer.score(order).as_dict()


@app.task(autoretry_for=(HistoryError,), retry_backoff=True, max_retries=None)
def observe(outcome: dict[str, Any]) -> None:
    """Remember what became of an order; where that was not acknowledged, try again until it is."""
    scorer.observe(Outcome(**outcome))
