"""What the service counts, for Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from ordervet.reports.prometheus import Metric, Sample, format_metrics

if TYPE_CHECKING:
    from ordervet.policy import Decision
    from ordervet.policy.claims import ClaimDecision
    from ordervet.score import Scorer

_BOUNDS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class ServiceMetrics:
    """Counts what was answered; used by the event loop alone."""

    def __init__(self) -> None:
        self._codes: Counter[str] = Counter()
        self._bands: Counter[tuple[str, str]] = Counter()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._claims: Counter[tuple[str, str]] = Counter()
        self._n_events = 0
        self._slow = [0] * (len(_BOUNDS_S) + 1)
        self._total_s = 0.0

    def count_decisions(self, decisions: list[Decision], elapsed_s: float) -> None:
        """Count the orders of one request, which took so long."""
        for decision in decisions:
            self._codes[decision.code] += 1
            if decision.band is not None:
                self._bands[decision.band, decision.action] += 1
        self._slow[bisect_left(_BOUNDS_S, elapsed_s)] += 1
        self._total_s += elapsed_s

    def count_claims(self, decisions: list[ClaimDecision]) -> None:
        """Count refund requests that were answered."""
        self._claims.update((str(each.code), str(each.answer)) for each in decisions)

    def count_events(self, n_events: int) -> None:
        """Count outcomes, verdicts and corrections that were remembered."""
        self._n_events += n_events

    def count_request(self, route: str, status: int) -> None:
        """Count a request by its route, never by its path, which can name an order."""
        self._requests[route, status] += 1

    def format(self, scorer: Scorer, n_waiting: int) -> str:
        """Format everything, with the state of the scorer."""
        backlog, model = scorer.backlog, scorer.model
        *within, n_scored = accumulate(self._slow)
        buckets = [*zip(map(str, _BOUNDS_S), within, strict=True), ("+Inf", n_scored)]

        def gauge(name: str, about: str, value: float | None, **labels: str) -> Metric:
            return Metric(name, "gauge", about, [Sample(labels, value)])

        return format_metrics(
            [
                Metric("ordervet_orders_total", "counter", "Orders answered, by code.",
                       [Sample({"code": str(code)}, n) for code, n in sorted(self._codes.items())]),
                Metric("ordervet_decisions_total", "counter", "Scored orders, by band and action.",
                       [Sample({"band": str(band), "action": str(action)}, n)
                        for (band, action), n in sorted(self._bands.items())]),
                Metric("ordervet_claims_total", "counter", "Refund requests answered, by code and answer.",
                       [Sample({"code": code, "answer": answer}, n)
                        for (code, answer), n in sorted(self._claims.items())]),
                Metric("ordervet_events_total", "counter", "Outcomes, verdicts and corrections remembered.",
                       [Sample({}, self._n_events)]),
                Metric("ordervet_requests_total", "counter", "Requests, by route and status.",
                       [Sample({"route": route, "status": str(status)}, n)
                        for (route, status), n in sorted(self._requests.items())]),
                Metric("ordervet_score_seconds", "histogram", "From a request to score to its answer.",
                       [*(Sample({"le": bound}, n, "_bucket") for bound, n in buckets),
                        Sample({}, self._total_s, "_sum"), Sample({}, n_scored, "_count")]),
                gauge("ordervet_waiting", "Orders and events that wait or are being worked on.", n_waiting),
                gauge("ordervet_journal_events", "Acknowledged events that are not in the table yet.",
                      backlog and backlog.n_events),
                gauge("ordervet_journal_lag_seconds", "Age of the oldest of them.", backlog and backlog.age_s),
                gauge("ordervet_flush_age_seconds", "Since the last flush to the table, or the start.",
                      backlog and backlog.flushed_s),
                gauge("ordervet_model_info", "The model that decides.", 1 if model else None,
                      model=model.model_id if model else ""),
                gauge("ordervet_policy_info", "The policy that decides.", 1, policy=scorer.policy.policy_id),
            ]
        )  # fmt: skip
