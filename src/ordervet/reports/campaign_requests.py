"""Refund requests of a campaign's orders: how they were answered, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from ordervet.contract import OutcomeKind
from ordervet.contract.verdicts import CORRECTED, INNOCENT, MALICIOUS
from ordervet.policy.claims import MOST_URGENT
from ordervet.reports.board import Section
from ordervet.reports.campaign_parts import make_fields
from ordervet.words import find_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from ordervet.policy.claims import ClaimDecision
    from ordervet.reports.campaign_parts import Setting
    from ordervet.reports.period import Period


def build_requests(
    orders: Period, requests: pa.Table, decisions: Sequence[ClaimDecision], outcomes: pa.Table, setting: Setting
) -> Section:
    """Count refund requests by answer and by what became of them.

    Parameters
    ----------
    orders : of the campaign; requests of others do not count
    requests, decisions : keyed, and of each what it is answered
    outcomes : keyed, all that is known
    setting : under what the board is made
    """
    words, answers = setting.words["review"], find_words("answers", setting.lang)
    found = pc.fill_null(pc.index_in(requests["id__order"], orders.orders["id__order"].combine_chunks()), -1)
    row = np.asarray(found, np.int64)
    counted = np.flatnonzero(row >= 0)
    row, of_orders = row[counted], requests["id__order"].take(counted)
    answer = np.array([MOST_URGENT.index(decisions[at].answer) for at in counted.tolist()], np.int64)
    worth = np.array([decisions[at].worth_minor or 0 for at in counted.tolist()], np.int64)
    is_malicious = orders.was_judged(MALICIOUS)[row]
    is_innocent = orders.was_judged(INNOCENT, CORRECTED)[row]
    came = [_find_ended(of_orders, outcomes, kind) for kind in _ENDS]
    rows = []
    for at, name in enumerate(MOST_URGENT):
        mask = answer == at
        counts = [int((mask & each).sum()) for each in (*came, is_malicious, is_innocent, ~is_malicious & ~is_innocent)]
        rows.append((str(answers[name]), int(mask.sum()), int(worth[mask].sum()), *counts))
    fields = make_fields(
        setting, "answer", "requests:count", "asked_amount:money", "refunded:count", "rejected:count",
        "n_malicious:count", "n_innocent:count", "open:count",
    )  # fmt: skip
    return Section("requests", words["requests"], words["requests_note"], fields, tuple(rows))


_ENDS = (OutcomeKind.REFUND_COMPLETED, OutcomeKind.REFUND_REJECTED)


def _find_ended(order_ids: pa.ChunkedArray, outcomes: pa.Table, kind: OutcomeKind) -> NDArray[np.bool_]:
    """Find which orders had an outcome of a kind."""
    ended = outcomes.filter(pc.equal(outcomes["kind"], kind))["id__order"]
    return np.asarray(pc.is_in(order_ids, ended.combine_chunks()))
