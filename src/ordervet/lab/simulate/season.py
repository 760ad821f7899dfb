"""When orders are placed: ordinary weeks, the presale, the opening evening, the day, and the weeks after."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

import numpy as np

from ordervet.lab.simulate.simulation_settings import ZONE

if TYPE_CHECKING:
    from ordervet.lab.simulate.dice import Dice, Floats, Ints
    from ordervet.lab.simulate.simulation_settings import SimulationSettings

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86_400

PHASES = ("early", "late", "presale", "opening", "day", "after")
"""Parts of the merchant's calendar, in order of time."""

CAMPAIGNS = (None, None, "d11_presale", "d11_opening", "d11_day", None)
"""The campaign an order belongs to, by phase."""

_OPENING_HOUR = 20
_OPENING_HOURS = 4
_BIN_S = 600
_HOURLY = (6, 3, 2, 1, 1, 2, 5, 10, 18, 26, 34, 34, 32, 30, 30, 31, 32, 30, 31, 38, 50, 54, 42, 20)
"""Orders by local hour of an ordinary day, relative; the evening is the peak."""
_OPENING_CURVE = (9.0, 4.5, 3.0, 2.2, 1.9, 1.7, 1.5, 1.4, 1.3, 1.3, 1.2, 1.2, *(1.0,) * 6, *(1.3,) * 6)
"""Orders by ten minutes of the opening evening, relative; the first minutes are the rush."""
_DAY_WEIGHT = 3.0
_AFTER_WEEKLY = 0.85


class Season:
    """The merchant's calendar: how likely an order is at any ten minutes, and which phase a time belongs to.

    Times are whole seconds since 1970 in UTC.
    """

    def __init__(self, settings: SimulationSettings) -> None:
        first = datetime.combine(settings.start, time(), ZONE)
        opening_day = settings.opening_offset_days
        self.start_s = to_seconds(first)
        self.begin_s = self.start_s - settings.history_days * DAY_S
        self.opening_s = self.start_s + opening_day * DAY_S + _OPENING_HOUR * HOUR_S
        self.opening_end_s = self.opening_s + _OPENING_HOURS * HOUR_S
        self.season_end_s = self.start_s + settings.season_days * DAY_S
        last_s = self.season_end_s + settings.after_days * DAY_S
        until_s = last_s if settings.orders_until is None else to_seconds(settings.orders_until)
        self.end_s = min(until_s, last_s)
        self._starts = np.arange(self.begin_s, last_s, _BIN_S, dtype=np.int64)
        weights = self._weigh(settings)
        weights[self._starts >= self.end_s] = 0.0
        self._edges = np.cumsum(weights)
        self._bounds = np.array(
            [
                self.begin_s + (self.start_s - self.begin_s) // 2,
                self.start_s,
                self.opening_s,
                self.opening_end_s,
                min(self.opening_end_s + DAY_S, self.season_end_s),
            ],
            dtype=np.int64,
        )

    def draw(self, dice: Dice, n: int, *, from_s: int | Ints | None = None, to_s: int | Ints | None = None) -> Ints:
        """Draw `n` times as busily as the calendar, in [from_s, to_s) to ten minutes; one window or each its own."""
        low = self._position(self.begin_s if from_s is None else from_s)
        high = self._position(self.end_s if to_s is None else to_s)
        at = low + dice.unit(n) * (high - low)
        bins = np.minimum(np.searchsorted(self._edges, at, side="right"), len(self._starts) - 1)
        drawn: Ints = np.minimum(self._starts[bins] + dice.below(_BIN_S, n), self.end_s - 1)
        return drawn

    def phase_of(self, placed_s: Ints) -> Ints:
        """Return the position in `PHASES` of each time."""
        return np.searchsorted(self._bounds, placed_s, side="right").astype(np.int64)

    def progress_of(self, placed_s: Ints) -> Floats:
        """Return how much of the whole time has passed by each time, 0 to 1."""
        whole = max(int(self._starts[-1]) + _BIN_S - self.begin_s, 1)
        return np.clip((placed_s - self.begin_s) / whole, 0.0, 1.0)

    def _position(self, time_s: int | Ints) -> Floats:
        """Return the share of all orders placed before each time, in units of the cumulated weights."""
        bins = np.clip((np.asarray(time_s) - self.begin_s) // _BIN_S, 0, len(self._starts))
        before: Floats = np.concatenate([[0.0], self._edges])[bins]
        return before

    def _weigh(self, settings: SimulationSettings) -> Floats:
        local_hour = (self._starts - self.begin_s) % DAY_S // HOUR_S
        hourly = np.asarray(_HOURLY, dtype=np.float64)[local_hour]
        day = (self._starts - self.start_s) // DAY_S
        history, after = self._starts < self.start_s, self._starts >= self.season_end_s
        opening = (self._starts >= self.opening_s) & (self._starts < self.opening_end_s)
        season = ~history & ~after & ~opening
        main_day = day == settings.opening_offset_days + 1
        decay = _AFTER_WEEKLY ** (np.maximum(self._starts - self.season_end_s, 0) // (7 * DAY_S))
        weights = np.where(season & main_day, hourly * _DAY_WEIGHT, hourly)
        weights[after] *= decay[after]
        weights[opening] = np.asarray(_OPENING_CURVE)
        season_share = 1.0 - settings.history_share - settings.after_share * (settings.after_days > 0)
        shares = (
            (history, settings.history_share),
            (after, settings.after_share),
            (opening, season_share * settings.opening_share),
            (season, season_share * (1.0 - settings.opening_share)),
        )
        for part, share in shares:
            if part.any():
                weights[part] *= share / weights[part].sum()
        return weights


def to_seconds(moment: datetime) -> int:
    """Return whole seconds since 1970 in UTC of a time with a zone."""
    return (moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
