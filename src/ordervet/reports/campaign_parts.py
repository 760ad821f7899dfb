"""What the boards before, during and after a campaign have in common."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from ordervet.currencies import REFERENCE
from ordervet.reports.board import Field
from ordervet.reports.period import HOUR_US, bound_share
from ordervet.words import find_words, format_text
from ordervet.words.numbers import format_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ordervet.policy import Capacity
    from ordervet.reports.period import Period
    from ordervet.words import Lang

    Words = Mapping[str, Any]


N_RINGS: Final = 10
_LEAST_FLAGS: Final = 3


@dataclass(frozen=True, slots=True)
class Setting:
    """Under what a board was made.

    Parameters
    ----------
    lang : the language it speaks
    time_zone : IANA name of the zone that times are shown in
    model_id : what scored
    is_simulated : whether the model learned from simulated data
    minutes : a desk's minutes for one order
    currencies : of the orders, the commonest first
    capacity : of the policy, whose shifts the desk works; None where it has none
    """

    lang: Lang
    time_zone: str
    model_id: str
    is_simulated: bool
    minutes: float
    currencies: tuple[str, ...] = ("CNY",)
    capacity: Capacity | None = None

    @property
    def unit(self) -> str:
        """What amounts are counted in."""
        return format_text("numbers.yuan", self.lang)

    @property
    def words(self) -> Words:
        """What boards say in this language."""
        return find_words("campaign", self.lang)

    def local(self, at_us: int) -> datetime:
        """Return a time on the local clock, without its zone."""
        return datetime.fromtimestamp(at_us / 1e6, UTC).astimezone(ZoneInfo(self.time_zone)).replace(tzinfo=None)

    def write(self, at_us: int) -> str:
        """Write a time of the local clock, with its offset."""
        return format_time(datetime.fromtimestamp(at_us / 1e6, UTC), self.time_zone)

    def name_hours(self, start_us: int, n_hours: int) -> list[str]:
        """Name hours for the labels of a plot, with the day where it changes."""
        starts = [self.local(start_us + number * HOUR_US) for number in range(n_hours)]
        return [f"{each:%m-%d}" if n_hours > 24 and each.hour == 0 else f"{each:%H:%M}" for each in starts]

    def list_warnings(self) -> tuple[str, ...]:
        """List what to bear in mind with any figure."""
        rescored = self.words["rescored"].format(model=self.model_id)
        converted = self.words["converted"].format(currencies=", ".join(self.currencies))
        return (
            rescored,
            *([converted] if self.currencies != (REFERENCE,) else []),
            *([format_text("notes.simulated", self.lang)] if self.is_simulated else []),
        )


def make_fields(setting: Setting, *specs: str) -> tuple[Field, ...]:
    """Make fields from ``key:look``, with a ``!`` behind those that are details; a field's title is its key's word."""
    fields = []
    for spec in specs:
        key, _, look = spec.removesuffix("!").partition(":")
        title = setting.words["columns"][key].format(unit=setting.unit)
        fields.append(Field(key, title, look or "text", spec.endswith("!")))
    return tuple(fields)


def compare_channels(period: Period) -> list[tuple[str, int, int, float, float, float, str]]:
    """Compare channels by the share of their orders that is flagged, the one with the most orders first.

    Returns
    -------
    per channel its name, orders, flagged orders, their share, the share's 95 % interval, and ``high`` or ``low`` where
    the share of the other channels lies outside it; ``high`` takes three flagged orders at least
    """
    names, which = np.unique(np.array(period.channels, dtype=str), return_inverse=True)
    orders = np.bincount(which, minlength=len(names))
    flags = np.bincount(which, weights=period.is_flagged, minlength=len(names)).astype(np.int64)
    rows = []
    for at in np.argsort(-orders, kind="stable").tolist():
        low, high = bound_share(int(flags[at]), int(orders[at]))
        n_others = int(orders.sum() - orders[at])
        others = float(flags.sum() - flags[at]) / n_others if n_others else float(flags[at] / orders[at])
        sign = "high" if others < low and flags[at] >= _LEAST_FLAGS else "low" if others > high else ""
        rows.append((str(names[at]), int(orders[at]), int(flags[at]), float(flags[at] / orders[at]), low, high, sign))
    return rows
