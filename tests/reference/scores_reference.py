"""What `RememberedScores` computes, from a list of all scores."""

from __future__ import annotations

from ordervet.policy import pacing


class ListedScores:
    """Keeps every score with its weight; the twin of `policy.pacing.RememberedScores`."""

    def __init__(self, least_p: float) -> None:
        self.least_p = least_p
        self.rows: list[tuple[int, int]] = []
        self.seen: list[float] = []
        self.n_added = 0

    def add_prior(self, scores: list[float]) -> None:
        """Take scores of the past."""
        self.rows += [(pacing.find_bin(p), round(pacing.UNIT * pacing.PRIOR_ORDERS / len(scores))) for p in scores]

    def add(self, p: float) -> None:
        """Remember a score."""
        if self.n_added == pacing.RESCALE_AFTER * pacing.MEMORY:
            bins = sorted({at for at, _ in self.rows})
            self.rows = [(at, self.weigh(at, at) >> pacing.RESCALE_AFTER) for at in bins]
            self.n_added = 0
        self.n_added += 1
        self.rows.append((pacing.find_bin(p), round(pacing.UNIT * 2.0 ** (self.n_added / pacing.MEMORY))))
        self.seen.append(p)

    def weigh(self, first: int, last: int) -> int:
        """Return the weight of the scores in some bins."""
        return sum(weight for at, weight in self.rows if first <= at <= last)

    @property
    def share_worth_it(self) -> float:
        """The share of scores that are worth a look."""
        top = max(at for at, _ in self.rows)
        return self.weigh(pacing.find_bin(self.least_p), top) / self.weigh(0, top)

    def find_quantile(self, share: float) -> tuple[float, float]:
        """Find what lies at the top `share` of scores."""
        top = max(at for at, _ in self.rows)
        wanted = share * self.weigh(0, top)
        at = max(at for at, _ in self.rows if self.weigh(at, top) >= wanted)
        part = 1.0 - (wanted - self.weigh(at + 1, top)) / self.weigh(at, at)
        inside = [p for p in self.seen if pacing.find_bin(p) == at]
        low, high = (min(inside), max(inside)) if inside else pacing.find_edges(at)
        return (low, part) if low == high else (low + part * (high - low), 0.0)
