"""After a campaign: what was held, what of it was right, what was missed, what it cost, and what to change."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ordervet.contract.verdicts import CORRECTED, INNOCENT, MALICIOUS, UNSURE
from ordervet.policy import BANDS, Capacity
from ordervet.reports.board import Board, Section
from ordervet.reports.campaign_parts import make_fields
from ordervet.reports.campaign_watch import build_channels, build_rings
from ordervet.reports.period import DAY_US, HOUR_US, bound_share
from ordervet.reports.plots import draw_bars
from ordervet.words import find_words, format_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ordervet.reports.campaign_parts import Setting, Words
    from ordervet.reports.period import Period

_LEAST_JUDGED: Final = 10  # verdicts, before a share is worth advice
_LOW_PRECISION, _MUCH_OPEN, _MUCH_MISSED = 0.5, 0.2, 0.2
_MAX_PLOTTED: Final = 24 * 14


def build_review(
    period: Period,
    start_us: int,
    end_us: int,
    as_of_us: int,
    maturity_days: float,
    setting: Setting,
    build_requests: Callable[[Period], Section] | None = None,
) -> Board:
    """Build the board after a campaign: what came of its orders.

    Parameters
    ----------
    period : scored orders, those placed from start to before end are reviewed
    start_us, end_us : of the campaign, UTC microseconds
    as_of_us : until when verdicts are known
    maturity_days : until then an order that nobody judged is not known to be innocent
    setting : under what the board is made
    build_requests : orders of the campaign → what became of their refund requests; None where nothing judges them
    """
    words = setting.words["review"]
    orders = period.between(start_us, end_us)
    is_immature = (orders.placed_us > as_of_us - maturity_days * DAY_US) & (orders.decided_us == 0)
    totals = _count(orders, is_immature)
    summary = words["summary"].format(
        start=setting.write(start_us), end=setting.write(end_us), as_of=setting.write(as_of_us), n=f"{len(orders):,}",
        flags=f"{totals['flags']:,}", amount=f"{totals['held_minor'] / 100:,.0f}", unit=setting.unit,
    )  # fmt: skip
    n_immature = int(is_immature.sum())
    immature = words["immature"].format(
        n=f"{n_immature:,}", share=f"{n_immature / max(len(orders), 1):.0%}", days=f"{maturity_days:g}"
    )
    minutes = (totals["confirmed"] + totals["wrong"] + totals["unsure"]) * setting.minutes
    kinds = [_name_kind(orders, at, setting) for at in range(len(orders))]
    rules = [each or setting.words["no_rule"] for each in orders.rules]
    agents = [each or setting.words["no_agent"] for each in orders.agents]
    channels = [each or setting.words["no_channel"] for each in orders.channels]
    sections = (
        _build_totals(totals, minutes, setting),
        _build_groups("kinds", kinds, orders, is_immature, setting),
        _build_groups("bands", _name_bands(orders, setting), orders, is_immature, setting),
        *([_build_groups("rules", rules, orders, is_immature, setting)] if any(orders.rules) else []),
        *([_build_groups("agents", agents, orders, is_immature, setting)] if any(orders.agents) else []),
        _build_desk(orders, as_of_us, setting),
        _build_shifts(orders, is_immature, setting),
        *([] if build_requests is None else [build_requests(orders)]),
        _build_groups("channel_results", channels, orders, is_immature, setting),
        build_channels(orders, setting),
        _build_hours(orders, start_us, end_us, setting),
        build_rings(orders, setting),
        Section("next_time", words["next_time"], lines=tuple(_advise(orders, totals, setting))),
    )  # fmt: skip
    facts = {
        "board": "review", "start_us": start_us, "end_us": end_us, "as_of_us": as_of_us, "n_orders": len(orders),
        "n_immature": n_immature, "totals": totals, "minutes": minutes, "model_id": setting.model_id,
    }  # fmt: skip
    warnings = (*([immature] if n_immature else []), *setting.list_warnings())
    return Board(words["title"], (summary,), warnings, sections, facts, setting.lang)


def _count(orders: Period, is_immature: NDArray[np.bool_]) -> dict[str, int]:
    """Count flagged orders by what became of them, and malicious ones that passed; with their amounts."""
    flagged, amounts = orders.is_flagged, orders.amount_minor
    is_open = flagged & (orders.decided_us == 0)
    masks = {
        "flags": flagged,
        "held": orders.is_held,
        "confirmed": flagged & orders.was_judged(MALICIOUS),
        "wrong": flagged & orders.was_judged(INNOCENT, CORRECTED),
        "unsure": flagged & orders.was_judged(UNSURE),
        "open_immature": is_open & is_immature,
        "open_mature": is_open & ~is_immature,
        "missed": ~flagged & orders.was_judged(MALICIOUS),
        "released": orders.is_held & orders.was_judged(INNOCENT, CORRECTED),
        "appeals": orders.was_judged(CORRECTED),
    }
    counts = {name: int(mask.sum()) for name, mask in masks.items()}
    return counts | {f"{name}_minor": int(amounts[mask].sum()) for name, mask in masks.items()}


def _build_totals(totals: dict[str, int], minutes: float, setting: Setting) -> Section:
    words = setting.words
    names = ("flags", "held", "confirmed", "wrong", "unsure", "open_immature", "open_mature", "missed",
             "released", "appeals")  # fmt: skip
    rows = tuple((words["review"][name], totals[name], totals[f"{name}_minor"]) for name in names)
    note = words["review"]["minutes"].format(minutes=f"{minutes:,.0f}", each=f"{setting.minutes:g}")
    fields = make_fields(setting, "what", "orders:count", "sum:money")
    return Section("totals", words["review"]["totals"], note, fields, rows)


def _name_bands(orders: Period, setting: Setting) -> list[str]:
    names = find_words("bands", setting.lang)
    return [str(names[BANDS[at]]) for at in orders.bands.tolist()]


def _build_desk(orders: Period, as_of_us: int, setting: Setting) -> Section:
    """Say how long decisions took, from the hand-over or else from the order, and how old is what is open."""
    words = setting.words["review"]
    since_us = np.where(orders.handed_us > 0, orders.handed_us, orders.placed_us)
    took = (orders.decided_us - since_us)[orders.is_flagged & (orders.decided_us > 0)]
    age = (as_of_us - since_us)[orders.is_flagged & (orders.decided_us == 0)]
    rows = tuple((words[name], len(spans), *_cut(spans)) for name, spans in (("took", took), ("open_age", age)))
    fields = make_fields(
        setting, "what", "orders:count", "median_hours:decimal", "ninth_hours:decimal", "most_hours:decimal"
    )
    return Section("desk", words["desk"], words["desk_note"], fields, rows)


def _cut(spans_us: NDArray[np.int64]) -> tuple[float | None, ...]:
    """Return the median of spans of time, what nine in ten stay below, and the longest, in hours."""
    if not len(spans_us):
        return (None, None, None)
    return tuple(float(np.quantile(np.maximum(spans_us, 0), share)) / HOUR_US for share in (0.5, 0.9, 1.0))


def _build_shifts(orders: Period, is_immature: NDArray[np.bool_], setting: Setting) -> Section:
    """Count by day and shift what the desk was given and what came of it."""
    words = setting.words
    capacity = setting.capacity or Capacity(n=0)
    numbers = capacity.number_windows(orders.placed_us)
    is_given = orders.handed_us > 0 if (orders.handed_us > 0).any() else orders.is_flagged
    rows = []
    for number in np.unique(numbers).tolist():
        mask = numbers == number
        totals = _count(orders.take(mask), is_immature[mask])
        n_open = totals["open_immature"] + totals["open_mature"]
        n_slots = capacity.windows[number % len(capacity.windows)].n
        n_free = max(0, n_slots - int(is_given[mask].sum())) if setting.capacity else None
        rows.append(
            (_name_window(capacity, number), int(mask.sum()), totals["flags"], n_free, totals["confirmed"],
             totals["wrong"], n_open, totals["held_minor"], totals["released_minor"], totals["appeals"])
        )  # fmt: skip
    fields = make_fields(
        setting, "shift", "orders:count", "flags:count", "free:count", "confirmed:count", "wrong:count",
        "open:count", "held_amount:money", "released_amount:money", "appeals:count",
    )  # fmt: skip
    return Section("shifts", words["review"]["shifts"], words["review"]["shifts_note"], fields, tuple(rows))


def _name_window(capacity: Capacity, number: int) -> str:
    """Name a window by its day and the hours of its shift."""
    day, at = divmod(number, len(capacity.windows))
    name = f"{datetime.fromtimestamp(day * DAY_US // 1_000_000, UTC):%m-%d}"
    if not capacity.shifts:
        return name
    shift = next(each for each in capacity.shifts if each.end_min == capacity.windows[at].end_min)
    return f"{name} {shift.start}-{shift.end}"


def _name_kind(orders: Period, at: int, setting: Setting) -> str:
    kind = orders.kinds[at]
    return format_text(f"kinds.{kind}", setting.lang) if kind else str(setting.words["no_kind"])


def _build_groups(
    key: str, names: Sequence[str], orders: Period, is_immature: NDArray[np.bool_], setting: Setting
) -> Section:
    """Count what became of flagged orders, group by group; an order that passed has no kind."""
    words = setting.words
    group_of = np.array(names, dtype=str)
    rows = []
    for name in sorted(set(names)):
        mask = group_of == name
        totals = _count(orders.take(mask), is_immature[mask])
        if totals["flags"] or totals["missed"]:
            n_decided = totals["confirmed"] + totals["wrong"]
            low, high = bound_share(totals["confirmed"], n_decided)
            precision = totals["confirmed"] / n_decided if n_decided else None
            rows.append(
                (name, totals["flags"], totals["held_minor"], totals["confirmed"], totals["confirmed_minor"],
                 totals["wrong"], totals["wrong_minor"], totals["open_immature"] + totals["open_mature"],
                 totals["missed"], precision, low if n_decided else None, high if n_decided else None)
            )  # fmt: skip
    rows.sort(key=lambda row: (-row[1], row[0]))
    fields = make_fields(
        setting, "group", "flags:count", "held_amount:money!", "confirmed:count", "confirmed_amount:money!",
        "wrong:count", "wrong_amount:money!", "open:count", "missed:count", "precision:share", "low:share!",
        "high:share!",
    )  # fmt: skip
    return Section(key, words["review"][key], words["review"]["groups_note"], fields, tuple(rows))


def _build_hours(orders: Period, start_us: int, end_us: int, setting: Setting) -> Section:
    words = setting.words
    n_hours = min(_MAX_PLOTTED, max(1, -(-(end_us - start_us) // HOUR_US)))
    decided = orders.is_flagged & (orders.decided_us > 0)
    series = [
        (words["columns"]["flags"], orders.count_hours(start_us, n_hours, orders.is_flagged).tolist()),
        (words["columns"]["judged"], orders.count_hours(start_us, n_hours, decided).tolist()),
        (words["columns"]["confirmed"],
         orders.count_hours(start_us, n_hours, orders.is_flagged & orders.was_judged(MALICIOUS)).tolist()),
    ]  # fmt: skip
    title = words["review"]["hours"]
    plot = draw_bars(setting.name_hours(start_us, n_hours), series, alt=title)
    return Section("hours", title, words["review"]["hours_note"], plot=plot)


def _advise(orders: Period, totals: dict[str, int], setting: Setting) -> list[str]:
    """Describe what the figures give reason to change; nothing where they are too few to tell."""
    words: Words = setting.words["review"]["advice"]
    lines = [*_advise_on_groups(orders, setting, words)]
    n_decided = totals["confirmed"] + totals["wrong"]
    n_open = totals["open_immature"] + totals["open_mature"]
    if totals["flags"] and n_open / totals["flags"] > _MUCH_OPEN:
        lines.append(words["open"].format(n=f"{n_open:,}", share=f"{n_open / totals['flags']:.0%}"))
    n_bad = totals["confirmed"] + totals["missed"]
    if n_bad >= _LEAST_JUDGED and totals["missed"] / n_bad > _MUCH_MISSED:
        lines.append(words["missed"].format(n=f"{totals['missed']:,}", share=f"{totals['missed'] / n_bad:.0%}"))
    if n_decided < _LEAST_JUDGED:
        lines.append(words["few"].format(n=n_decided))
    n_corrected = int((orders.is_flagged & orders.was_judged(CORRECTED)).sum())
    if n_corrected:
        lines.append(words["corrected"].format(n=f"{n_corrected:,}"))
    return lines or [words["nothing"]]


def _advise_on_groups(orders: Period, setting: Setting, words: Words) -> list[str]:
    lines = []
    groups: dict[str, dict[Any, list[int]]] = {"channel": {}, "kind": {}}
    is_wrong = orders.was_judged(INNOCENT, CORRECTED)
    decided = np.flatnonzero(orders.is_flagged & (is_wrong | orders.was_judged(MALICIOUS)))
    for row in decided.tolist():
        names = {
            "channel": orders.channels[row] or setting.words["no_channel"],
            "kind": _name_kind(orders, row, setting),
        }
        for group, name in names.items():
            groups[group].setdefault(name, []).append(row)
    for group, members in groups.items():
        for name, rows in sorted(members.items()):
            n_wrong = int(is_wrong[rows].sum())
            if len(rows) >= _LEAST_JUDGED and n_wrong / len(rows) > _LOW_PRECISION:
                lines.append(words[f"wrong_{group}"].format(name=name, n=len(rows), share=f"{n_wrong / len(rows):.0%}"))
    return lines
