"""Before a campaign: what to expect of each hour, how many people that takes, and where to set the bar."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ordervet.contract.verdicts import CORRECTED, INNOCENT, MALICIOUS
from ordervet.reports.board import Board, Section
from ordervet.reports.campaign_parts import make_fields
from ordervet.reports.links import LINKING, name_key, pseudonym
from ordervet.reports.period import DAY_US, HOUR_US
from ordervet.reports.plots import draw_bars
from ordervet.words import find_words, join_words

if TYPE_CHECKING:
    from ordervet.reports.campaign_parts import Setting, Words
    from ordervet.reports.period import Period
    from ordervet.words import Lang

_SCENARIOS: Final = (0.5, 1.0, 1.5, 2.0, 3.0)
_CAPACITIES: Final = (0.5, 1.0, 1.5, 2.0)
_N_LISTED: Final = 30
_DAY_HOURS: Final = 24


@dataclass(frozen=True, slots=True)
class PlanFor:
    """What is planned.

    Parameters
    ----------
    start_us : when the campaign begins, UTC microseconds
    like_us : when the hours it is expected to be like began
    n_hours : how long it lasts
    growth : orders expected for each order then
    capacity : orders that the desk can look at in all that time; None takes what is expected to be flagged
    shift_hours : hours of one person's shift
    """

    start_us: int
    like_us: int
    n_hours: int
    growth: float
    capacity: int | None
    shift_hours: float


@dataclass(frozen=True, slots=True)
class ListedKeys:
    """Entries of allow and deny lists, counted.

    Parameters
    ----------
    n_entries : in all
    n_expired : that count no more when the campaign begins
    n_expiring : that stop to count while it lasts
    """

    n_entries: int
    n_expired: int
    n_expiring: int


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the checklist needs to know.

    Parameters
    ----------
    model_age_days : since the newest order that the model learned from; None is not known
    n_recent_verdicts : of the last thirty days
    n_open : flagged orders of the last fourteen days that nobody judged
    missing : evidence to the share of orders that lack it
    lists : entries of allow and deny lists; None where no list was given
    """

    model_age_days: float | None
    n_recent_verdicts: int
    n_open: int
    missing: dict[str, float]
    lists: ListedKeys | None


def find_busiest(period: Period, n_hours: int) -> int:
    """Find the hours on end with the most orders; the earliest of equal ones.

    Returns
    -------
    the full hour at which they begin, UTC microseconds
    """
    first = int(period.placed_us[0]) // HOUR_US * HOUR_US
    n = int((period.placed_us[-1] - first) // HOUR_US) + 1
    counts = period.count_hours(first, n)
    sums = np.convolve(counts, np.ones(min(n_hours, n), np.int64), mode="valid")
    return first + int(np.argmax(sums)) * HOUR_US


def build_plan(period: Period, plan: PlanFor, ready: Readiness, setting: Setting) -> Board:
    """Build the board before a campaign: what to expect and what to prepare.

    Parameters
    ----------
    period : scored orders of the past, among them the hours that the campaign is expected to be like
    plan : what is planned
    ready : for the checklist
    setting : under what the board is made
    """
    words = setting.words["plan"]
    like = period.between(plan.like_us, plan.like_us + plan.n_hours * HOUR_US)
    expected = _expect(like, plan)
    n_flags = float(expected["flags"].sum())
    summary = words["summary"].format(
        start=setting.write(plan.start_us), hours=plan.n_hours, like=setting.write(plan.like_us), n=f"{len(like):,}",
        growth=f"{plan.growth:g}", orders=f"{expected['orders'].sum():,.0f}", flags=f"{n_flags:,.0f}",
    )  # fmt: skip
    capacity = plan.capacity if plan.capacity is not None else math.ceil(n_flags)
    sections = (
        _build_hours(expected, plan, setting),
        _build_desk(expected, plan, capacity, setting),
        _build_thresholds(like, plan, capacity, setting),
        *_build_setting(expected, plan, capacity, setting),
        _build_lists(period, setting),
        Section("checklist", words["checklist"], lines=tuple(_list_checks(ready, setting))),
    )
    hours = [
        {"hour": setting.local(plan.start_us + at * HOUR_US).isoformat()}
        | {name: round(float(values[at]), 1) for name, values in expected.items()}
        for at in range(plan.n_hours)
    ]
    facts = {
        "board": "plan", "start_us": plan.start_us, "like_us": plan.like_us, "n_hours": plan.n_hours,
        "growth": plan.growth, "capacity": capacity, "minutes": setting.minutes, "model_id": setting.model_id,
        "hours": hours,
    }  # fmt: skip
    warnings = (words["guess"], *setting.list_warnings())
    return Board(words["title"], (summary,), warnings, sections, facts, setting.lang)


def _expect(like: Period, plan: PlanFor) -> dict[str, Any]:
    masks = {"orders": None, "flags": like.is_flagged, "holds": like.is_held}
    expected: dict[str, Any] = {
        name: like.count_hours(plan.like_us, plan.n_hours, mask) * plan.growth for name, mask in masks.items()
    }
    hours = (like.placed_us - plan.like_us) // HOUR_US
    amounts = np.where(like.is_flagged, like.amount_minor, 0)
    expected["amount_minor"] = np.bincount(hours, weights=amounts, minlength=plan.n_hours) * plan.growth
    return expected


def _build_hours(expected: dict[str, Any], plan: PlanFor, setting: Setting) -> Section:
    words = setting.words
    rows = tuple(
        (
            setting.local(plan.start_us + at * HOUR_US),
            round(float(expected["orders"][at])),
            float(expected["flags"][at]),
            float(expected["holds"][at]),
            round(float(expected["amount_minor"][at])),
            float(expected["flags"][at]) * setting.minutes,
            math.ceil(float(expected["flags"][at]) * setting.minutes / 60),
        )
        for at in range(plan.n_hours)
    )
    fields = make_fields(
        setting, "hour:instant", "orders:count", "flags:decimal", "holds:decimal", "amount:money", "minutes:decimal",
        "people:count",
    )  # fmt: skip
    labels = setting.name_hours(plan.start_us, plan.n_hours)
    title = words["plan"]["hours"]
    plot = draw_bars(labels, [(words["columns"]["orders"], expected["orders"].tolist())], alt=title)
    return Section("hours", title, words["plan"]["hours_note"], fields, rows, plot=plot)


def _build_desk(expected: dict[str, Any], plan: PlanFor, capacity: int, setting: Setting) -> Section:
    words = setting.words
    rows = []
    for factor in _SCENARIOS:
        flags = float(expected["flags"].sum()) * factor
        minutes = flags * setting.minutes
        peak = math.ceil(float(expected["flags"].max(initial=0.0)) * factor * setting.minutes / 60)
        shifts = math.ceil(minutes / 60 / plan.shift_hours)
        rows.append((f"×{factor:g}", round(float(expected["orders"].sum()) * factor), flags, minutes, shifts, peak))
    fields = make_fields(
        setting, "volume", "orders:count", "flags:decimal", "minutes:decimal", "shifts:count", "peak_people:count"
    )
    labels = setting.name_hours(plan.start_us, plan.n_hours)
    columns = words["columns"]
    series = [(columns["flags"], expected["flags"].tolist()), (columns["holds"], expected["holds"].tolist())]
    line = (words["plan"]["capacity_line"], [capacity / plan.n_hours] * plan.n_hours)
    title = words["plan"]["desk"]
    note = words["plan"]["desk_note"].format(minutes=f"{setting.minutes:g}", hours=f"{plan.shift_hours:g}")
    return Section("desk", title, note, fields, tuple(rows), plot=draw_bars(labels, series, plan=line, alt=title))


def _build_thresholds(like: Period, plan: PlanFor, capacity: int, setting: Setting) -> Section:
    """Find the threshold at several capacities, and how much of the money at risk lies above it."""
    words = setting.words
    ranked = np.lexsort((-like.amount_minor, -like.p_malicious))
    p, at_risk = like.p_malicious[ranked], (like.p_malicious * like.amount_minor)[ranked]
    rows = []
    for factor in _CAPACITIES:
        looked_at = round(capacity * factor)
        n = min(len(ranked), round(looked_at / plan.growth))
        if n == 0:
            continue
        share = float(at_risk[:n].sum() / at_risk.sum()) if at_risk.sum() else None
        rows.append((looked_at, float(p[n - 1]), int(like.risk_score[ranked[n - 1]]), float(p[:n].mean()), share))
    fields = make_fields(
        setting, "capacity:count", "p_from:share", "risk_from:count", "mean_p:share", "risk_share:share"
    )  # fmt: skip
    return Section("thresholds", words["plan"]["thresholds"], words["plan"]["thresholds_note"], fields, tuple(rows))


def _build_setting(expected: dict[str, Any], plan: PlanFor, capacity: int, setting: Setting) -> tuple[Section, ...]:
    """Write the plan as the part of a policy file that paces the desk; a policy's day has no more than 24 hours."""
    if plan.n_hours > _DAY_HOURS:
        return ()
    clocks = [f"{setting.local(plan.start_us + at * HOUR_US):%H:%M}" for at in range(plan.n_hours + 1)]
    orders = ", ".join(f'"{clock}" = {n:.0f}' for clock, n in zip(clocks, expected["orders"], strict=False))
    lines = (
        "[capacity]",
        f"n = {capacity}",
        f'shifts = [{{ start = "{clocks[0]}", end = "{clocks[-1]}" }}]',
        f"plan = {{ {orders} }}",
    )
    words = setting.words["plan"]
    return (Section("policy", words["policy"], words["policy_note"], lines=lines),)


def _build_lists(period: Period, setting: Setting) -> Section:
    words = setting.words
    doubtful = list_doubtful_keys(period)
    rows = tuple(
        (each.describe(setting.lang), words["plan"][each.why], each.n_orders, each.n_malicious, each.n_innocent,
         setting.local(each.last_us))
        for each in doubtful[:_N_LISTED]
    )  # fmt: skip
    fields = make_fields(
        setting, "key", "why:wrapped", "orders:count", "n_malicious:count", "n_innocent:count", "last_verdict:instant"
    )
    note = words["plan"]["lists_note"].format(n=f"{len(doubtful):,}", shown=len(rows))
    return Section("lists", words["plan"]["lists"], note, fields, rows)


def _list_checks(ready: Readiness, setting: Setting) -> list[str]:
    words: Words = setting.words["plan"]["checks"]
    age = (
        words["model_unknown"]
        if ready.model_age_days is None
        else words["model"].format(d=f"{ready.model_age_days:.0f}")
    )
    entities = find_words("entities", setting.lang)
    missing = (
        join_words((f"{entities[name]} {share:.0%}" for name, share in ready.missing.items()), setting.lang) or "–"
    )
    lists = words["no_lists"]
    if ready.lists is not None:
        counts = ready.lists
        lists = words["lists"].format(n=counts.n_entries, expired=counts.n_expired, expiring=counts.n_expiring)
    return [
        age,
        words["verdicts"].format(n=f"{ready.n_recent_verdicts:,}"),
        words["open"].format(n=f"{ready.n_open:,}"),
        words["missing"].format(missing=missing),
        lists,
        *words["always"],
    ]


_OLD_DAYS: Final = 180


@dataclass(frozen=True, slots=True)
class DoubtfulKey:
    """A key whose record should be looked at.

    Parameters
    ----------
    entity, code : what it is, and its pseudonym
    why : "both" (malicious and innocent), "old" (nothing but old verdicts) or "corrected"
    n_orders, n_malicious, n_innocent : orders, and standing verdicts on them; a corrected order counts as innocent
    last_us : the newest verdict, UTC microseconds
    """

    entity: str
    code: str
    why: str
    n_orders: int
    n_malicious: int
    n_innocent: int
    last_us: int

    def describe(self, lang: Lang) -> str:
        """Name the key."""
        return name_key(self.entity, self.code, lang)


def list_doubtful_keys(period: Period) -> list[DoubtfulKey]:
    """List keys with a malicious verdict that something speaks against, those with the most orders first."""
    is_bad = period.was_judged(MALICIOUS)
    is_good = period.was_judged(INNOCENT, CORRECTED)
    is_corrected = period.was_judged(CORRECTED)
    now_us = int(period.placed_us.max(initial=0))
    found = []
    for entity in LINKING:
        ids = period.orders[f"id__{entity}"].to_numpy()
        asked = np.unique(ids[is_bad | is_corrected])
        rows = np.flatnonzero(np.isin(ids, asked[asked != 0]))
        order = rows[np.argsort(ids[rows], kind="stable")]
        keys, starts = np.unique(ids[order], return_index=True)
        for key, part in zip(keys, np.split(order, starts[1:]), strict=False):
            n_bad, n_good = int(is_bad[part].sum()), int(is_good[part].sum())
            last_us = int(period.decided_us[part].max())
            why = _find_doubt(n_bad, n_good, bool(is_corrected[part].any()), now_us - last_us)
            if why:
                code = pseudonym(entity, int(key))
                found.append(DoubtfulKey(entity, code, why, len(part), n_bad, n_good, last_us))
    return sorted(found, key=lambda each: (-each.n_orders, each.code))


def _find_doubt(n_malicious: int, n_innocent: int, has_correction: bool, age_us: int) -> str:
    if n_malicious and n_innocent:
        return "both"
    if n_malicious and age_us > _OLD_DAYS * DAY_US:
        return "old"
    return "corrected" if has_correction else ""
